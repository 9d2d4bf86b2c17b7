//! Reads back what an engine has written.

use amqp1_codec::{
    Limits,
    frame::{Frame, FrameDecoder, ProtocolHeader},
    performative::Performative,
    sasl::SaslBody,
};
use bytes::{Buf, Bytes, BytesMut};

/// What comes one after the other on a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A protocol header (§2.2, §5.3.2).
    Header(ProtocolHeader),
    /// A SASL frame (§5.3.3).
    Sasl(SaslBody),
    /// An AMQP frame (§2.3), or an empty one (§2.4.5).
    Frame {
        /// The channel.
        channel: u16,
        /// Its performative; none in an empty frame.
        body: Option<Performative>,
        /// What follows the performative.
        payload: Bytes,
        /// Octets of the whole frame.
        size: usize,
    },
}

/// Everything in these octets, all of which must be whole.
pub fn items(octets: &[u8]) -> Vec<Item> {
    sized_items(octets).into_iter().map(|(_, item)| item).collect()
}

/// The same, with how many octets each takes.
pub(crate) fn sized_items(octets: &[u8]) -> Vec<(usize, Item)> {
    let mut input = BytesMut::from(octets);
    // What a coordinator has named is said back as it is.
    let mut limits = Limits::DEFAULT;
    limits.long_transaction_ids = true;
    let mut items = Vec::new();
    while !input.is_empty() {
        if input.starts_with(b"AMQP") {
            let header = input.split_to(ProtocolHeader::LEN);
            let header = ProtocolHeader::decode(header.first_chunk().expect("eight octets"));
            items.push((ProtocolHeader::LEN, Item::Header(header.expect("a header"))));
            continue;
        }
        let sasl = input.get(5) == Some(&1);
        let new = if sasl { FrameDecoder::sasl } else { FrameDecoder::new };
        let before = input.len();
        let frame = new(u32::MAX, limits).decode(&mut input);
        let size = before - input.len();
        let item = match frame.expect("a well-formed frame").expect("a whole frame") {
            Frame::Sasl(body) => Item::Sasl(body),
            Frame::Amqp { channel, performative: body, payload } => Item::Frame { channel, body, payload, size },
        };
        items.push((size, item));
    }
    items
}

/// What can be read of octets that a test has made up, up to the first that cannot.
pub(crate) fn readable_items(octets: &[u8]) -> Vec<Item> {
    let mut input = BytesMut::from(octets);
    if input.starts_with(b"AMQP") && input.len() >= ProtocolHeader::LEN {
        input.advance(ProtocolHeader::LEN);
    }
    let mut items = Vec::new();
    let mut decoder = FrameDecoder::new(u32::MAX, Limits::DEFAULT);
    let mut before = input.len();
    while let Ok(Some(Frame::Amqp { channel, performative: body, payload })) = decoder.decode(&mut input) {
        items.push(Item::Frame { channel, body, payload, size: before - input.len() });
        before = input.len();
    }
    items
}

/// The AMQP frames among them.
pub fn frames(octets: &[u8]) -> Vec<(u16, Option<Performative>, Bytes)> {
    let frame = |item| match item {
        Item::Frame { channel, body, payload, .. } => Some((channel, body, payload)),
        _ => None,
    };
    items(octets).into_iter().filter_map(frame).collect()
}

/// What an end that has written this has announced as its largest frame (§2.7.1).
pub fn max_frame_size(octets: &[u8]) -> Option<u32> {
    frames(octets).into_iter().find_map(|(_, body, _)| match body {
        Some(Performative::Open(open)) => Some(open.max_frame_size),
        _ => None,
    })
}
