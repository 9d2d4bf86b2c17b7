//! Part 2, §2.2 and §2.3: protocol headers and frames.

use crate::support::{hex, read, shown, symbols};
use amqp1_codec::{
    DecodeErrorKind as Kind, DeliveryTag, Encode, EncodeStyle, Limits, SequenceNo,
    definitions::Role,
    frame::{
        Frame, FrameDecoder, FrameErrorKind, FrameWriter, MIN_MAX_FRAME_SIZE, ProtocolHeader, ProtocolId, write_frame,
        write_sasl_frame,
    },
    performative::{Attach, Begin, Close, Open, Performative, Transfer},
    sasl::{SaslBody, SaslCode, SaslMechanisms, SaslOutcome},
};
use bytes::BytesMut;

/// What one frame's octets are, and how many are left.
fn decode(decoder: &mut FrameDecoder, text: &str) -> (Result<Option<Frame>, FrameErrorKind>, usize) {
    let mut input = BytesMut::from(&hex(text)[..]);
    let frame = decoder.decode(&mut input).map_err(|error| error.kind);
    (frame, input.len())
}

fn amqp() -> FrameDecoder {
    FrameDecoder::new(512, Limits::STRICT)
}

/// The one frame that these octets are.
#[track_caller]
fn frame(text: &str) -> Frame {
    let (frame, left) = decode(&mut amqp(), text);
    assert_eq!(left, 0, "{text}");
    frame.expect(text).expect("a whole frame")
}

#[track_caller]
fn refused(text: &str, expected: FrameErrorKind) {
    assert_eq!(decode(&mut amqp(), text).0, Err(expected), "{text}");
}

#[track_caller]
fn body_refused(text: &str, kind: Kind) {
    match decode(&mut amqp(), text) {
        (Err(FrameErrorKind::Body(error)), left) => assert_eq!((error.kind, left), (kind, 0), "{text}"),
        other => panic!("{text}: {other:?}"),
    }
}

/// The close that stands in most frames here: descriptor and an empty list.
const CLOSE: &str = "00 53 18 45";

/// §2.2, §5.2, §5.3: eight octets name the layer and the version.
#[test]
fn protocol_headers_name_their_layer() {
    for (text, header, id) in [
        ("'AMQP' 00 010000", ProtocolHeader::AMQP, ProtocolId::Amqp),
        ("'AMQP' 02 010000", ProtocolHeader::TLS, ProtocolId::Tls),
        ("'AMQP' 03 010000", ProtocolHeader::SASL, ProtocolId::Sasl),
    ] {
        let octets = hex(text);
        assert_eq!(shown(&header.encode()), shown(&octets));
        assert_eq!(ProtocolHeader::decode(octets.first_chunk().expect("eight")), Some(header));
        assert_eq!((header.id, header.version), (id, [1, 0, 0]));
        assert!(header.is_supported());
    }
}

/// §2.2: other layers and versions are headers that are not supported, anything else is none.
#[test]
fn other_headers_are_told_from_what_is_none() {
    for text in ["'AMQP' 00 000901", "'AMQP' 00 010001", "'AMQP' 00 010100", "'AMQP' 00 020000", "'AMQP' 01 010000"] {
        let octets = hex(text);
        let header = ProtocolHeader::decode(octets.first_chunk().expect("eight")).expect(text);
        assert!(!header.is_supported(), "{text}");
        assert_eq!(shown(&header.encode()), shown(&octets), "{text}");
    }
    for text in
        ["'amqp' 00 010000", "'HTTP/1.1'", "'SSH-2.0-'", "0000000000000000", "'AMQ' 00 00 010000", "16030100 00000000"]
    {
        let octets = hex(text);
        assert_eq!(ProtocolHeader::decode(octets.first_chunk().expect("eight")), None, "{text}");
        assert!(!ProtocolHeader::may_begin_with(&octets[..4]), "{text}: told after four octets");
    }
    assert!((0..4).all(|end| ProtocolHeader::may_begin_with(&b"AMQP"[..end])));
}

/// T-2.3.1-1: SIZE counts the header, the extended header and the body; what follows is the next frame.
#[test]
fn size_counts_the_whole_frame() {
    let closed = Frame::Amqp { channel: 0, performative: Some(Close::default().into()), payload: hex("") };
    assert_eq!(frame(&format!("0000000c 02 00 0000 {CLOSE}")), closed);
    let (first, left) = decode(&mut amqp(), &format!("0000000c 02 00 0000 {CLOSE} 00000008 02 00 0000"));
    assert_eq!((first, left), (Ok(Some(closed)), 8));
    let mut out = BytesMut::new();
    write_frame(0, Some(&Close::default()), EncodeStyle::Compact, &mut out);
    assert_eq!(shown(&out), shown(&hex(&format!("0000000c 02 00 0000 {CLOSE}"))));
    // A body that is cut short by SIZE does not take from what follows.
    body_refused("0000000b 02 00 0000 00 53 18", Kind::Truncated);
    body_refused("0000000a 02 00 0000 00 53", Kind::Truncated);
    body_refused("00000009 02 00 0000 00", Kind::Truncated);
    // So does what is said of a payload that is written elsewhere.
    let mut out = BytesMut::new();
    let begun = FrameWriter::begin(0, &mut out);
    Encode::encode(&Close::default(), EncodeStyle::Compact, &mut out);
    begun.finish(5, &mut out);
    assert_eq!(shown(&out), shown(&hex(&format!("00000011 02 00 0000 {CLOSE}"))));
    // What stands before the frame is none of it.
    let begun = FrameWriter::begin(0, &mut out);
    Encode::encode(&Close::default(), EncodeStyle::Compact, &mut out);
    begun.finish(7, &mut out);
    assert_eq!(shown(&out[12..]), shown(&hex(&format!("00000013 02 00 0000 {CLOSE}"))));
}

/// T-2.3.1-1: each octet of SIZE counts, in what is written and in what is read.
#[test]
fn size_has_four_octets() {
    let transfer = hex("00 53 14 c0 02 01 43");
    for size in [0x0000_00ff_u32, 0x0000_0100, 0x0000_ffff, 0x0001_0000, 0x0001_00ff, 0x0012_3456] {
        let payload = vec![0x40; size as usize - 8 - transfer.len()];
        let mut octets = BytesMut::new();
        let begun = FrameWriter::begin(0, &mut octets);
        octets.extend_from_slice(&transfer);
        begun.finish(payload.len(), &mut octets);
        assert_eq!(octets[..4], size.to_be_bytes());
        octets.extend_from_slice(&payload);
        let mut decoder = FrameDecoder::new(1 << 24, Limits::STRICT);
        let mut partial = octets.clone();
        partial.truncate(octets.len() - 1);
        assert_eq!(decoder.decode(&mut partial), Ok(None), "{size:#x}");
        octets.extend_from_slice(&hex("00000008 02 00 0000"));
        let Ok(Some(Frame::Amqp { payload: read, .. })) = decoder.decode(&mut octets) else { panic!("{size:#x}") };
        assert_eq!((read.len(), octets.len()), (payload.len(), 8), "{size:#x}");
    }
    // The payload is written elsewhere, so that any size can be announced.
    for payload in [0x0100_0000_u32, 0x7fff_ffff, 0xffff_ff00] {
        let mut octets = BytesMut::new();
        FrameWriter::begin(0, &mut octets).finish(payload as usize, &mut octets);
        assert_eq!(octets[..4], (payload + 8).to_be_bytes());
        assert_eq!(amqp().wanted(&octets), Some(payload as usize + 8));
    }
}

/// T-2.3.1-1: until SIZE octets are there nothing is taken; how many are wanted is known after four.
#[test]
fn frames_are_taken_when_they_are_whole() {
    let whole = hex(&format!("0000000c 02 00 0000 {CLOSE}"));
    for end in 0..whole.len() {
        let mut input = BytesMut::from(&whole[..end]);
        assert_eq!(amqp().decode(&mut input), Ok(None), "{end}");
        assert_eq!(input.len(), end);
        assert_eq!(amqp().wanted(&input), (end >= 4).then_some(12), "{end}");
    }
}

/// T-2.3.1-2: a SIZE below 8 is malformed.
#[test]
fn sizes_below_eight_are_malformed() {
    for size in 0..8 {
        refused(&format!("{size:08x} 02 00 0000 {CLOSE}"), FrameErrorKind::TooSmall { size });
        refused(&format!("{size:08x}"), FrameErrorKind::TooSmall { size });
    }
}

/// T-2.7.1-6, T-2.7.1-7, T-2.8.19-1: up to max-frame-size, which is 512 at the least, and not one octet more.
#[test]
fn frames_beyond_the_maximum_are_refused() {
    assert_eq!(MIN_MAX_FRAME_SIZE, 512);
    let transfer = |size: usize| format!("{size:08x} 02 00 0000 00 53 14 c0 02 01 43 {}", "00".repeat(size - 15));
    let Frame::Amqp { payload, .. } = frame(&transfer(512)) else { panic!("a transfer") };
    assert_eq!(payload.len(), 512 - 15);
    refused(&transfer(513), FrameErrorKind::TooLarge { size: 513, max: 512 });
    refused("00000201", FrameErrorKind::TooLarge { size: 513, max: 512 });
    refused("ffffffff 02 00 0000", FrameErrorKind::TooLarge { size: u32::MAX, max: 512 });
    let mut decoder = amqp();
    decoder.set_max_frame_size(513);
    assert!(matches!(decode(&mut decoder, &transfer(513)), (Ok(Some(_)), 0)));
}

/// T-2.3.1-3, T-2.3.1-4: DOFF is 2 at the least, and within SIZE, which need not be a multiple of four.
#[test]
fn the_data_offset_lies_behind_the_header_and_within_the_frame() {
    for doff in [0u8, 1, 4, 5, 255] {
        refused(&format!("0000000c {doff:02x} 00 0000 {CLOSE}"), FrameErrorKind::DataOffset(doff));
    }
    refused("00000008 03 00 0000", FrameErrorKind::DataOffset(3));
    for (mut decoder, kind) in [(amqp(), 0), (FrameDecoder::sasl(512, Limits::STRICT), 1)] {
        for (size, doff) in (8..=24usize).flat_map(|size| (0..=8u8).chain([255]).map(move |doff| (size, doff))) {
            // There is enough behind the frame to be taken for a part of it.
            let text = format!("{size:08x} {doff:02x} {kind:02x} 0000 {}", "00".repeat(1100));
            let (frame, _) = decode(&mut decoder, &text);
            let fits = doff >= 2 && 4 * usize::from(doff) <= size;
            let is_refused = frame == Err(FrameErrorKind::DataOffset(doff));
            assert_eq!(is_refused, !fits, "size {size}, DOFF {doff}, type {kind}: {frame:?}");
        }
    }
}

/// T-2.3.1-5: what an extended header holds is skipped.
#[test]
fn extended_headers_are_skipped() {
    let closed = frame(&format!("0000000c 02 00 0000 {CLOSE}"));
    assert_eq!(frame(&format!("00000010 03 00 0000 deadbeef {CLOSE}")), closed);
    assert_eq!(frame(&format!("00000018 05 00 0000 00000008 02000000 00531045 {CLOSE}")), closed);
    let empty = Frame::Amqp { channel: 7, performative: None, payload: hex("") };
    assert_eq!(frame("0000000c 03 00 0007 ffffffff"), empty);
    // However long it is, before each kind of body: what it holds looks like a body too.
    let bodies = [
        "",
        "00 53 10 c0 04 01 a1 01 'c'",
        "00 53 13 c0 05 04 40 43 43 43",
        "00 53 13 c0 0a 09 40 43 43 43 40 40 40 40 41",
        "00 53 14 c0 02 01 43",
        "00 53 14 c0 02 01 43 | 00 53 75 a0 02 'hi'",
        "00 53 14 d0 00000005 00000001 43 | 00 53 75 a0 02 'hi'",
        "00 53 15 c0 03 02 42 43",
        CLOSE,
    ];
    let mut decoder = FrameDecoder::new(2048, Limits::STRICT);
    for body in bodies {
        let size = hex(body).len() + 8;
        let plain = decode(&mut decoder, &format!("{size:08x} 02 00 0102 {body}"));
        assert!(matches!(plain, (Ok(Some(_)), 0)), "{body}");
        for doff in [3usize, 4, 63, 64, 65, 255] {
            let size = size + 4 * (doff - 2);
            let extended = "00531045".repeat(doff - 2);
            // The octets behind the frame are not its own.
            let followed = format!("{size:08x} {doff:02x} 00 0102 {extended} {body} 00000008 02000000");
            assert_eq!(decode(&mut decoder, &followed), (plain.0.clone(), 8), "{doff} {body}");
        }
    }
    let mut sasl = FrameDecoder::sasl(2048, Limits::STRICT);
    let plain = decode(&mut sasl, "00000010 02 01 0000 00 53 44 c0 03 01 50 00");
    let extended = format!("00000400 fe 01 0000 {} 00 53 44 c0 03 01 50 00", "00".repeat(4 * 252));
    assert!(matches!(plain, (Ok(Some(_)), 0)));
    assert_eq!(decode(&mut sasl, &extended), plain);
}

/// T-2.3.1-6: TYPE is that of the layer: 00 for AMQP, 01 for SASL, and nothing else.
#[test]
fn types_are_those_of_the_layer() {
    let mut sasl = FrameDecoder::sasl(512, Limits::STRICT);
    for kind in 0..=255u8 {
        let text = format!("0000000c 02 {kind:02x} 0000 {CLOSE}");
        if kind != 0 {
            refused(&text, FrameErrorKind::Type(kind));
        }
        // Also of a frame without a body.
        let empty = format!("00000008 02 {kind:02x} 0000");
        if kind != 0 {
            refused(&empty, FrameErrorKind::Type(kind));
        }
        if kind != 1 {
            assert_eq!(decode(&mut sasl, &text).0, Err(FrameErrorKind::Type(kind)), "{kind:#x}");
            assert_eq!(decode(&mut sasl, &empty).0, Err(FrameErrorKind::Type(kind)), "{kind:#x}");
        }
    }
}

/// T-2.3.2-1: octets six and seven are the channel; the body is one performative.
#[test]
fn a_body_is_one_performative() {
    let Frame::Amqp { channel, performative, .. } = frame(&format!("0000000c 02 00 fffe {CLOSE}")) else {
        panic!("an AMQP frame");
    };
    assert_eq!((channel, performative), (0xfffe, Some(Performative::Close(Close::default()))));
    let mut out = BytesMut::new();
    let begin = Begin { next_outgoing_id: SequenceNo(1), incoming_window: 2, outgoing_window: 3, ..Begin::default() };
    write_frame(0x0102, Some(&begin), EncodeStyle::Compact, &mut out);
    assert_eq!(shown(&out), shown(&hex("00000015 02 00 0102 00 53 11 c0 08 04 40 52 01 52 02 52 03")));
    for (body, size, kind) in [
        ("40", 9, Kind::NotDescribed),
        ("45", 9, Kind::NotDescribed),
        ("c0 01 00", 11, Kind::NotDescribed),
        // Sections, states, SASL, and what nobody knows are described, and no performatives.
        ("00 53 70 45", 12, Kind::UnexpectedDescriptor),
        ("00 53 24 45", 12, Kind::UnexpectedDescriptor),
        ("00 53 44 45", 12, Kind::UnexpectedDescriptor),
        ("00 53 19 45", 12, Kind::UnexpectedDescriptor),
        ("00 44 45", 11, Kind::UnexpectedDescriptor),
        ("00 a3 03 'x:y' 45", 15, Kind::UnexpectedDescriptor),
        // The whole number counts, not its last octet.
        ("00 80 0000000000000118 45", 19, Kind::UnexpectedDescriptor),
        ("00 80 0000000100000018 45", 19, Kind::UnexpectedDescriptor),
        ("00 80 0000468c00000018 45", 19, Kind::UnexpectedDescriptor),
        ("00 80 0100000000000018 45", 19, Kind::UnexpectedDescriptor),
    ] {
        body_refused(&format!("{size:08x} 02 00 0000 {body}"), kind);
    }
    assert_eq!(frame("00000013 02 00 0000 00 80 0000000000000018 45"), frame(&format!("0000000c 02 00 0000 {CLOSE}")));
}

/// T-2.3.2-2: a frame without a body only shows that its sender lives, on any channel.
#[test]
fn frames_may_be_empty() {
    for channel in [0, 1, 65_535] {
        let empty = Frame::Amqp { channel, performative: None, payload: hex("") };
        assert_eq!(frame(&format!("00000008 02 00 {channel:04x}")), empty);
        // The frame behind it stays in the buffer.
        let followed = format!("00000008 02 00 {channel:04x} 0000000c 02 00 0000 {CLOSE}");
        assert_eq!(decode(&mut amqp(), &followed), (Ok(Some(empty.clone())), 12));
        let extended = format!("0000000c 03 00 {channel:04x} 00531845 0000000c 02 00 0000 {CLOSE}");
        assert_eq!(decode(&mut amqp(), &extended), (Ok(Some(empty)), 12));
    }
    let mut out = BytesMut::new();
    write_frame(0, None::<&Close>, EncodeStyle::Compact, &mut out);
    assert_eq!(shown(&out), "0000000802000000");
}

/// T-2.3.2-3: a transfer is followed by its payload, anything else by nothing.
#[test]
fn only_a_transfer_has_a_payload() {
    let Frame::Amqp { performative, payload, .. } = frame("00000013 02 00 0000 00 53 14 c0 02 01 43 00 53 77 40")
    else {
        panic!("an AMQP frame");
    };
    assert_eq!((performative, shown(&payload)), (Some(Transfer::default().into()), "00537740".into()));
    for text in [
        format!("0000000d 02 00 0000 {CLOSE} 40"),
        format!("00000010 02 00 0000 {CLOSE} {CLOSE}"),
        "00000012 02 00 0000 00 53 10 c0 04 01 a1 01 'c' 00".into(),
    ] {
        body_refused(&text, Kind::TrailingOctets);
    }
    for body in [
        "00 53 10 c0 04 01 a1 01 'c'",
        "00 53 11 c0 08 04 40 52 01 52 02 52 03",
        "00 53 12 c0 06 03 a1 01 'l' 43 41",
        "00 53 13 c0 05 04 40 43 43 43",
        "00 53 13 c0 0a 09 40 43 43 43 40 40 40 40 41",
        "00 53 13 d0 00000008 00000004 40 43 43 43",
        "00 53 15 c0 03 02 42 43",
        "00 53 15 c0 06 05 41 43 40 41 40",
        "00 53 15 d0 00000006 00000002 42 43",
        "00 53 16 c0 02 01 43",
        "00 53 17 45",
        CLOSE,
    ] {
        let framed = |octets: &str| format!("{:08x} 02 00 0000 {octets}", hex(octets).len() + 8);
        assert!(matches!(frame(&framed(body)), Frame::Amqp { payload, .. } if payload.is_empty()), "{body}");
        for more in ["40", "00", "00 53 77 40", body] {
            body_refused(&framed(&format!("{body} {more}")), Kind::TrailingOctets);
        }
    }
    let mut out = BytesMut::new();
    let writer = FrameWriter::begin(3, &mut out);
    Encode::encode(&Transfer::default(), EncodeStyle::Compact, &mut out);
    writer.finish(4, &mut out);
    assert_eq!(shown(&out), shown(&hex("00000013 02 00 0003 00 53 14 c0 02 01 43")), "four octets are to follow");
}

/// S-5.3.1-1, S-5.3.1-4: octets six and seven and an extended header mean nothing to SASL; the body is one of its five.
#[test]
fn sasl_frames_ignore_what_amqp_frames_use() {
    let mut sasl = FrameDecoder::sasl(512, Limits::STRICT);
    let outcome = SaslBody::Outcome(SaslOutcome { code: SaslCode::Ok, additional_data: None });
    for text in [
        "00000010 02 01 0000 00 53 44 c0 03 01 50 00",
        "00000010 02 01 abcd 00 53 44 c0 03 01 50 00",
        "00000014 03 01 0000 deadbeef 00 53 44 c0 03 01 50 00",
    ] {
        assert_eq!(decode(&mut sasl, text), (Ok(Some(Frame::Sasl(outcome.clone()))), 0), "{text}");
    }
    let mut out = BytesMut::new();
    write_sasl_frame(&outcome, EncodeStyle::Compact, &mut out);
    assert_eq!(shown(&out), shown(&hex("00000010 02 01 0000 00 53 44 c0 03 01 50 00")));
    out.clear();
    let mechanisms = SaslMechanisms { sasl_server_mechanisms: symbols(&["PLAIN", "EXTERNAL"]).into() };
    write_sasl_frame(&SaslBody::Mechanisms(mechanisms), EncodeStyle::Compact, &mut out);
    let expected = "00000021 02 01 0000 00 53 40 c0 14 01 e0 11 02 a3 05 'PLAIN' 08 'EXTERNAL'";
    assert_eq!(shown(&out), shown(&hex(expected)));
}

/// S-5.3.1-2, S-5.3.1-3, S-5.3.1-4: no more than 512 octets, not empty, and nothing after the body or beside the five.
#[test]
fn sasl_frames_hold_one_body() {
    let mut sasl = FrameDecoder::sasl(512, Limits::STRICT);
    for (text, kind) in [
        ("00000008 02 01 0000", Kind::Truncated),
        ("00000011 02 01 0000 00 53 44 c0 03 01 50 00 00", Kind::TrailingOctets),
        ("0000000c 02 01 0000 00 53 18 45", Kind::UnexpectedDescriptor),
        ("0000000c 02 01 0000 00 53 45 45", Kind::UnexpectedDescriptor),
        ("00000009 02 01 0000 45", Kind::NotDescribed),
    ] {
        match decode(&mut sasl, text) {
            (Err(FrameErrorKind::Body(error)), 0) => assert_eq!(error.kind, kind, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    for body in [
        "00 53 40 c0 08 01 a3 05 'PLAIN'",
        "00 53 41 c0 08 01 a3 05 'PLAIN'",
        "00 53 42 c0 03 01 a0 00",
        "00 53 43 c0 03 01 a0 00",
        "00 53 44 c0 03 01 50 00",
    ] {
        let framed = |octets: String| format!("{:08x} 02 01 0000 {octets}", hex(&octets).len() + 8);
        assert!(matches!(decode(&mut sasl, &framed(body.into())), (Ok(Some(Frame::Sasl(_))), 0)), "{body}");
        for more in ["40", "00", body] {
            match decode(&mut sasl, &framed(format!("{body} {more}"))) {
                (Err(FrameErrorKind::Body(error)), 0) => assert_eq!(error.kind, Kind::TrailingOctets, "{body} {more}"),
                other => panic!("{body} {more}: {other:?}"),
            }
        }
    }
    let large = decode(&mut sasl, "00000201 02 01 0000").0;
    assert_eq!(large, Err(FrameErrorKind::TooLarge { size: 513, max: 512 }));
}

/// T-2.3.2-1: each performative in a frame, by its number and by its name.
#[test]
fn performatives_are_told_by_number_and_by_name() {
    let tag = DeliveryTag::new(b"t").expect("short");
    let all: [(u8, &str, &str, Performative); 9] = [
        (0x10, "open", "c0 04 01 a1 01 'c'", Open { container_id: "c".into(), ..Open::default() }.into()),
        (
            0x11,
            "begin",
            "c0 08 04 40 52 01 52 02 52 03",
            Begin { next_outgoing_id: SequenceNo(1), incoming_window: 2, outgoing_window: 3, ..Begin::default() }
                .into(),
        ),
        (
            0x12,
            "attach",
            "c0 06 03 a1 01 'l' 43 41",
            Attach { name: "l".into(), role: Role::Receiver, ..Attach::default() }.into(),
        ),
        (0x13, "flow", "c0 05 04 40 43 43 43", amqp1_codec::performative::Flow::default().into()),
        (
            0x14,
            "transfer",
            "c0 06 03 43 43 a0 01 't'",
            Transfer { delivery_id: Some(SequenceNo(0)), delivery_tag: Some(tag), ..Transfer::default() }.into(),
        ),
        (0x15, "disposition", "c0 03 02 42 43", amqp1_codec::performative::Disposition::default().into()),
        (0x16, "detach", "c0 02 01 43", amqp1_codec::performative::Detach::default().into()),
        (0x17, "end", "45", amqp1_codec::performative::End::default().into()),
        (0x18, "close", "45", Close::default().into()),
    ];
    for (code, name, list, performative) in all {
        for descriptor in crate::table::descriptors(code, name) {
            let text = format!("{} {list}", shown(&descriptor));
            assert_eq!(read::<Performative>(&text), performative, "{text}");
            let size = 8 + hex(&text).len();
            let Frame::Amqp { performative: framed, .. } = frame(&format!("{size:08x} 02 00 0000 {text}")) else {
                panic!("an AMQP frame");
            };
            assert_eq!(framed, Some(performative.clone()));
        }
        assert_eq!(performative.name(), name);
        let compact = crate::support::written(&performative, EncodeStyle::Compact);
        assert_eq!(shown(&compact), shown(&hex(&format!("00 53 {code:02x} {list}"))), "{name}");
    }
}
