//! The fate of a message that was sent.

use crate::types::error::{Delivered, Error, ErrorKind};
use amqp1_codec::{
    Described,
    definitions::AmqpError,
    messaging::{DeliveryState, Modified},
    transaction::{Declared, TransactionalState},
};
use std::sync::Arc;

/// The outcome of a message that was sent (§3.4): what the receiver made of it.
///
/// A negative outcome is not an [`Error`], since sending worked. [`into_result`](Self::into_result) makes it one.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "the receiver may have rejected or released the message: `into_result()` is an error then"]
#[non_exhaustive]
pub enum Outcome {
    /// The receiver has processed the message.
    Accepted,
    /// The coordinator has begun a transaction (§4.5.5).
    Declared(Declared),
    /// The receiver settled with a state of an extension, which this library does not know.
    Extension(Arc<Described>),
    /// The receiver has not processed the message, and gives it back with changes: it may be sent again, unless it is
    /// undeliverable there.
    Modified(Modified),
    /// The receiver says that the message is invalid, and why if it gave a reason. The same message would be rejected
    /// again.
    Rejected(Option<AmqpError>),
    /// The receiver has not processed the message. It may be sent again.
    Released,
    /// The message was sent settled and is queued: its outcome is not reported.
    SentSettled,
    /// The receiver settled without saying how, and the link's source has no default outcome: whether it has processed
    /// the message is not known.
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

    /// The state that the receiver settled with; `None` if it stated none. A program that sends on what it receives
    /// gives it to [`Delivery::settle`](crate::Delivery::settle), and a broker to
    /// [`HeldMessage::settle`](crate::broker::terminus::HeldMessage::settle):
    ///
    /// ```no_run
    /// # async fn example(delivery: amqp1::Delivery, sender: amqp1::Sender) -> Result<(), amqp1::Error> {
    /// use amqp1::link::DeliveryState;
    ///
    /// let outcome = sender.send(delivery.message()).await?;
    /// // Without a state it is not known whether the message is safe: it may be delivered twice.
    /// delivery.settle(outcome.into_state().unwrap_or(DeliveryState::Released))?;
    /// # Ok(()) }
    /// ```
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

    /// Converts a negative outcome into an error. `Ok` if the receiver said that it has processed the message, or if
    /// the message was sent settled, so that it was not asked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Rejected`], [`ErrorKind::Released`] or [`ErrorKind::Modified`], not delivered. A transactional
    /// state counts as the outcome in it. [`ErrorKind::NoOutcome`] if the receiver settled without an outcome, or with
    /// one that only a coordinator may state, and [`ErrorKind::Protocol`] for a state of an extension: then it is not
    /// known whether the message was delivered ([`Delivered::Unknown`]).
    pub fn into_result(self) -> Result<(), Error> {
        match self {
            Self::Accepted | Self::SentSettled => Ok(()),
            // Declared (§4.5.5) is a coordinator's answer, and no outcome of a message.
            Self::Declared(_) | Self::SettledWithoutState => return Err(Error::no_outcome()),
            Self::Rejected(error) => Err(Error::rejected(error)),
            Self::Released => Err(Error::new(ErrorKind::Released, "the receiver gave the message back")),
            Self::Modified(state) => Err(Error::modified(&state)),
            Self::Extension(_) => {
                let error = Error::new(ErrorKind::Protocol, "the receiver settled with a state that is not known here");
                return Err(error.with_delivered(Delivered::Unknown));
            }
            Self::Transactional(state) => match state.outcome {
                Some(outcome) => return Self::of(Some(*outcome)).into_result(),
                None => return Err(Error::no_outcome()),
            },
        }
        .map_err(|error| error.with_delivered(Delivered::No))
    }
}

/// §3.5.3: what the receiver settled with, completed by the default outcome where it stated none: no state, a position
/// (§3.4.1), or a transaction without an outcome (§4.5.8).
pub(crate) fn or_default(state: Option<DeliveryState>, default: Option<&DeliveryState>) -> Option<DeliveryState> {
    match state {
        None | Some(DeliveryState::Received(_)) => default.cloned().or(state),
        Some(DeliveryState::Transactional(mut within)) => {
            within.outcome = or_default(within.outcome.map(|outcome| *outcome), default).map(Box::new);
            Some(DeliveryState::Transactional(within))
        }
        stated => stated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_codec::messaging::Received;

    #[test]
    fn what_only_a_coordinator_may_say_is_no_outcome_of_a_message() {
        let declared = DeliveryState::Declared(Box::new(Declared { txn_id: bytes::Bytes::from_static(b"x") }));
        let error = Outcome::of(Some(declared)).into_result().expect_err("a coordinator's answer");
        assert_eq!((error.kind(), error.delivered()), (ErrorKind::NoOutcome, Delivered::Unknown));
    }

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
    fn within(outcome: Option<DeliveryState>) -> DeliveryState {
        let outcome = outcome.map(Box::new);
        DeliveryState::Transactional(Box::new(TransactionalState { txn_id: vec![1].into(), outcome }))
    }

    #[test]
    fn only_what_the_receiver_said_is_an_acceptance() {
        let position = || DeliveryState::Received(Received { section_number: 9, section_offset: 0 });
        for state in [None, Some(position()), Some(within(None)), Some(within(Some(position())))] {
            let error = Outcome::of(state.clone()).into_result().expect_err("nothing was said");
            assert_eq!((error.kind(), error.delivered()), (ErrorKind::NoOutcome, Delivered::Unknown), "{state:?}");
        }
        for state in [DeliveryState::Accepted, within(Some(DeliveryState::Accepted))] {
            assert!(Outcome::of(Some(state)).into_result().is_ok());
        }
        assert!(Outcome::SentSettled.into_result().is_ok());
        let error = Outcome::of(Some(within(Some(DeliveryState::Released)))).into_result().expect_err("released");
        assert_eq!((error.kind(), error.delivered()), (ErrorKind::Released, Delivered::No));
    }

    #[test]
    fn m_3_5_3_6_what_is_settled_without_an_outcome_has_the_default_one() {
        let position = DeliveryState::Received(Received { section_number: 0, section_offset: 0 });
        let (accepted, released) = (DeliveryState::Accepted, DeliveryState::Released);
        assert_eq!(or_default(None, Some(&released)), Some(released.clone()));
        assert_eq!(or_default(Some(position.clone()), Some(&released)), Some(released.clone()));
        assert_eq!(or_default(Some(within(None)), Some(&released)), Some(within(Some(released.clone()))));
        let stated = [
            accepted.clone(),
            DeliveryState::Rejected(None),
            DeliveryState::Modified(Box::default()),
            DeliveryState::Declared(Box::new(Declared { txn_id: vec![1].into() })),
        ];
        for state in stated {
            assert_eq!(or_default(Some(state.clone()), Some(&released)), Some(state));
        }
        assert_eq!(or_default(Some(within(Some(accepted.clone()))), Some(&released)), Some(within(Some(accepted))));
        assert_eq!(or_default(Some(position.clone()), None), Some(position));
    }

    #[test]
    fn an_error_says_that_annotations_of_modified_were_left_out() {
        let key = amqp1_codec::Symbol::from_static(amqp1_engine::ANNOTATIONS_LEFT_OUT);
        let left_out = [(key, "annotations that take 9000 octets were left out")].into_iter().collect();
        let modified = Modified { message_annotations: Some(left_out), ..Modified::default() };
        let error = Outcome::Modified(modified).into_result().expect_err("not processed");
        assert!(error.to_string().ends_with("; annotations that take 9000 octets were left out"), "{error}");
        let error = Outcome::Modified(Modified::default()).into_result().expect_err("not processed");
        assert!(error.to_string().ends_with("to be changed"), "{error}");
    }
}
