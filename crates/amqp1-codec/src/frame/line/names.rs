//! The names of composites and of their fields, by the numeric descriptor.

use crate::{
    definitions::AmqpError,
    messaging::{Header, Modified, Properties, Received, Rejected, Source, Target},
    performative::{Attach, Begin, Close, Detach, Disposition, End, Flow, Open, Transfer},
    sasl::{SaslChallenge, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse},
    transaction::{Coordinator, Declare, Declared, Discharge, TransactionalState},
    types::KNOWN,
};

/// `amqp:open:list` gives `open`.
pub(super) fn name(code: u64) -> Option<&'static str> {
    let (_, symbol) = KNOWN.iter().find(|(known, _)| u64::from(*known) == code)?;
    symbol.split(':').nth(1)
}

macro_rules! fields {
    ($code:ident: $($ty:ident),+ $(,)?) => {
        match $code {
            $($ty::CODE => $ty::FIELDS,)+
            _ => &[],
        }
    };
}

/// The names of the fields, with underscores; none for a code that the specification does not know.
pub(super) fn fields(code: u64) -> &'static [&'static str] {
    let Ok(code) = u8::try_from(code) else { return &[] };
    fields!(
        code: Open, Begin, Attach, Flow, Transfer, Disposition, Detach, End, Close, AmqpError, Received, Rejected, Modified, Source,
        Target, Coordinator, Declare, Discharge, Declared, TransactionalState, SaslMechanisms, SaslInit, SaslChallenge,
        SaslResponse, SaslOutcome, Header, Properties,
    )
}
