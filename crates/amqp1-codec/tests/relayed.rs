//! Messages as an intermediary sends them on.
#![allow(missing_docs)]

use amqp1_codec::{
    EncodeStyle, Limits, Message, MessageBuilder, Symbol, Value,
    messaging::{Annotations, ApplicationProperties, Header, Properties},
};
use bytes::Bytes;

fn annotations(pairs: &[(&'static str, u32)]) -> Annotations {
    pairs.iter().map(|(key, value)| (Symbol::from_static(key), Value::Uint(*value))).collect()
}

/// Sections that stay as they are.
fn bare() -> MessageBuilder {
    Message::builder()
        .properties(Properties { to: Some("q".into()), ..Properties::default() })
        .application_property("a", 1_u32)
        .data(vec![7; 3000])
        .footer(Symbol::from_static("x-opt-crc"), 9_u32)
}

fn octets(message: amqp1_codec::EncodedMessage) -> Vec<u8> {
    message.into_parts().concat()
}

/// What comes with the hop.
fn of_a_hop(builder: MessageBuilder, sections: u8) -> MessageBuilder {
    let mut builder = builder;
    if sections & 1 != 0 {
        builder = builder.header(Header { durable: true, delivery_count: 3, ..Header::default() });
    }
    if sections & 2 != 0 {
        builder = builder.delivery_annotation(Symbol::from_static("x-opt-hop"), 1_u32);
    }
    if sections & 4 != 0 {
        builder = builder.message_annotation(Symbol::from_static("x-opt-old"), 2_u32);
    }
    builder
}

/// M-3.2.2-1: the annotations of the hop before are not among what is sent on.
#[test]
fn m_3_2_3_the_bare_message_and_the_footer_stay_octet_for_octet() {
    let header = Header { ttl: Some(5), ..Header::default() };
    let (hop, kept) = (annotations(&[("x-opt-next", 4)]), annotations(&[("x-opt-new", 5)]));
    for style in [EncodeStyle::Compact, EncodeStyle::Full] {
        let unchanged = octets(bare().style(style).build());
        let front = Message::builder()
            .header(header.clone())
            .delivery_annotation(Symbol::from_static("x-opt-next"), 4_u32)
            .message_annotations(kept.clone());
        let expected = [octets(front.build()), unchanged.clone()].concat();
        for sections in 0..8 {
            let sent = octets(of_a_hop(bare(), sections).style(style).build());
            // In one piece, and cut anywhere.
            for cut in [0, 1, 5, 20, 60, 100, 1000, sent.len() - 3] {
                let (left, right) = sent.split_at(cut);
                let chunks = [left, right].map(Bytes::copy_from_slice);
                let message = Message::from_chunks(chunks).expect("a message");
                assert_eq!(octets(message.relayed(&header, &hop, &kept)), expected, "{sections} {cut}");
                let plain = message.relayed(&Header::default(), &Annotations::new(), &Annotations::new());
                assert_eq!(octets(plain), unchanged, "{sections} {cut}: what says nothing is left out");
            }
        }
    }
}

/// M-3.2.2-1: nor are they where the sections are out of order.
#[test]
fn sections_in_any_order_keep_their_octets() {
    let mut limits = Limits::DEFAULT;
    limits.any_section_order = true;
    let unchanged = octets(bare().build());
    for sections in 0..8 {
        let front = octets(of_a_hop(Message::builder(), sections).build());
        let turned = Bytes::from([unchanged.clone(), front].concat());
        let message = Message::from_chunks_with_limits([turned], limits).expect("a message");
        let plain = message.relayed(&Header::default(), &Annotations::new(), &Annotations::new());
        assert_eq!(octets(plain), unchanged, "{sections}");
    }
}

#[test]
fn large_bodies_are_shared() {
    let sent = Bytes::from(octets(bare().data(vec![1; 100_000]).build()));
    let message = Message::from_bytes(sent.clone()).expect("a message");
    let again = message.relayed(&Header::default(), &Annotations::new(), &Annotations::new());
    let largest = again.chunks().max_by_key(|chunk| chunk.len()).expect("chunks");
    assert!(sent.as_ptr_range().contains(&largest.as_ptr()), "the octets are the same ones");
}

#[test]
fn application_properties_are_replaced_and_the_rest_stays_octet_for_octet() {
    let properties: ApplicationProperties = [("b", Value::from(2_u32))].into_iter().collect();
    let with = |sections: u8, own: bool, new: Option<&str>| {
        let mut builder = Message::builder();
        if sections & 8 != 0 {
            builder = builder.properties(Properties { to: Some("q".into()), ..Properties::default() });
        }
        if own {
            builder = builder.application_property("a", 1_u32);
        }
        if let Some(new) = new {
            builder = builder.application_property(new, 2_u32);
        }
        octets(of_a_hop(builder, sections).data(vec![7; 3000]).footer(Symbol::from_static("x-opt-crc"), 9_u32).build())
    };
    for sections in 0..16 {
        let expected = with(sections, false, Some("b"));
        for own in [false, true] {
            let sent = with(sections, own, None);
            for cut in [0, 1, 5, 20, 60, 1000, sent.len() - 3] {
                let (left, right) = sent.split_at(cut);
                let message = Message::from_chunks([left, right].map(Bytes::copy_from_slice)).expect("a message");
                assert_eq!(
                    octets(message.with_application_properties(&properties)),
                    expected,
                    "{sections} {own} {cut}"
                );
                let without = message.with_application_properties(&ApplicationProperties::new());
                assert_eq!(octets(without), with(sections, false, None), "{sections} {own} {cut}");
            }
        }
    }
    let malformed = Message::received([Bytes::from_static(b"no message")], Limits::DEFAULT);
    assert_eq!(octets(malformed.with_application_properties(&properties)), b"no message");
}
