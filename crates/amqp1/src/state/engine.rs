//! The engine of the present connection, by the keys of sessions and links.

use crate::state::ids::{Generation, Ids, LinkKey, SessionKey};
use amqp1_codec::messaging::DeliveryState;
use amqp1_engine::{
    ApiMisuse, Connection, DeliveryKey, IncomingDelivery, Link, LinkId, Receiver, Sender, Session, SessionId,
};
use std::ops::{Deref, DerefMut};

/// Names a delivery that was received. It means nothing on a later connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    key: DeliveryKey,
    generation: Generation,
}

/// A delivery, with the connection that it was received on.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) delivery: IncomingDelivery,
    generation: Generation,
}

impl Arrival {
    pub(crate) fn name(&self) -> Received {
        Received { key: self.delivery.key, generation: self.generation }
    }
}

/// The engine of the present connection. What names neither a session nor a link is called on the engine itself.
pub(crate) struct Engine {
    engine: Connection,
    generation: Generation,
    sessions: Ids<SessionKey, SessionId>,
    links: Ids<LinkKey, LinkId>,
}

impl Deref for Engine {
    type Target = Connection;

    #[inline]
    fn deref(&self) -> &Connection {
        &self.engine
    }
}

impl DerefMut for Engine {
    #[inline]
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.engine
    }
}

impl Engine {
    pub(crate) fn new(engine: Connection) -> Self {
        let (sessions, links) = Default::default();
        Self { engine, generation: Generation::next(), sessions, links }
    }

    /// A key for a session of the engine's.
    pub(crate) fn name_session(&mut self, id: SessionId) -> SessionKey {
        self.sessions.name(id)
    }

    /// A key for a link of the engine's.
    pub(crate) fn name_link(&mut self, id: LinkId) -> LinkKey {
        self.links.name(id)
    }

    pub(crate) fn session_id(&self, key: SessionKey) -> Option<SessionId> {
        self.sessions.id(key)
    }

    #[inline]
    pub(crate) fn link_id(&self, key: LinkKey) -> Option<LinkId> {
        self.links.id(key)
    }

    #[inline]
    pub(crate) fn session_key(&self, id: SessionId) -> Option<SessionKey> {
        self.sessions.key(id)
    }

    #[inline]
    pub(crate) fn link_key(&self, id: LinkId) -> Option<LinkKey> {
        self.links.key(id)
    }

    /// Ends a key that has no handle any more, once the engine has reported the session's end as well.
    pub(crate) fn forget_session(&mut self, key: SessionKey, ended: bool) {
        if ended || self.session(key).is_err() {
            self.sessions.forget(key);
        }
    }

    /// Ends a key that has no handle any more, once the engine has reported the link's end as well.
    pub(crate) fn forget_link(&mut self, key: LinkKey, detached: bool) {
        if detached || self.link(key).is_err() {
            self.links.forget(key);
        }
    }

    pub(crate) fn session(&mut self, key: SessionKey) -> Result<Session<'_>, ApiMisuse> {
        let id = self.sessions.id(key).ok_or(ApiMisuse::UnknownSession)?;
        self.engine.session(id)
    }

    pub(crate) fn link(&mut self, key: LinkKey) -> Result<Link<'_>, ApiMisuse> {
        let id = self.links.id(key).ok_or(ApiMisuse::UnknownLink)?;
        self.engine.link(id)
    }

    #[inline]
    pub(crate) fn sender(&mut self, key: LinkKey) -> Result<Sender<'_>, ApiMisuse> {
        let id = self.links.id(key).ok_or(ApiMisuse::UnknownLink)?;
        self.engine.sender(id)
    }

    #[inline]
    pub(crate) fn receiver(&mut self, key: LinkKey) -> Result<Receiver<'_>, ApiMisuse> {
        let id = self.links.id(key).ok_or(ApiMisuse::UnknownLink)?;
        self.engine.receiver(id)
    }

    /// The next delivery of a link.
    #[inline]
    pub(crate) fn recv(&mut self, link: LinkKey) -> Option<Arrival> {
        let generation = self.generation;
        self.receiver(link).ok()?.recv().map(|delivery| Arrival { delivery, generation })
    }

    /// A delivery of the present connection.
    pub(crate) fn arrival(&self, delivery: IncomingDelivery) -> Arrival {
        Arrival { delivery, generation: self.generation }
    }

    /// Names a delivery of the present connection.
    pub(crate) fn received(&self, key: DeliveryKey) -> Received {
        Received { key, generation: self.generation }
    }

    /// The engine's name of a delivery; `None` if it was received on an earlier connection.
    #[inline]
    pub(crate) fn delivery_key(&self, delivery: Received) -> Option<DeliveryKey> {
        (delivery.generation == self.generation).then_some(delivery.key)
    }

    /// Whether a delivery has to be settled.
    pub(crate) fn is_unsettled(&mut self, link: LinkKey, delivery: Received) -> bool {
        let Some(key) = self.delivery_key(delivery) else { return false };
        self.receiver(link).is_ok_and(|receiver| receiver.is_unsettled(key))
    }

    /// States an outcome; `None` if the delivery was received on an earlier connection.
    #[inline]
    pub(crate) fn dispose(
        &mut self,
        link: LinkKey,
        delivery: Received,
        outcome: DeliveryState,
    ) -> Option<Result<(), ApiMisuse>> {
        let key = self.delivery_key(delivery)?;
        Some(self.receiver(link).and_then(|mut receiver| receiver.dispose(key, outcome)))
    }

    /// A posted message was taken or refused.
    pub(crate) fn decide_posting(&mut self, link: LinkKey, delivery: Received) {
        if let (Some(id), Some(key)) = (self.links.id(link), self.delivery_key(delivery)) {
            self.engine.decide_posting(id, key);
        }
    }

    /// Goes on with the engine of another connection, on which no session and no link is there yet.
    #[cfg(test)]
    pub(crate) fn renew(&mut self, engine: Connection) {
        self.engine = engine;
        self.generation = Generation::next();
        self.sessions.end_all();
        self.links.end_all();
    }

    /// A link has this id on the present connection.
    #[cfg(test)]
    pub(crate) fn bind_link(&mut self, key: LinkKey, id: LinkId) {
        self.links.bind(key, id);
    }

    /// How many sessions and links have keys.
    #[cfg(test)]
    pub(crate) fn named(&self) -> (usize, usize) {
        (self.sessions.len(), self.links.len())
    }
}

#[cfg(test)]
mod tests;
