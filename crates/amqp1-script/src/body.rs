//! What a script can wait for by its type.

use crate::got::Got;
use amqp1_codec::{
    performative::{Attach, Begin, Close, Detach, Disposition, End, Flow, Open, Performative, Transfer},
    sasl::{SaslBody, SaslChallenge, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse},
};
use bytes::Bytes;
use std::{fmt, ops::Deref};

/// A performative, or the body of a SASL frame, and what came with it. It can be used as the body itself.
#[derive(Clone, PartialEq)]
pub struct Received<B> {
    /// The channel; 0 for SASL frames, which have none.
    pub channel: u16,
    /// The body.
    pub body: B,
    /// What followed it in the frame.
    pub payload: Bytes,
}

impl<B> Received<B> {
    fn new(channel: u16, body: B, payload: Bytes) -> Self {
        Self { channel, body, payload }
    }
}

impl<B> Deref for Received<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.body
    }
}

/// The payload is not shown.
impl<B: fmt::Debug> fmt::Debug for Received<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {:?} + {} octets", self.channel, self.body, self.payload.len())
    }
}

/// Something that [`Peer::expect`](crate::Peer::expect) can wait for: each performative, and each body of a SASL frame.
pub trait Body: Sized + sealed::Sealed {
    /// The specification's name for it.
    const NAME: &'static str;

    /// It, if it is what came.
    ///
    /// # Errors
    ///
    /// What came, if it is something else.
    fn of(got: Got) -> Result<Received<Self>, Box<Got>>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! performatives {
    ($($name:ident = $text:literal $(, $boxed:tt)?;)+) => { $(
        impl sealed::Sealed for $name {}

        impl Body for $name {
            const NAME: &'static str = $text;

            fn of(got: Got) -> Result<Received<Self>, Box<Got>> {
                match got {
                    Got::Frame(crate::AmqpFrame { channel, body: Some(Performative::$name(body)), payload, .. }) => {
                        Ok(Received::new(channel, $($boxed)? body, payload))
                    }
                    other => Err(Box::new(other)),
                }
            }
        }
    )+ };
}
performatives! {
    Open = "open", *;
    Begin = "begin", *;
    Attach = "attach", *;
    Flow = "flow";
    Transfer = "transfer";
    Disposition = "disposition";
    Detach = "detach", *;
    End = "end";
    Close = "close";
}

macro_rules! sasl {
    ($($choice:ident($name:ident) = $text:literal;)+) => { $(
        impl sealed::Sealed for $name {}

        impl Body for $name {
            const NAME: &'static str = $text;

            fn of(got: Got) -> Result<Received<Self>, Box<Got>> {
                match got {
                    Got::Sasl(SaslBody::$choice(body)) => Ok(Received::new(0, body, Bytes::new())),
                    other => Err(Box::new(other)),
                }
            }
        }
    )+ };
}
sasl! {
    Mechanisms(SaslMechanisms) = "sasl-mechanisms";
    Init(SaslInit) = "sasl-init";
    Challenge(SaslChallenge) = "sasl-challenge";
    Response(SaslResponse) = "sasl-response";
    Outcome(SaslOutcome) = "sasl-outcome";
}
