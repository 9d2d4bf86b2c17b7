//! ANONYMOUS, RFC 4505: no authentication, with a trace of who it might be.

use alloc::string::String;

use bytes::Bytes;

use super::{ClientMechanism, SaslError, SayAgain};

/// The registered name.
pub const NAME: &str = "ANONYMOUS";

/// RFC 4505 §2 allows a token of 255 characters.
const MAX_TRACE_CHARS: usize = 255;
const FIELD: &str = "trace";

/// The client's half: an initial response that holds the trace, empty if there is none.
#[derive(Clone, Debug)]
pub struct Anonymous {
    trace: Bytes,
    again: SayAgain,
}

impl Anonymous {
    /// Without a trace.
    pub const fn new() -> Self {
        Self { trace: Bytes::new(), again: SayAgain::new(NAME) }
    }

    /// With a trace, which is not secret and proves nothing; servers may log it.
    ///
    /// # Errors
    ///
    /// [`SaslError::FieldTooLong`] above 255 characters, [`SaslError::ForbiddenCharacter`] for control characters.
    pub fn with_trace(trace: impl Into<String>) -> Result<Self, SaslError> {
        let text = trace.into();
        check(&text)?;
        Ok(Self { trace: Bytes::from(text), again: SayAgain::new(NAME) })
    }
}

impl Default for Anonymous {
    fn default() -> Self {
        Self::new()
    }
}

impl ClientMechanism for Anonymous {
    fn name(&self) -> &'static str {
        NAME
    }

    fn initial_response(&mut self) -> Option<Bytes> {
        Some(self.trace.clone())
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Bytes, SaslError> {
        self.again.answer(challenge, &self.trace)
    }
}

/// The server's half: the trace in a client's response, empty if it gave none.
///
/// It is what a stranger wrote: no ground to authorise anything.
///
/// # Errors
///
/// [`SaslError::InvalidUtf8`], [`SaslError::FieldTooLong`] above 255 characters, [`SaslError::ForbiddenCharacter`] for
/// control characters.
pub fn trace(response: &[u8]) -> Result<&str, SaslError> {
    let text = core::str::from_utf8(response).map_err(|_| SaslError::InvalidUtf8 { field: FIELD })?;
    check(text)?;
    Ok(text)
}

fn check(text: &str) -> Result<(), SaslError> {
    if text.chars().nth(MAX_TRACE_CHARS).is_some() {
        return Err(SaslError::FieldTooLong { field: FIELD, max: MAX_TRACE_CHARS });
    }
    if text.chars().any(char::is_control) {
        return Err(SaslError::ForbiddenCharacter { field: FIELD });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_travels_as_it_is() {
        let mut client = Anonymous::with_trace("service").expect("a short trace");
        assert_eq!(client.initial_response().as_deref(), Some(b"service".as_slice()));
        assert_eq!(trace(b"service"), Ok("service"));
        assert_eq!(trace(b""), Ok(""));
    }

    #[test]
    fn a_bad_trace_is_refused_not_crashed_upon() {
        assert_eq!(trace(&[0xC3, 0x28]), Err(SaslError::InvalidUtf8 { field: "trace" }));
        assert_eq!(trace(b"a\nforged log line"), Err(SaslError::ForbiddenCharacter { field: "trace" }));
        assert_eq!(trace(b"a\0b"), Err(SaslError::ForbiddenCharacter { field: "trace" }));
    }

    #[test]
    fn a_trace_has_at_most_255_characters() {
        assert!(trace("å".repeat(255).as_bytes()).is_ok());
        let too_long = Err(SaslError::FieldTooLong { field: "trace", max: 255 });
        assert_eq!(trace("å".repeat(256).as_bytes()), too_long);
        assert_eq!(Anonymous::with_trace("a".repeat(256)).map(|_| ""), too_long);
    }
}
