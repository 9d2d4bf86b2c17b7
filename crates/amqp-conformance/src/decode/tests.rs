use super::*;
use amqp1_codec::{
    frame::ProtocolHeader,
    message::Message,
    performative::Performative,
    sasl::{SaslResponse, Secret},
};
use amqp1_script::frames;
use etherparse::PacketBuilder;

/// A header, an open, and a transfer with a message.
fn conversation() -> Vec<u8> {
    [
        &ProtocolHeader::AMQP.encode()[..],
        &frames::encode(0, frames::open("client"), b""),
        &frames::encode(
            0,
            Performative::from(frames::transfer(0, 1)),
            b"\0\x53\x73\xc0\x06\x02\xa1\x02m1\x40\0\x53\x77\xa1\x05hello",
        ),
    ]
    .concat()
}

const SHOWN: &str = "header AMQP\n\
                     [0] open container-id=\"client\" max-frame-size=65536\n";

#[test]
fn hexadecimal_is_read_in_every_usual_form() {
    let octets = conversation();
    let plain: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    let wanted = decode(plain.as_bytes(), Form::Hex, None).expect("it is hexadecimal");
    assert!(wanted.starts_with(SHOWN), "{wanted}");
    let words = |chunk: &[u8]| chunk.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>();
    let rows = || octets.chunks(16).zip((0..).step_by(16));
    let text = |chunk: &[u8]| {
        chunk.iter().map(|o| if (32..127).contains(o) { char::from(*o) } else { '.' }).collect::<String>()
    };
    let hexdump: String = rows()
        .map(|(chunk, at)| {
            let words = words(chunk);
            let (left, right) = words.split_at(words.len().min(8));
            format!("{at:08x}  {}  {}  |{}|\n", left.join(" "), right.join(" "), text(chunk))
        })
        .collect();
    let xxd: String = rows()
        .map(|(chunk, at)| {
            let pairs: Vec<String> = words(chunk).chunks(2).map(<[String]>::concat).collect();
            format!("{at:08x}: {}  {}\n", pairs.join(" "), text(chunk))
        })
        .collect();
    let wireshark: String =
        rows().map(|(chunk, at)| format!("{at:04x}   {}   {}\n", words(chunk).join(" "), text(chunk))).collect();
    let rust: String = octets.iter().map(|octet| format!("0x{octet:02x}, ")).collect();
    let escapes: String = octets.iter().map(|octet| format!("\\x{octet:02X}")).collect();
    for form in [hexdump, xxd, wireshark, rust, escapes] {
        assert_eq!(decode(form.as_bytes(), Form::of(form.as_bytes()), None).expect("it is read"), wanted, "{form}");
    }
}

#[test]
fn what_is_not_hexadecimal_is_named_with_its_line() {
    let error = decode(b"00 01\nxyz\n", Form::Hex, None).expect_err("it is not hexadecimal");
    assert_eq!(error.to_string(), "line 2 is not hexadecimal: \"xyz\"");
    assert!(decode(b"0", Form::Hex, None).is_err());
}

#[test]
fn a_message_is_shown_by_its_sections() {
    let text = octets(&conversation(), false).text;
    assert!(text.contains("\n    properties message-id=\"m1\"\n"), "{text}");
    assert!(text.contains("\n    amqp-value \"hello\"\n") || text.ends_with("    amqp-value \"hello\"\n"), "{text}");
    assert_eq!(
        octets(b"\0\x53\x75\xa0\x02hi\0\x53\x74\xc1\x05\x02\xa1\x01a\x41", false).text,
        "data b\"hi\"\napplication-properties {\"a\": true}\n"
    );
    assert_eq!(
        octets(b"\0\x53\x77\xff", false).text,
        "4 octets that cannot be read: 0xff is not a format code (at octet 3)\n"
    );
}

#[test]
fn octets_that_are_not_finished_are_counted() {
    let text = octets(&conversation()[..20], false).text;
    assert_eq!(text, "header AMQP\n12 octets of a frame that is not finished\n");
}

#[test]
fn a_trace_of_proton_is_read_in_both_of_its_forms() {
    let trace = include_bytes!("../../tests/golden/proton.trace");
    assert_eq!(Form::of(trace), Form::Trace);
    let text = decode(trace, Form::Trace, None).expect("it is a trace");
    crate::report::golden("proton.decoded", &text);
    let old = "[0x1e0a2f0]:  -> AMQP\n[0x1e0a2f0]:0 <- @open(16) [container-id=\"broker\", channel-max=9]\n\
               [0x1e0a2f0]:0 -> (EMPTY FRAME)\nanything else\n\
               [0x1e0a2f0]:0 -> @transfer(20) [delivery-tag=b\"] (1) \"] (10) \"\\x00Sw\\xa1\\x05he\"lo\"\n\
               [0x1e0a2f0]:0 -> @transfer(20) [handle=0] (2000) \"\\x00Sw\"...\n";
    let wanted = "-> header AMQP\n<- [0] open container-id=\"broker\", channel-max=9\n-> [0] empty\n\
                  -> [0] transfer delivery-tag=b\"] (1) \"\n    amqp-value \"he\\\"lo\"\n\
                  -> [0] transfer handle=0\n    3 of 2000 octets are in the trace\n";
    assert_eq!(decode(old.as_bytes(), Form::Trace, None).expect("it is a trace"), wanted);
    assert!(matches!(decode(b"nothing", Form::Trace, None), Err(DecodeError::NoTrace)));
}

#[test]
fn a_password_in_a_trace_is_not_shown() {
    let trace = "[0x1]: SASL:FRM:0 -> @sasl-init(65) [mechanism=:PLAIN, initial-response=b\"\\x00me\\x00sesame\"]\n";
    let text = decode(trace.as_bytes(), Form::Trace, None).expect("it is a trace");
    assert_eq!(text, "-> [0] sasl-init mechanism=:PLAIN, …\n");
}

#[test]
fn a_password_is_shown_in_no_form_unless_that_is_asked_for() {
    let init = frames::sasl(&SaslBody::Init(frames::plain("me", "sesame")));
    let response = frames::sasl(&SaslBody::Response(SaslResponse { response: Secret(b"\0me\0sesame"[..].into()) }));
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>().into_bytes();
    let header = ProtocolHeader::SASL.encode();
    let stream = [&header[..], &init, &response].concat();
    let trace = |line: &str| format!("[0x1]: SASL:FRM:0 -> {line}\n").into_bytes();
    let packets = [packet((1, 40_000), (2, 5672), 77, false, &stream)];
    let middle = [packet((1, 40_000), (2, 5672), 77, false, b"\0\0\0\x06sesame!")];
    for (input, form) in [
        (hex(&stream), Form::Hex),
        (hex(&init[8..]), Form::Hex),
        (hex(&response[8..]), Form::Hex),
        (pcap(&packets), Form::Pcap),
        (pcap(&middle), Form::Pcap),
        (trace("@sasl-init(65) [mechanism=:PLAIN, initial-response=b\"\\x00me\\x00sesame\"]"), Form::Trace),
        (trace("@sasl-init(65)[mechanism=:PLAIN,initial-response=b\"\\x00me\\x00sesame\"]"), Form::Trace),
        (trace("@sasl-init(65) [initial-response=b\"mechanism=sesame, mechanism=sesame\"]"), Form::Trace),
        (trace("@SASL-RESPONSE(67) [response=b\"sesame\"]"), Form::Trace),
    ] {
        let shown = |shows_secrets| {
            let options = DecodeOptions { port: Some(5672), shows_secrets };
            decode_all(&input, form, &options).expect("it can be read").text
        };
        let hidden = shown(false);
        assert!(!hidden.contains("sesame") && !hidden.contains("73 65 73 61 6d"), "{hidden}");
        let all = shown(true);
        assert!(["sesame", "73 65 73 61 6d", "736573616d65"].iter().any(|secret| all.contains(secret)), "{all}");
    }
}

#[test]
fn a_token_of_claims_based_security_is_not_shown() {
    let body = Message::builder().application_property("operation", "put-token").value("sesame").build();
    let octets = body.into_parts().concat();
    let shown = message::sections(&octets, "", false);
    assert_eq!(shown, "application-properties {\"operation\": \"put-token\"}\namqp-value …\n");
    assert!(message::sections(&octets, "", true).ends_with("amqp-value \"sesame\"\n"));
}

/// A TCP packet on Ethernet.
fn packet(from: (u8, u16), to: (u8, u16), sequence: u32, is_syn: bool, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([0; 6], [1; 6])
        .ipv4([10, 0, 0, from.0], [10, 0, 0, to.0], 64)
        .tcp(from.1, to.1, sequence, 1024);
    let builder = if is_syn { builder.syn() } else { builder };
    let mut octets = Vec::new();
    builder.write(&mut octets, payload).expect("it is written");
    octets
}

/// A capture in the older form, each packet a millisecond after the one before.
fn pcap(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut octets = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0".to_vec();
    for (packet, micros) in packets.iter().zip((0u32..).step_by(1000)) {
        let length = u32::try_from(packet.len()).expect("it is small").to_le_bytes();
        octets.extend([&100u32.to_le_bytes()[..], &micros.to_le_bytes(), &length, &length, packet].concat());
    }
    octets
}

/// The same in the newer form.
fn pcapng(packets: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = u32::try_from(body.len() + 12).expect("it is small").to_le_bytes();
        [&kind.to_le_bytes()[..], &length, &body, &length].concat()
    };
    let mut octets = block(0x0a0d_0d0a, b"\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
    octets.extend(block(1, b"\x01\0\0\0\0\0\x04\0"));
    for (packet, micros) in packets.iter().zip((100_000_000u32..).step_by(1000)) {
        let length = u32::try_from(packet.len()).expect("it is small").to_le_bytes();
        octets.extend(block(6, &[&[0; 8][..], &micros.to_le_bytes(), &length, &length, packet].concat()));
    }
    octets
}

/// A conversation whose client's segments come twice and in another order, and an HTTP request.
fn packets() -> Vec<Vec<u8>> {
    let (client, server, other) = ((1, 40_000), (2, 5672), (3, 50_000));
    let octets = conversation();
    let from_client = |from: usize, to: usize| {
        packet(client, server, 101 + u32::try_from(from).expect("it is small"), false, &octets[from..to])
    };
    vec![
        packet(client, server, 100, true, b""),
        packet(server, client, 900, true, b""),
        from_client(0, 8),
        packet(other, (2, 80), 5, false, b"GET / HTTP/1.1\r\n\r\n"),
        from_client(30, octets.len()),
        from_client(0, 8),
        packet(server, client, 901, false, &ProtocolHeader::AMQP.encode()),
        from_client(8, 31),
        b"not even a frame".to_vec(),
    ]
}

#[test]
fn captures_in_both_forms_are_put_together_and_other_protocols_left_out() {
    let older = pcap(&packets());
    assert_eq!(Form::of(&older), Form::Pcap);
    let text = decode(&older, Form::Pcap, None).expect("it is a capture");
    let wanted = "    0.002000 10.0.0.1:40000 -> 10.0.0.2:5672 header AMQP\n\
                  \x20   0.006000 10.0.0.2:5672 -> 10.0.0.1:40000 header AMQP\n\
                  \x20   0.007000 10.0.0.1:40000 -> 10.0.0.2:5672 [0] open container-id=\"client\" max-frame-size=65536\n";
    assert!(text.starts_with(wanted), "{text}");
    assert!(text.ends_with("    amqp-value \"hello\"\n"), "{text}");
    let newer = pcapng(&packets());
    assert_eq!(decode(&newer, Form::of(&newer), None).expect("it is a capture"), text);
}

#[test]
fn the_middle_of_a_connection_is_read_if_its_port_is_named() {
    let frame = frames::encode(0, frames::end(), b"");
    let capture = pcap(&[packet((1, 40_000), (2, 5672), 77, false, &frame)]);
    assert!(matches!(decode(&capture, Form::Pcap, None), Err(DecodeError::NoStream)));
    let text = decode(&capture, Form::Pcap, Some(5672)).expect("it is named");
    assert_eq!(text, "    0.000000 10.0.0.1:40000 -> 10.0.0.2:5672 [0] end\n");
}

#[test]
fn a_capture_of_a_real_conversation_is_read() {
    let capture = include_bytes!("../../tests/golden/proton.pcap");
    crate::report::golden("proton.pcap.decoded", &decode(capture, Form::of(capture), None).expect("it is a capture"));
}

#[test]
fn a_packet_that_was_not_captured_is_told() {
    let octets = conversation();
    let (client, server) = ((1, 40_000), (2, 5672));
    let capture = pcap(&[
        packet(client, server, 100, true, b""),
        packet(client, server, 101, false, &octets[..8]),
        packet(client, server, 121, false, &octets[20..]),
    ]);
    let text = decode(&capture, Form::Pcap, None).expect("it is a capture");
    let octets = octets.len() - 20;
    let wanted = format!("10.0.0.1:40000 -> 10.0.0.2:5672: {octets} octets follow a packet that was not captured\n");
    assert!(text.ends_with(&wanted), "{text}");
}

#[test]
fn a_capture_that_is_cut_off_gives_what_it_has_and_a_damaged_one_an_error() {
    let whole = pcap(&packets());
    for length in 24..whole.len() {
        let result = decode(&whole[..length], Form::Pcap, None);
        assert!(matches!(result, Ok(_) | Err(DecodeError::NoStream)), "{length}: {result:?}");
    }
    assert!(decode(&whole[..10], Form::Pcap, None).is_err());
    let mut other = whole;
    other[20] = 105;
    let error = decode(&other, Form::Pcap, None).expect_err("the link type is not known");
    assert!(error.to_string().starts_with("packets of link type 105 cannot be read"), "{error}");
}
