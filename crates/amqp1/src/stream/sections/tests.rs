//! Messages that are cut anywhere, malformed or not.

use super::*;
use amqp1_codec::{DecodeErrorKind, Symbol, Value, messaging::Properties};

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

/// All octets until the end or a fault.
fn encoded(sections: &mut Sections) -> (Vec<u8>, Option<Malformed>) {
    let mut got = Vec::new();
    while let Some(octets) = sections.take_encoded() {
        match octets {
            Ok(octets) => got.extend_from_slice(&octets),
            Err(fault) => return (got, Some(fault)),
        }
    }
    (got, None)
}

const HI: &[u8] = b"\0\x53\x75\xa0\x02hi";
const FOOT: &[u8] = b"\0\x53\x78\xc1\x01\0";

/// Messages of every kind of body, with descriptors and sizes in every form.
fn messages() -> Vec<Vec<u8>> {
    let described = Value::described(Symbol::from_static("example:d"), Value::described(1_u64, "x".repeat(300)));
    let built = |builder: amqp1_codec::MessageBuilder| builder.build().into_parts().concat();
    let footed = || Message::builder().subject("s").footer("x-opt-end", true);
    vec![
        whole().to_vec(),
        built(footed().value("text")),
        built(footed().value(described)),
        built(footed().value(Value::Null)),
        built((0..100).fold(footed(), |builder, number| builder.sequence(vec![Value::from(number), "s".into()]))),
        built((0..100).fold(footed(), |builder, number| builder.data(vec![number; usize::from(number)]))),
        built(footed()),
        Vec::new(),
        [b"\0\xa3\x14amqp:properties:list\x45\0\xb3\0\0\0\x10amqp:data:binary\xb0\0\0\0\x02hi", FOOT].concat(),
        [b"\0\x80\0\0\0\0\0\0\0\x70\xd0\0\0\0\x04\0\0\0\0", HI, HI, b"\0\xa3\x0famqp:footer:map\xc1\x01\0"].concat(),
    ]
}

#[test]
fn m_3_2_3_whole_sections_in_their_order_are_passed_on_octet_for_octet() {
    for octets in messages() {
        for size in [1, 2, 3, 7, 64, 1000, octets.len().max(1)] {
            let mut sections = pushed(&octets, size);
            assert_eq!(encoded(&mut sections), (octets.clone(), None), "{octets:02x?} {size}");
            assert_eq!(sections.total(), octets.len() as u64);
        }
    }
}

/// Cut anywhere but between two sections.
#[test]
fn m_3_2_1_a_message_that_ends_within_a_section_is_refused() {
    for octets in messages() {
        let whole = Message::from_chunks([Bytes::from(octets.clone())]).expect("valid");
        let mut ends = vec![0];
        for section in whole.encoded_sections().expect("sections") {
            ends.push(ends.last().expect("one") + section.octets().len());
        }
        for length in 0..octets.len() {
            let cut = &octets[..length];
            let (got, fault) = encoded(&mut pushed(cut, 50));
            let expected = (!ends.contains(&length)).then_some(Malformed::Truncated);
            assert_eq!(fault, expected, "{length} of {octets:02x?}");
            assert!(cut.starts_with(&got) && (fault.is_some() || got == cut), "{length} of {octets:02x?}");
        }
    }
}

#[test]
fn m_3_2_1_what_is_no_section_or_stands_in_a_wrong_place_is_refused() {
    let value: &[u8] = b"\0\x53\x77\x40";
    for (before, wrong, fault) in [
        (&b""[..], b"hello".to_vec(), Malformed::NoSection),
        (HI, b"hello".to_vec(), Malformed::NoSection),
        (FOOT, vec![0; 100], Malformed::NoSection),
        // A descriptor that no section has, and one that is no descriptor.
        (HI, b"\0\x53\x79\x40".to_vec(), Malformed::NoSection),
        (HI, b"\0\x40\x40".to_vec(), Malformed::NoSection),
        (HI, b"\0\x53\x78\x3f".to_vec(), Malformed::NoSection),
        (HI, value.to_vec(), Malformed::Order),
        (value, HI.to_vec(), Malformed::Order),
        (value, value.to_vec(), Malformed::Order),
        (FOOT, HI.to_vec(), Malformed::Order),
        (FOOT, FOOT.to_vec(), Malformed::Order),
        (HI, b"\0\x53\x71\xc1\x01\0".to_vec(), Malformed::Order),
        (b"\0\x53\x73\x45", b"\0\x53\x70\x45".to_vec(), Malformed::Order),
    ] {
        let octets = [before, &wrong, b"more"].concat();
        for size in [1, 5, 1000] {
            let mut sections = pushed(&octets, size);
            assert_eq!(encoded(&mut sections), (before.to_vec(), Some(fault)), "{octets:02x?} {size}");
            assert_eq!(encoded(&mut sections), (Vec::new(), Some(fault)), "asked again");
            let rest: Vec<u8> = std::iter::from_fn(|| sections.take_octets()).flatten().collect();
            assert_eq!([before, &rest].concat(), octets, "the rest can be had");
        }
    }
    // Within a described value that has begun.
    let (got, fault) = encoded(&mut pushed(b"\0\x53\x77\0\x53\x01\x10more", 3));
    assert_eq!((got.len() < 7, fault), (true, Some(Malformed::NoSection)));
}

#[test]
fn a_message_of_another_format_is_passed_on_as_it_is() {
    let mut sections = Sections::opaque(Limits::DEFAULT);
    sections.push(Bytes::from_static(b"anything"));
    sections.finish();
    assert_eq!(encoded(&mut sections), (b"anything".to_vec(), None));
}

#[test]
fn m_3_2_9_1_the_footer_is_there_with_its_descriptor() {
    for footer in [FOOT, b"\0\x80\0\0\0\0\0\0\0\x78\xd1\0\0\0\x04\0\0\0\0", b"\0\xa3\x0famqp:footer:map\xc1\x01\0"] {
        for before in [HI, b"\0\x53\x77\0\x53\x01\x40", b"\0\x53\x76\x45\0\x53\x76\x45"] {
            let octets = [before, footer].concat();
            for size in [1, 3, 1000] {
                let mut sections = pushed(&octets, size);
                assert_eq!(sections.encoded_footer(), Ok(Some(Bytes::copy_from_slice(footer))));
                assert_eq!(encoded(&mut sections), (octets.clone(), None));
            }
        }
    }
    assert_eq!(pushed(HI, 3).encoded_footer(), Ok(None));
    assert_eq!(pushed(&[HI, b"?"].concat(), 3).encoded_footer(), Err(Malformed::NoSection));
    let mut large = b"\0\x53\x78\xd1\0\x08\0\0\0\0\0\0".to_vec();
    large.resize(large.len() + 0x8_0000 - 4, 0x40);
    assert_eq!(pushed(&[HI, &large].concat(), 4096).encoded_footer(), Err(Malformed::TooLarge));
}

/// Each of four octets, in pieces of any size: what waits does not take many times the memory of its octets.
#[test]
fn sections_that_are_wrong_again_and_again_do_not_take_more_memory_than_their_octets() {
    for section in [&b"\0\x53\x79\x40"[..], b"\0\x53\x76\x45", b"\0\x53\x73\x45"] {
        let octets = section.repeat(10_000);
        let sections = pushed(&octets, 4);
        assert!(sections.ready.len() < 60, "{section:02x?}: {}", sections.ready.len());
    }
}

#[test]
fn sections_whose_fault_was_passed_by_are_not_encoded_after_it() {
    let octets = [HI, b"\0\x53\x79\x40", FOOT].concat();
    let mut sections = pushed(&octets, 1000);
    assert_eq!(encoded(&mut sections), (HI.to_vec(), Some(Malformed::NoSection)));
    assert!(sections.take_octets().is_some());
    assert_eq!(encoded(&mut sections), (Vec::new(), Some(Malformed::NoSection)));
}
