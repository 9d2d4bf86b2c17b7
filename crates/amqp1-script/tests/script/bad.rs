//! What the flaws make of frames.

use amqp1_codec::{
    Value,
    frame::{Frame, FrameDecoder, FrameErrorKind},
    performative::Performative,
};
use amqp1_script::{
    bad::{self, Flaw},
    frames,
};
use bytes::BytesMut;
use proptest::prelude::*;

fn decode(octets: &[u8]) -> Result<Option<Frame>, FrameErrorKind> {
    let mut decoder = FrameDecoder::new(1024, amqp1_codec::Limits::DEFAULT);
    decoder.decode(&mut BytesMut::from(octets)).map_err(|error| error.kind)
}

fn transfer() -> bytes::Bytes {
    frames::encode(2, frames::transfer(0, 1), b"payload")
}

#[test]
fn fields_of_the_header_say_what_is_asked() {
    let frame = transfer();
    let max = 1024;
    assert_eq!(decode(&bad::size(&frame, 7)), Err(FrameErrorKind::TooSmall { size: 7 }));
    assert_eq!(decode(&bad::size(&frame, 1025)), Err(FrameErrorKind::TooLarge { size: 1025, max }));
    assert_eq!(decode(&bad::data_offset(&frame, 1)), Err(FrameErrorKind::DataOffset(1)));
    assert_eq!(decode(&bad::frame_type(&frame, 9)), Err(FrameErrorKind::Type(9)));
    assert!(matches!(decode(&bad::channel(&frame, 77)), Ok(Some(Frame::Amqp { channel: 77, .. }))));
    assert_eq!(decode(&bad::cut(&frame, frame.len() - 1)), Ok(None));
}

#[test]
fn an_extended_header_is_no_flaw() {
    let frame = transfer();
    let extended = frames::with_extended_header(&frame, b"extra");
    assert_eq!((extended.len(), extended[4]), (frame.len() + 8, 4));
    assert_eq!(decode(&extended), decode(&frame));
    let longest = frames::with_extended_header(&frame, &[1; 5000]);
    assert_eq!((longest.len(), longest[4]), (frame.len() + 1012, 255));
    // What breaks the body leaves the header.
    let null = bad::null(&extended, 0).expect("transfer has fields");
    assert_eq!(null[..16], bad::size(&extended, null.len() as u32)[..16]);
}

#[test]
fn a_field_is_changed_and_all_else_kept() {
    let changed = bad::field(&transfer(), 0, 9u32).expect("transfer has fields");
    let Ok(Some(Frame::Amqp { channel: 2, performative: Some(Performative::Transfer(body)), payload })) =
        decode(&changed)
    else {
        panic!("{changed:?}")
    };
    assert_eq!((body.handle, body.delivery_id.expect("kept").0), (9, 1));
    assert_eq!(payload, &b"payload"[..]);
    // A field that was left off is put at its place.
    let more = bad::field(&transfer(), 5, true).expect("transfer has fields");
    assert!(
        matches!(decode(&more), Ok(Some(Frame::Amqp { performative: Some(Performative::Transfer(body)), .. })) if body.more)
    );
}

#[test]
fn every_flaw_is_one() {
    let sasl = frames::sasl(&frames::mechanisms(&["PLAIN"]));
    for frame in [
        frames::encode(0, frames::open("c"), b""),
        frames::encode(0, frames::begin(), b""),
        frames::encode(0, frames::attach_receiver("l", 0, "q"), b""),
        frames::encode(0, frames::credit(0, 1), b""),
        transfer(),
        frames::encode(0, frames::close(), b""),
        sasl.clone(),
    ] {
        let decoder = if frame == sasl { FrameDecoder::sasl } else { FrameDecoder::new };
        let decode = |octets: &[u8]| {
            decoder(1024, amqp1_codec::Limits::DEFAULT).decode(&mut BytesMut::from(octets)).map_err(|error| error.kind)
        };
        assert!(matches!(decode(&frame), Ok(Some(_))));
        let every = bad::every(&frame);
        assert!(every.len() > 15);
        for flawed in every {
            let error = decode(&flawed.octets).expect_err(&flawed.name);
            assert_eq!(matches!(error, FrameErrorKind::Body(_)), flawed.flaw == Flaw::Body, "{flawed:?}: {error:?}");
        }
    }
}

#[test]
fn what_is_no_frame_with_fields_has_none_to_break() {
    let empty = frames::empty(0);
    assert_eq!(bad::null(&empty, 0), None);
    assert_eq!(bad::undescribed(&empty), None);
    assert!(bad::every(&empty).iter().all(|flawed| flawed.flaw == Flaw::Header));
}

#[test]
fn flaws_do_not_show_what_they_break() {
    let frame = frames::sasl(&amqp1_codec::sasl::SaslBody::Init(frames::plain("user", "swordfish")));
    let octets = format!("{:?}", &frame[..]);
    for flawed in bad::every(&frame) {
        let text = format!("{flawed:?}");
        assert!(!text.contains("swordfish") && !text.contains(&octets), "{text}");
    }
}

proptest! {
    #[test]
    fn any_octets_can_be_broken(octets: Vec<u8>, number: u32, index: u8) {
        let _ = bad::size(&octets, number);
        let _ = bad::data_offset(&octets, index);
        let _ = bad::truncated(&octets, number as usize);
        let _ = bad::cut(&octets, number as usize);
        let _ = bad::body(&octets, &[index]);
        let _ = bad::field(&octets, index, Value::Null);
        let _ = bad::list_count(&octets, index);
        let _ = bad::every(&octets);
        let _ = frames::with_extended_header(&octets, &octets);
    }
}
