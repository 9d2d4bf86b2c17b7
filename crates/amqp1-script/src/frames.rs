//! Well-formed frames, with defaults that a plain script can live with.
//!
//! Those that take fields return the performative, so that a script can change what it wants:
//!
//! ```
//! use amqp1_codec::performative::Open;
//! use amqp1_script::frames;
//!
//! let open = Open { idle_time_out: Some(1000), ..frames::open("client") };
//! let octets = frames::encode(0, open, b"");
//! ```

use amqp1_codec::{
    Encode, EncodeStyle, SequenceNo, Str, Symbol,
    definitions::{AmqpError, ErrorCondition, Role},
    frame::{FrameWriter, write_sasl_frame},
    message::Message,
    messaging::{DeliveryState, Source, Target},
    performative::{
        Attach, Begin, Close, Detach, Disposition, End, Flow, Handle, Open, Performative, TargetArchetype, Transfer,
    },
    sasl::{SaslBody, SaslCode, SaslInit, SaslMechanisms, SaslOutcome, Secret},
};
use bytes::{Bytes, BytesMut};

/// How many transfers [`begin`] and the flows announce.
pub const WINDOW: u32 = 1000;

/// A whole frame.
pub fn encode(channel: u16, body: impl Into<Performative>, payload: &[u8]) -> Bytes {
    encode_styled(channel, body, payload, EncodeStyle::Compact)
}

/// A whole frame, with every field written if the style is [`EncodeStyle::Full`].
pub fn encode_styled(channel: u16, body: impl Into<Performative>, payload: &[u8], style: EncodeStyle) -> Bytes {
    let mut out = BytesMut::new();
    let frame = FrameWriter::begin(channel, &mut out);
    body.into().encode(style, &mut out);
    out.extend_from_slice(payload);
    frame.finish(0, &mut out);
    out.freeze()
}

/// A frame without a body (§2.4.5).
pub fn empty(channel: u16) -> Bytes {
    let mut out = BytesMut::new();
    FrameWriter::begin(channel, &mut out).finish(0, &mut out);
    out.freeze()
}

/// This frame with so many octets more in its header, which receivers pass over (§2.3.1). They are filled up to a
/// multiple of four, and what goes beyond the largest header, 1020 octets in all, is left off.
pub fn with_extended_header(frame: &[u8], extension: &[u8]) -> Bytes {
    let Some((header, rest)) = frame.split_first_chunk::<{ FrameWriter::HEADER }>() else {
        return Bytes::copy_from_slice(frame);
    };
    let mut extension = extension.get(..1012).unwrap_or(extension).to_vec();
    extension.resize(extension.len().next_multiple_of(4), 0);
    let [_, _, _, _, _, rest_of_header @ ..] = header;
    let size = u32::try_from(frame.len().saturating_add(extension.len())).unwrap_or(u32::MAX);
    let words = u8::try_from(extension.len() / 4).unwrap_or(u8::MAX).saturating_add(2);
    [&size.to_be_bytes(), &[words][..], rest_of_header, &extension, rest].concat().into()
}

/// A whole SASL frame (§5.3.1).
pub fn sasl(body: &SaslBody) -> Bytes {
    let mut out = BytesMut::new();
    write_sasl_frame(body, EncodeStyle::Compact, &mut out);
    out.freeze()
}

/// An open (§2.7.1) that takes frames of 64 KiB.
pub fn open(container_id: impl Into<Str>) -> Open {
    Open { container_id: container_id.into(), max_frame_size: 65_536, ..Open::default() }
}

/// A begin (§2.7.2) that counts from 0, with windows of [`WINDOW`].
pub fn begin() -> Begin {
    Begin { incoming_window: WINDOW, outgoing_window: WINDOW, ..Begin::default() }
}

/// A begin that answers the one that came on this channel.
pub fn begin_answering(remote_channel: u16) -> Begin {
    Begin { remote_channel: Some(remote_channel), ..begin() }
}

/// An attach (§2.7.3) of a link on which the script sends to this address; it counts from 0.
pub fn attach_sender(name: impl Into<Str>, handle: Handle, address: impl Into<Str>) -> Attach {
    Attach {
        name: name.into(),
        handle,
        role: Role::Sender,
        source: Some(Box::default()),
        target: Some(Target::at(address).into()),
        initial_delivery_count: Some(SequenceNo(0)),
        ..Attach::default()
    }
}

/// An attach of a link on which the script receives from this address.
pub fn attach_receiver(name: impl Into<Str>, handle: Handle, address: impl Into<Str>) -> Attach {
    Attach {
        name: name.into(),
        handle,
        role: Role::Receiver,
        source: Some(Box::new(Source::at(address))),
        target: Some(TargetArchetype::from(Target::default())),
        ..Attach::default()
    }
}

/// An attach that answers this one and agrees to all of it.
pub fn attach_answering(attach: &Attach, handle: Handle) -> Attach {
    Attach {
        name: attach.name.clone(),
        handle,
        role: attach.role.opposite(),
        snd_settle_mode: attach.snd_settle_mode,
        rcv_settle_mode: attach.rcv_settle_mode,
        source: attach.source.clone(),
        target: attach.target.clone(),
        initial_delivery_count: (attach.role == Role::Receiver).then_some(SequenceNo(0)),
        ..Attach::default()
    }
}

/// A flow (§2.7.4) of the session, at its start: nothing was sent or received yet.
pub fn flow() -> Flow {
    Flow { next_incoming_id: Some(SequenceNo(0)), incoming_window: WINDOW, outgoing_window: WINDOW, ..Flow::default() }
}

/// A flow that allows this many deliveries, from the link's first on.
pub fn credit(handle: Handle, link_credit: u32) -> Flow {
    Flow { handle: Some(handle), delivery_count: Some(SequenceNo(0)), link_credit: Some(link_credit), ..flow() }
}

/// The only transfer (§2.7.5) of an unsettled delivery, whose tag is its id.
pub fn transfer(handle: Handle, delivery_id: u32) -> Transfer {
    Transfer {
        handle,
        delivery_id: Some(SequenceNo(delivery_id)),
        delivery_tag: Some(delivery_id.into()),
        message_format: Some(0),
        ..Transfer::default()
    }
}

/// A message of one data section (§3.2.6).
pub fn message(data: impl Into<Bytes>) -> Bytes {
    Message::builder().data(data).build().into_parts().concat().into()
}

/// A disposition (§2.7.6) that settles one delivery; `role` is the script's.
pub fn settled(role: Role, delivery_id: u32, state: impl Into<Option<DeliveryState>>) -> Disposition {
    Disposition { role, first: SequenceNo(delivery_id), settled: true, state: state.into(), ..Disposition::default() }
}

/// A detach (§2.7.7) for good.
pub fn detach(handle: Handle) -> Detach {
    Detach { handle, closed: true, ..Detach::default() }
}

/// An end (§2.7.8) without an error.
pub fn end() -> End {
    End::default()
}

/// A close (§2.7.9) without an error.
pub fn close() -> Close {
    Close::default()
}

/// A close because of an error.
pub fn close_with(condition: ErrorCondition) -> Close {
    Close { error: Some(AmqpError::from(condition)) }
}

/// The mechanisms that a server offers (§5.3.3.1). What is not ASCII is left out.
pub fn mechanisms(names: &[&str]) -> SaslBody {
    let symbols = names.iter().filter_map(|name| Symbol::new(*name).ok());
    SaslBody::Mechanisms(SaslMechanisms { sasl_server_mechanisms: symbols.collect() })
}

/// A client that stays anonymous (§5.3.3.2).
pub fn anonymous() -> SaslInit {
    SaslInit { mechanism: Symbol::from_static("ANONYMOUS"), ..SaslInit::default() }
}

/// A client with a name and a password, which stands in no transcript.
pub fn plain(user: &str, password: &str) -> SaslInit {
    let response = [b"\0", user.as_bytes(), b"\0", password.as_bytes()].concat();
    SaslInit {
        mechanism: Symbol::from_static("PLAIN"),
        initial_response: Some(Secret(response.into())),
        ..SaslInit::default()
    }
}

/// The end of the SASL dialog (§5.3.3.5).
pub fn outcome(code: SaslCode) -> SaslBody {
    SaslBody::Outcome(SaslOutcome { code, additional_data: None })
}
