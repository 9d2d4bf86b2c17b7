//! What comes on a link of a client that may lose the right to it.

use core::future::Future;

use amqp1::{Delivery, Error, Receiver, error::AmqpError};

use crate::hub::Address;

/// Why nothing more comes on a link.
pub(super) enum Over {
    /// The client may not go on, with the reason that it is given.
    Revoked(AmqpError),
    /// The client has detached the link, or lost it by an error.
    Ended(Option<Error>),
}

/// Waits for the next delivery. `revoked` resolves when the client may not go on; do not call this again after it has
/// failed. Cancel-safe.
pub(super) async fn next(
    receiver: &mut Receiver,
    revoked: &mut (impl Future<Output = AmqpError> + Unpin),
) -> Result<Delivery, Over> {
    tokio::select! {
        biased;
        error = revoked => Err(Over::Revoked(error)),
        delivery = receiver.recv() => match delivery {
            Ok(Some(delivery)) => Ok(delivery),
            Ok(None) => Err(Over::Ended(None)),
            Err(error) => Err(Over::Ended(Some(error))),
        },
    }
}

impl Over {
    /// Detaches the link if the client has not done so.
    pub(super) async fn conclude(self, receiver: &Receiver, address: &Address) {
        match self {
            Self::Revoked(error) => {
                // Whether the client answers does not matter.
                Box::pin(receiver.detach_with(Some(error), true)).await.ok();
            }
            Self::Ended(None) => {}
            Self::Ended(Some(error)) => tracing::debug!(%error, %address, "a client's link ended"),
        }
    }
}
