//! The common part of both kinds of link.

use crate::{
    handle::counted::LinkHandle,
    state::{ids::Place, wait::within},
    types::{
        detached::Detached,
        error::{Error, ErrorKind},
    },
};
use amqp1_codec::{definitions::AmqpError, performative::Attach};
use amqp1_engine::Cause;
use std::time::Duration;

/// The methods of both kinds of handle. `$before` runs before the detach.
macro_rules! common {
    ($before:literal) => {
        pub(crate) fn handle(&self) -> &Arc<LinkHandle> {
            &self.handle
        }

        /// The peer's attach. It is decoded at each call.
        pub fn remote_attach(&self) -> Attach {
            self.handle.remote_attach()
        }

        #[doc = concat!("Detaches the link, which may be attached again. ", $before)]
        ///
        /// # Errors
        ///
        /// If the peer does not answer in time, or has detached with an error.
        ///
        /// # Cancel safety
        ///
        /// Cancelled, it goes on by itself.
        pub async fn detach(&self) -> Result<(), Error> {
            self.handle.detach(false, None).await
        }

        /// Closes the link for good; otherwise as [`detach`](Self::detach).
        ///
        /// # Errors
        ///
        /// As [`detach`](Self::detach).
        ///
        /// # Cancel safety
        ///
        /// As [`detach`](Self::detach).
        pub async fn close(&self) -> Result<(), Error> {
            self.handle.detach(true, None).await
        }

        /// Detaches the link, or closes it, and tells the peer why. With an error nothing that is queued is sent.
        ///
        /// # Errors
        ///
        /// As [`detach`](Self::detach).
        ///
        /// # Cancel safety
        ///
        /// As [`detach`](Self::detach).
        pub async fn detach_with(&self, error: Option<AmqpError>, closed: bool) -> Result<(), Error> {
            self.handle.detach(closed, error).await
        }

        /// Waits until the link is over, for whatever reason. Holds the link while it waits, but does not borrow this,
        /// so that it can be waited for beside other calls.
        ///
        /// # Cancel safety
        ///
        /// Cancel-safe.
        pub fn detached(&self) -> impl Future<Output = Detached> + Send + use<> {
            let handle = self.handle.clone();
            async move { handle.detached().await }
        }
    };
}

pub(crate) use common;

impl LinkHandle {
    pub(crate) fn timeout(&self) -> Duration {
        self.session.connection.timeout
    }

    /// Drops what waits of the delivery that was read piece by piece, and what still comes of it.
    pub(crate) fn skip_stream(&self) {
        // Of a link that is over nothing comes.
        let skipped = self.shared.command(|state, _| {
            if let Ok(mut receiver) = state.engine.receiver(self.id) {
                receiver.skip_stream();
            }
        });
        if skipped.is_err() {
            tracing::debug!("the rest of a stream is lost with its connection");
        }
    }

    pub(crate) fn remote_attach(&self) -> Attach {
        self.shared.look(|state| state.remote_attach(self.id)).unwrap_or_default()
    }

    /// Waits for the peer's answer to our attach. A link that has ended since was attached all the same: what is sent or
    /// received next says how it ended, however fast the end came, and what had arrived on it can still be received.
    pub(crate) async fn attached(&self) -> Result<(), Error> {
        let id = self.id;
        let attached = self.shared.wait(Place::Link(id), |state| {
            let closed = state.closed_error();
            let link = state.links.get(&id)?;
            match &link.detached {
                _ if link.attached => Some(Ok(())),
                Some(detached) => Some(Err(closed.unwrap_or_else(|| detached.to_refusal()))),
                None => None,
            }
        });
        within(&self.shared, self.timeout(), "attaching a link", attached).await?
    }

    /// Waits until the link is over, for whatever reason.
    pub(crate) async fn detached(&self) -> Detached {
        let id = self.id;
        let detached = self.shared.wait(Place::Link(id), |state| state.links.get(&id)?.detached.as_deref().cloned());
        detached.await.unwrap_or_else(|_| Detached::by_connection())
    }

    /// Whether the link has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.shared.look(|state| {
            let link = state.links.get(&self.id);
            state.closed.is_some() || link.is_none_or(|link| link.detached.is_some())
        })
    }

    /// Why the link cannot be used any more.
    pub(crate) fn failure(&self) -> Error {
        self.shared.look(|state| state.link_failure(self.id))
    }

    /// Detaches and waits for the peer's answer.
    pub(crate) async fn detach(&self, closed: bool, error: Option<AmqpError>) -> Result<(), Error> {
        let forced = error.is_some();
        // It may be over already; then that counts.
        let _ = self
            .shared
            .command(|state, _| state.engine.link(self.id).and_then(|mut link| link.detach(closed, error)))?;
        let detached =
            within(&self.shared, self.timeout(), "detaching a link", async { Ok(self.detached().await) }).await;
        let ended = match detached {
            Err(error) => Err(error),
            Ok(detached) => match (detached.by, &detached.error) {
                (Cause::Local, _) | (Cause::Peer, None) => Ok(()),
                (Cause::Peer, Some(_)) => Err(detached.to_error()),
                (Cause::Session | Cause::Connection, _) => Err(self.failure()),
            },
        };
        // With an error nothing that is queued was to be sent.
        match self.shared.look(|state| state.unsent(self.id)) {
            0 => ended,
            _ if forced && ended.is_ok() => ended,
            unsent => {
                let text = "the link was detached before all messages were sent";
                Err(ended.err().unwrap_or_else(|| Error::new(ErrorKind::LinkDetached, text)).with_unsent(unsent))
            }
        }
    }
}
