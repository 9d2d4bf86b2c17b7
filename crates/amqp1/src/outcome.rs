//! What became of a message that was sent.

use crate::error::{Delivered, Error, ErrorKind};
use amqp1_codec::{
    Described,
    definitions::AmqpError,
    messaging::{DeliveryState, Modified},
    transaction::{Declared, TransactionalState},
};
use std::sync::Arc;

/// What the receiver did with a message (§3.4).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// Processed.
    Accepted,
    /// The coordinator has begun a transaction (§4.5.5).
    Declared(Declared),
    /// The receiver settled with a state of an extension, which this library does not know.
    Extension(Arc<Described>),
    /// Not processed, to be changed.
    Modified(Modified),
    /// Invalid.
    Rejected(Option<AmqpError>),
    /// Not processed.
    Released,
    /// Sent settled: there is no outcome, and the message is on its way.
    SentSettled,
    /// The receiver settled without saying how.
    SettledWithoutState,
    /// Part of a transaction (§4.5.8).
    Transactional(TransactionalState),
}

impl Outcome {
    pub(crate) fn of(state: Option<DeliveryState>) -> Self {
        match state {
            None | Some(DeliveryState::Received(_)) => Self::SettledWithoutState,
            Some(DeliveryState::Accepted) => Self::Accepted,
            Some(DeliveryState::Rejected(error)) => Self::Rejected(error.map(|error| *error)),
            Some(DeliveryState::Released) => Self::Released,
            Some(DeliveryState::Modified(state)) => Self::Modified(*state),
            Some(DeliveryState::Declared(state)) => Self::Declared(*state),
            Some(DeliveryState::Transactional(state)) => Self::Transactional(*state),
            Some(DeliveryState::Extension(state)) => Self::Extension(state),
        }
    }

    /// The state that the receiver settled with, if it stated any: for
    /// [`HeldMessage::settle`](amqp1_engine::terminus::HeldMessage::settle), for one.
    pub fn into_state(self) -> Option<DeliveryState> {
        Some(match self {
            Self::Accepted => DeliveryState::Accepted,
            Self::Declared(state) => DeliveryState::Declared(Box::new(state)),
            Self::Extension(state) => DeliveryState::Extension(state),
            Self::Modified(state) => DeliveryState::Modified(Box::new(state)),
            Self::Rejected(error) => DeliveryState::Rejected(error.map(Box::new)),
            Self::Released => DeliveryState::Released,
            Self::Transactional(state) => DeliveryState::Transactional(Box::new(state)),
            Self::SentSettled | Self::SettledWithoutState => return None,
        })
    }

    /// Takes what says that the message was not processed for an error. That the receiver settled without saying how
    /// is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Rejected`], [`ErrorKind::Released`] or [`ErrorKind::Modified`], not delivered. A transactional state
    /// counts as the outcome in it. [`ErrorKind::Protocol`] for a state of an extension: whether it was delivered is not
    /// known.
    pub fn accepted(self) -> Result<(), Error> {
        match self {
            Self::Accepted | Self::Declared(_) | Self::SentSettled | Self::SettledWithoutState => Ok(()),
            Self::Rejected(error) => Err(Error::rejected(error)),
            Self::Released => Err(Error::new(ErrorKind::Released, "the receiver gave the message back")),
            Self::Modified(state) => Err(Error::modified(&state)),
            Self::Extension(_) => {
                let error = Error::new(ErrorKind::Protocol, "the receiver settled with a state that is not known here");
                return Err(error.with_delivered(Delivered::Unknown));
            }
            Self::Transactional(state) => match state.outcome {
                Some(outcome) => Self::of(Some(*outcome)).accepted(),
                None => Ok(()),
            },
        }
        .map_err(|error| error.with_delivered(Delivered::No))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_states_and_back() {
        let error = AmqpError::new(amqp1_codec::definitions::ErrorCondition::NOT_FOUND, "no such colour");
        for state in [
            DeliveryState::Accepted,
            DeliveryState::Rejected(None),
            DeliveryState::rejected(error),
            DeliveryState::Released,
            DeliveryState::Modified(Box::new(Modified { delivery_failed: true, ..Modified::default() })),
        ] {
            assert_eq!(Outcome::of(Some(state.clone())).into_state(), Some(state));
        }
        assert_eq!(Outcome::of(None).into_state(), None);
        assert_eq!(Outcome::SentSettled.into_state(), None);
    }
}
