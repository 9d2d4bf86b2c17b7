//! MSSBCBS, Microsoft's mechanism without content: authentication follows by a token put to the `$cbs` node.
//!
//! A server treats it as ANONYMOUS: until a token was accepted, nothing but `$cbs` may be attached.

use bytes::Bytes;

use super::{ClientMechanism, SaslError};

/// The name that IoT Hub and Event Hubs list.
pub const NAME: &str = "MSSBCBS";

/// The client's half: no initial response, and nothing to say to a challenge.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mssbcbs(());

impl Mssbcbs {
    /// The mechanism has no parameters.
    pub const fn new() -> Self {
        Self(())
    }
}

impl ClientMechanism for Mssbcbs {
    fn name(&self) -> &'static str {
        NAME
    }

    fn initial_response(&mut self) -> Option<Bytes> {
        None
    }

    fn respond(&mut self, _challenge: &[u8]) -> Result<Bytes, SaslError> {
        Err(SaslError::UnexpectedChallenge { mechanism: NAME })
    }
}
