//! Sessions and links of the locked state: whether they can be used, and why not.

use crate::{
    state::{
        engine::Received,
        ids::{LinkKey, SessionKey},
        link::LinkState,
        shared::State,
    },
    types::{
        detached::Detached,
        error::{Error, ErrorKind},
    },
};
use amqp1_codec::{messaging::DeliveryState, performative::Attach};
use amqp1_engine::{ApiMisuse, Cause, DeliveryKey, Ended, LinkId};

impl State {
    /// The link, if it can still be used.
    pub(crate) fn live_link(&mut self, id: LinkKey) -> Result<&mut LinkState, Error> {
        let closed = self.closed_error();
        match self.links.get_mut(&id).map(|link| &mut **link) {
            Some(LinkState { detached: Some(detached), .. }) => Err(closed.unwrap_or_else(|| detached.to_error())),
            Some(_) if closed.is_some() => Err(closed.unwrap_or_else(gone)),
            Some(link) => link.ready().map(|()| link),
            None => Err(closed.unwrap_or_else(gone)),
        }
    }

    /// The attach of the peer, while the engine has it.
    pub(crate) fn remote_attach(&mut self, id: LinkKey) -> Option<Attach> {
        self.engine.link(id).ok()?.remote_attach()
    }

    /// Whether the receiver drains the link and was not answered yet.
    pub(crate) fn is_drain_requested(&mut self, id: LinkKey) -> bool {
        self.engine.sender(id).is_ok_and(|sender| sender.is_drain_requested())
    }

    /// States an outcome, unless it cannot reach the sender any more.
    pub(crate) fn dispose(&mut self, id: LinkKey, delivery: Received, outcome: DeliveryState) -> Result<(), Error> {
        if self.is_dead() {
            return Err(self.link_failure(id));
        }
        let disposed = self.engine.dispose(id, delivery, outcome).ok_or_else(stale)?;
        disposed.map_err(|misuse| match misuse {
            ApiMisuse::Detached => {
                let text = "the link was detached at this end before the delivery was settled: the sender is not told, \
                            and may deliver it again";
                Error::new(ErrorKind::LinkDetached, text)
            }
            ApiMisuse::FrameTooLarge { .. } => misuse.into(),
            _ => self.link_failure(id),
        })
    }

    /// The engine's names of a link and of a delivery on it.
    pub(crate) fn engine_names(&self, id: LinkKey, delivery: Received) -> Result<(LinkId, DeliveryKey), Error> {
        let key = self.engine.delivery_key(delivery).ok_or_else(stale)?;
        let link = self.engine.link_id(id).ok_or_else(|| self.link_failure(id))?;
        Ok((link, key))
    }

    /// Fails if a delivery was received on an earlier connection.
    pub(crate) fn check_present(&self, delivery: Received) -> Result<(), Error> {
        self.engine.delivery_key(delivery).map(|_| ()).ok_or_else(stale)
    }

    /// Why a link cannot be used any more.
    pub(crate) fn link_failure(&self, id: LinkKey) -> Error {
        let detached = self.links.get(&id).and_then(|link| link.detached.as_deref());
        self.closed_error().or_else(|| detached.map(Detached::to_error)).unwrap_or_else(gone)
    }
}

impl State {
    /// Why nothing can be done on a session any more, if it is over.
    pub(crate) fn session_failure(&self, id: SessionKey) -> Option<Error> {
        let ended = self.sessions.get(&id).and_then(|session| session.ended.as_deref());
        self.closed_error().or_else(|| ended.map(ended_error))
    }
}

pub(crate) fn ended_error(ended: &Ended) -> Error {
    let text = match ended.by {
        Cause::Peer => "the peer ended the session",
        _ => "the session was ended",
    };
    Error::new(ErrorKind::SessionEnded, text).with_amqp(ended.error.clone())
}

fn stale() -> Error {
    let text = "the delivery was received on an earlier connection: it cannot be settled any more, and the sender may \
                deliver it again";
    Error::new(ErrorKind::StaleDelivery, text)
}

fn gone() -> Error {
    Error::new(ErrorKind::LinkDetached, "the link is gone")
}
