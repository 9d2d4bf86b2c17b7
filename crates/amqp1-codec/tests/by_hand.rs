//! What is read and written by hand is what the table of the composite types says (Y-1.3.3-1, Y-1.3.4-1 to Y-1.3.4-4,
//! Y-1.4-2), verdict and value, for whatever octets.

#[path = "../../../fuzz/src/codec.rs"]
#[allow(unreachable_pub, dead_code)]
mod codec;
#[path = "support/strategies.rs"]
#[allow(unreachable_pub, dead_code)]
mod strategies;

use amqp1_codec::{
    Encode, EncodeStyle,
    performative::{Disposition, Flow, Performative, Transfer},
};
use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*, sample::select};

/// One of the three, of any content.
fn performative() -> impl Strategy<Value = Performative> {
    prop_oneof![
        strategies::transfer().prop_map(Performative::from),
        strategies::flow().prop_map(Performative::from),
        strategies::disposition().prop_map(Performative::from),
    ]
}

/// A field as it may stand in one of the lists, right or wrong.
fn field() -> impl Strategy<Value = Vec<u8>> {
    const USUAL: [&[u8]; 20] = [
        &[0x40],
        &[0x40],
        &[0x41],
        &[0x42],
        &[0x43],
        &[0x44],
        &[0x45],
        &[0x56, 0],
        &[0x56, 1],
        &[0x56, 2],
        &[0x50, 0],
        &[0x50, 1],
        &[0x50, 2],
        &[0x00, 0x53, 0x24, 0x45],
        &[0x00, 0x53, 0x26, 0x45],
        &[0x00, 0x53, 0x24, 0xc0, 1, 0],
        &[0x00, 0x53, 0x23, 0xc0, 3, 2, 0x43, 0x44],
        &[0xc1, 1, 0],
        &[0xa0, 0],
        &[0xb0, 0, 0, 0, 1, 7],
    ];
    prop_oneof![
        6 => select(&USUAL[..]).prop_map(<[u8]>::to_vec),
        3 => any::<u8>().prop_map(|octet| vec![0x52, octet]),
        3 => any::<[u8; 4]>().prop_map(|octets| [&[0x70][..], &octets].concat()),
        2 => vec(any::<u8>(), 0..40).prop_map(|octets| [&[0xa0, octets.len() as u8][..], &octets].concat()),
        1 => vec(any::<u8>(), 1..6),
    ]
}

/// A described list of such fields, whose count and size mostly fit, with octets that follow.
fn list() -> impl Strategy<Value = Bytes> {
    let off = || prop_oneof![6 => Just(0i32), 1 => -2..3];
    let number = select(vec![Transfer::CODE, Flow::CODE, Disposition::CODE]);
    (number, vec(field(), 0..13), off(), off(), vec(any::<u8>(), 0..12)).prop_map(
        |(number, fields, count, size, rest)| {
            let count = (fields.len() as i32 + count) as u8;
            let fields = fields.concat();
            let size = (fields.len() as i32 + 1 + size) as u8;
            [&[0x00, 0x53, number, 0xc0, size, count][..], &fields, &rest].concat().into()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn lists_of_any_fields(octets in list()) {
        codec::by_hand_is_by_table(&octets);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_written_whole_cut_and_changed(body in performative(), at: u16, octet: u8) {
        for style in [EncodeStyle::Compact, EncodeStyle::Full] {
            let mut out = BytesMut::new();
            body.encode(style, &mut out);
            let whole = out.freeze();
            codec::by_hand_is_by_table(&whole);
            // The descriptor stays: it says what to compare with.
            let at = 3 + usize::from(at) % (whole.len() - 3);
            codec::by_hand_is_by_table(&whole.slice(..at));
            let mut changed = whole.to_vec();
            changed[at] = octet;
            codec::by_hand_is_by_table(&changed.into());
        }
    }
}

/// Every octet of what is usual, changed to every other.
#[test]
fn every_octet_of_the_usual_changed() {
    let usual = [
        Performative::from(Transfer { delivery_id: Some(amqp1_codec::SequenceNo(7)), ..Transfer::default() }),
        Flow { handle: Some(1), link_credit: Some(1000), echo: true, ..Flow::default() }.into(),
        Disposition {
            last: Some(amqp1_codec::SequenceNo(700)),
            state: Some(amqp1_codec::messaging::DeliveryState::Accepted),
            ..Disposition::default()
        }
        .into(),
    ];
    for performative in usual {
        let whole = performative.to_octets();
        for at in 3..whole.len() {
            for octet in 0..=u8::MAX {
                let mut changed = whole.to_vec();
                changed[at] = octet;
                codec::by_hand_is_by_table(&changed.into());
            }
        }
    }
}
