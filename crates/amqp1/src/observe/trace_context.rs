//! W3C trace context in application properties.

use amqp1_codec::{EncodedMessage, IntoMessage, Message, Value, ValueRef};
use bytes::BytesMut;
use std::{fmt, str::FromStr, sync::Arc};

/// The names of the application properties.
const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// The longest `tracestate` that is taken from a message, in octets.
const MAX_STATE: usize = 4096;

/// Where a message stands in a distributed trace, as the recommendation *Trace Context* of the W3C has it. It travels in the
/// application properties `traceparent` and `tracestate`.
///
/// ```
/// use amqp1::{Message, observe::TraceContext};
///
/// let context: TraceContext = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?;
/// let sent = context.carried_by(Message::builder().data("hello"));
///
/// let received = Message::from_chunks(sent.into_parts())?;
/// assert_eq!(TraceContext::of(&received), Some(context));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    parent_id: [u8; 8],
    flags: u8,
    state: Option<Box<str>>,
}

/// A text that is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoTraceParent;

impl fmt::Display for NoTraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a traceparent: expected VERSION-TRACE_ID-PARENT_ID-FLAGS in lower-case hexadecimal digits")
    }
}

impl std::error::Error for NoTraceParent {}

impl TraceContext {
    /// A context of these ids; `None` if one of them is zero, which stands for none.
    pub fn new(trace_id: [u8; 16], parent_id: [u8; 8], sampled: bool) -> Option<Self> {
        let is_valid = trace_id != [0; 16] && parent_id != [0; 8];
        is_valid.then_some(Self { trace_id, parent_id, flags: u8::from(sampled), state: None })
    }

    /// Sets the `tracestate`: what vendors add, in the form that they have given it.
    #[must_use]
    pub fn with_state(self, state: impl Into<String>) -> Self {
        let state = state.into();
        Self { state: (!state.is_empty()).then(|| state.into()), ..self }
    }

    /// The id of the whole trace.
    pub fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// The id of the span that the message was sent in.
    pub fn parent_id(&self) -> [u8; 8] {
        self.parent_id
    }

    /// Whether the sender may have recorded the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 != 0
    }

    /// The `tracestate`.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The context that a message carries; `None` if there is none, or it is malformed.
    pub fn of(message: &Message) -> Option<Self> {
        let property = |name| message.application_property(name).ok().flatten().as_ref().and_then(ValueRef::as_text);
        let context: Self = property(TRACEPARENT)?.parse().ok()?;
        match property(TRACESTATE) {
            Some(state) if state.len() <= MAX_STATE => Some(context.with_state(state)),
            _ => Some(context),
        }
    }

    /// The message with this context, unless it carries one already. Octets that are not a message stay as they are.
    pub fn carried_by(&self, message: impl IntoMessage) -> EncodedMessage {
        self.put_into(message.into_message(None::<&mut BytesMut>))
    }

    fn put_into(&self, encoded: EncodedMessage) -> EncodedMessage {
        let Ok(message) = Message::from_chunks(encoded.chunks().cloned()) else { return encoded };
        let Ok(properties) = message.application_properties() else { return encoded };
        let mut properties = properties.unwrap_or_default();
        if properties.get(TRACEPARENT).is_some() {
            return encoded;
        }
        properties.insert(TRACEPARENT, self.to_string());
        if let Some(state) = &self.state {
            properties.insert(TRACESTATE, Value::String(state.as_ref().into()));
        }
        message.with_application_properties(&properties)
    }
}

/// The form of `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace_id.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str("-")?;
        self.parent_id.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        write!(f, "-{:02x}", self.flags)
    }
}

impl FromStr for TraceContext {
    type Err = NoTraceParent;

    /// Reads a `traceparent`. Of a version that is not known yet, the parts that version 00 has are read.
    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        let read = || {
            let mut parts = text.splitn(5, '-');
            let [version] = digits::<1>(parts.next()?)?;
            let (trace_id, parent_id) = (digits::<16>(parts.next()?)?, digits::<8>(parts.next()?)?);
            let [flags] = digits::<1>(parts.next()?)?;
            if version == 0xff || version == 0 && parts.next().is_some() {
                return None;
            }
            let context = Self::new(trace_id, parent_id, false)?;
            // The other bits have no meaning yet.
            Some(Self { flags: flags & 1, ..context })
        };
        read().ok_or(NoTraceParent)
    }
}

/// Octets in lower-case hexadecimal digits.
fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != N.checked_mul(2)? {
        return None;
    }
    let mut octets = [0; N];
    for (octet, pair) in octets.iter_mut().zip(text.chunks_exact(2)) {
        for digit in pair {
            let value = match digit {
                b'0'..=b'9' => digit.checked_sub(b'0')?,
                b'a'..=b'f' => digit.checked_sub(b'a')?.checked_add(10)?,
                _ => return None,
            };
            *octet = *octet << 4 | value;
        }
    }
    Some(octets)
}

/// Says which context the messages of a link carry.
#[derive(Clone)]
pub(crate) struct TraceSource(Arc<dyn Fn() -> Option<TraceContext> + Send + Sync>);

impl TraceSource {
    pub(crate) fn new(current: impl Fn() -> Option<TraceContext> + Send + Sync + 'static) -> Self {
        Self(Arc::new(current))
    }

    /// The message with the context that there is now.
    pub(crate) fn apply(&self, message: EncodedMessage) -> EncodedMessage {
        match (self.0)() {
            Some(context) => context.put_into(message),
            None => message,
        }
    }
}

impl fmt::Debug for TraceSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TraceSource")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn message(encoded: EncodedMessage) -> Message {
        Message::from_chunks(encoded.into_parts()).expect("a message")
    }

    #[test]
    fn a_traceparent_is_read_as_the_recommendation_says() {
        let context: TraceContext = PARENT.parse().expect("a traceparent");
        assert_eq!((context.to_string().as_str(), context.is_sampled()), (PARENT, true));
        assert_eq!(context.trace_id()[..3], [0x0a, 0xf7, 0x65]);
        assert_eq!(context.parent_id()[5..], [0x20, 0x33, 0x31]);
        // A later version may have more parts.
        let later = PARENT.replacen("00", "cc", 1);
        assert_eq!(later.parse(), Ok(context.clone()));
        assert_eq!(format!("{later}-what-ever").parse(), Ok(context.clone()));
        // Bits without a meaning are not passed on.
        assert_eq!(PARENT.replace("-01", "-ff").parse(), Ok(context));
        let unsampled: TraceContext = PARENT.replace("-01", "-00").parse().expect("a traceparent");
        assert!(!unsampled.is_sampled());
        for wrong in [
            "",
            "00",
            &PARENT.replacen("00", "ff", 1),
            &format!("{PARENT}-more"),
            &format!("{PARENT} "),
            &PARENT.to_uppercase(),
            &PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &PARENT.replace("b7ad6b7169203331", &"0".repeat(16)),
            &PARENT.replace("b7ad", "b7a"),
            &PARENT.replace("b7ad", "b7ag"),
            &PARENT.replace("b7ad", "b7é"),
        ] {
            assert_eq!(wrong.parse::<TraceContext>(), Err(NoTraceParent), "{wrong}");
        }
    }

    #[test]
    fn a_message_carries_a_context_and_keeps_the_one_that_it_has() {
        let context: TraceContext = PARENT.parse().expect("a traceparent");
        let context = context.with_state("vendor=1");
        let sent = message(context.carried_by(Message::builder().application_property("a", 1_u32).data("hello")));
        assert_eq!(TraceContext::of(&sent), Some(context.clone()));
        assert_eq!(sent.application_property("a").expect("read").and_then(|value| value.as_integer()), Some(1));
        assert_eq!(sent.data().as_deref(), Some(&b"hello"[..]));

        let other = TraceContext::new([1; 16], [2; 8], false).expect("not zero");
        let again = message(other.carried_by(sent.to_encoded()));
        assert_eq!(TraceContext::of(&again), Some(context));
        assert_eq!(again.to_encoded().into_parts().concat(), sent.to_encoded().into_parts().concat());

        let no_message = EncodedMessage::from_parts(["no message".into()]);
        assert_eq!(other.carried_by(no_message).into_parts().concat(), b"no message");
        assert_eq!(TraceContext::of(&message(Message::builder().data("hello").build())), None);
    }

    #[test]
    fn a_long_state_is_not_taken() {
        let context = |length: usize| {
            let property = "x".repeat(length);
            let builder = Message::builder().application_property("traceparent", PARENT);
            let sent = message(builder.application_property("tracestate", property).build());
            TraceContext::of(&sent).expect("a context").state().map(str::len)
        };
        assert_eq!(context(MAX_STATE), Some(MAX_STATE));
        assert_eq!(context(MAX_STATE + 1), None);
    }
}
