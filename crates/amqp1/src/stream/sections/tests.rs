//! Messages that are cut anywhere, malformed or not.

use super::*;
use amqp1_codec::{DecodeErrorKind, Symbol, messaging::Properties};

fn whole() -> Bytes {
    let properties = Properties { subject: Some("subject".into()), ..Properties::default() };
    let message = Message::builder().properties(properties).data(vec![1; 300]).data("two");
    message.footer(Symbol::from_static("x-opt-end"), true).build().into_parts().concat().into()
}

fn data(sections: &mut Sections) -> (Vec<u8>, Option<Malformed>) {
    let mut got = Vec::new();
    loop {
        match sections.take_data() {
            Some(Ok(octets)) => got.extend_from_slice(&octets),
            Some(Err(fault)) => return (got, Some(fault)),
            None => return (got, None),
        }
    }
}

/// All of it, cut into pieces of this size.
fn pushed(octets: &[u8], size: usize) -> Sections {
    let mut sections = Sections::new(Limits::DEFAULT);
    octets.chunks(size).for_each(|part| sections.push(Bytes::copy_from_slice(part)));
    sections.finish();
    sections
}

/// Also M-3.2.6-1: data sections one after the other are one body.
#[test]
fn m_3_2_1_1_a_message_is_taken_apart_however_it_is_cut() {
    let whole = whole();
    let expected = [&[1; 300][..], b"two"].concat();
    for size in 1..whole.len() + 1 {
        let mut sections = pushed(&whole, size);
        assert_eq!(data(&mut sections), (expected.clone(), None), "{size}");
        let head = sections.head().properties().expect("properties").expect("some");
        assert_eq!(head.subject.as_deref(), Some("subject"));
        assert!(sections.tail().footer().expect("a footer").is_some());
        let all: Vec<u8> = {
            let mut sections = pushed(&whole, size);
            std::iter::from_fn(|| sections.take_octets()).flatten().collect()
        };
        assert!(all == whole, "{size}");
    }
}

#[test]
fn every_descriptor_form_of_data_is_data() {
    for descriptor in [&b"\x53\x75"[..], b"\x80\0\0\0\0\0\0\0\x75", b"\xa3\x10amqp:data:binary"] {
        let octets = [b"\0", descriptor, b"\xa0\x02hi"].concat();
        assert_eq!(data(&mut pushed(&octets, 3)), (b"hi".to_vec(), None));
    }
}

#[test]
fn m_3_2_1_what_is_no_data_is_told_apart_and_every_octet_is_there() {
    const HI: &[u8] = b"\0\x53\x75\xa0\x02hi";
    let cases = [
        (b"\0\x53\x77\x40".to_vec(), &b""[..], Some(Malformed::NotData)),
        (b"\0\x53\x77\0\x53\x31\x45".to_vec(), b"", Some(Malformed::NotData)),
        (b"\0\x53\x76\x45".to_vec(), b"", Some(Malformed::NotData)),
        (b"hello".to_vec(), b"", Some(Malformed::NoSection)),
        (b"\0\x53\x75\xa1\x02hi".to_vec(), b"", Some(Malformed::NotData)),
        ([HI, b"\0\x53\x75\x40"].concat(), b"hi", Some(Malformed::NotData)),
        ([HI, b"\0\x53\x78\xc1\x01\0", HI].concat(), b"hi", Some(Malformed::Order)),
        ([HI, b"?"].concat(), b"hi", Some(Malformed::NoSection)),
        (b"\0\x53\x75\xa0\x05he".to_vec(), b"he", Some(Malformed::Truncated)),
        (b"\0\x53\x73\xc0\x05\x02".to_vec(), b"", Some(Malformed::Truncated)),
        ([HI, b"\0\x53"].concat(), b"hi", Some(Malformed::Truncated)),
        (vec![0; 100], b"", Some(Malformed::NoSection)),
        // Sections that are malformed in themselves, or that no message has, cost no data.
        ([b"\0\x53\x73\x40", HI].concat(), b"hi", None),
        ([b"\0\x53\x79\xa1\x01?", HI].concat(), b"hi", None),
        ([HI, b"\0\x53\x71\xc1\x01\0"].concat(), b"hi", None),
    ];
    for (octets, expected, fault) in cases {
        for size in [1, 2, 5, 1000] {
            assert_eq!(data(&mut pushed(&octets, size)), (expected.to_vec(), fault), "{octets:02x?} {size}");
            let mut sections = pushed(&octets, size);
            let all: Vec<u8> = std::iter::from_fn(|| sections.take_octets()).flatten().collect();
            assert_eq!(all, octets, "{size}");
            assert_eq!(data(&mut sections), (Vec::new(), fault), "it is not forgotten");
            // What no data was read of is there, whatever was read before.
            let mut sections = pushed(&octets, size);
            let (got, _) = data(&mut sections);
            let rest: Vec<u8> = std::iter::from_fn(|| sections.take_octets()).flatten().collect();
            assert!(octets.ends_with(&rest), "{octets:02x?}");
            assert!(!got.is_empty() || rest == octets, "{octets:02x?}");
        }
    }
}

#[test]
fn m_3_2_1_the_sections_around_the_body_are_read_each_by_itself() {
    let properties = b"\0\x53\x73\xc0\x05\x02\x40\xa0\x01u";
    // Sections that are cut or lost cannot be read, and those before them can.
    for rest in [&b"?"[..], b"\0\x53\x74\xc1\x09", b"\0"] {
        let sections = pushed(&[&properties[..], rest].concat(), 4);
        assert!(sections.head().properties().expect("in order").is_some());
        assert!(sections.head().application_properties().is_err() && sections.tail().footer().is_err());
    }
    // One that is too large costs itself.
    let mut large = b"\0\x53\x72\xd1\0\x08\0\0\0\0\0\0".to_vec();
    large.resize(large.len() + 0x8_0000 - 4, 0x40);
    let octets = [&large[..], properties, b"\0\x53\x75\xa0\x02hi"].concat();
    let mut sections = pushed(&octets, 4096);
    assert!(sections.is_full() && sections.waiting > 0x8_0000);
    let annotations = sections.head().message_annotations().map_err(|error| error.kind);
    assert_eq!(annotations, Err(DecodeErrorKind::UnexpectedFormatCode(0x40)));
    assert!(sections.head().properties().expect("in order").is_some());
    assert_eq!(data(&mut sections), (b"hi".to_vec(), None));
    // A section behind the body is out of its order.
    let sections = pushed(b"\0\x53\x75\xa0\0\0\x53\x71\xc1\x01\0", 3);
    let annotations = sections.tail().delivery_annotations().map_err(|error| error.kind);
    assert_eq!(annotations, Err(DecodeErrorKind::SectionOrder));
    assert_eq!(sections.tail().footer(), Ok(None));
}
