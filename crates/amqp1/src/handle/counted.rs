//! Counts of handles: the last handle of a connection, a session or a link ends it.

use crate::{
    observe::TraceSource,
    state::{
        ids::{LinkKey, SessionKey},
        shared::Shared,
    },
    types::security::Security,
};
use amqp1_codec::{EncodedMessage, IntoMessage};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

/// A connection as its handles hold it; the last one closes it.
#[derive(Debug)]
pub(crate) struct ConnectionHandle {
    pub(crate) shared: Arc<Shared>,
    /// How long operations may take.
    pub(crate) timeout: Duration,
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "without TLS nothing is known"))]
    pub(crate) security: Security,
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        let now = self.shared.now();
        let _ = self.shared.command(|state, _| {
            if let Some(server) = &mut state.server {
                server.deaf = true;
            }
            state.engine.close(now, None);
        });
    }
}

/// A session as its handles hold it; the last one ends it.
#[derive(Debug)]
pub(crate) struct SessionHandle {
    pub(crate) connection: Arc<ConnectionHandle>,
    pub(crate) id: SessionKey,
}

impl SessionHandle {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.connection.shared
    }
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        let id = self.id;
        let state = self.shared().command(|state, _| {
            let _ = state.engine.session(id).and_then(|mut session| session.end(None));
            let session = state.sessions.remove(&id);
            state.engine.forget_session(id, session.as_ref().is_none_or(|session| session.ended.is_some()));
            session
        });
        // Its content is dropped when the lock is released.
        drop(state);
    }
}

/// A link as its handles hold it; the last one detaches it.
#[derive(Debug)]
pub(crate) struct LinkHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: LinkKey,
    pub(crate) session: Arc<SessionHandle>,
    /// Whether dropping the last handle closes the link, or only detaches it.
    pub(crate) close_on_drop: bool,
    /// Which trace context its messages carry.
    pub(crate) trace: OnceLock<TraceSource>,
}

impl LinkHandle {
    /// Encodes a message before it is sent.
    pub(crate) fn encode(&self, message: impl IntoMessage) -> EncodedMessage {
        let message = self.shared.encode(message);
        match self.trace.get() {
            Some(trace) => trace.apply(message),
            None => message,
        }
    }
}

impl Drop for LinkHandle {
    fn drop(&mut self) {
        let (id, closed) = (self.id, self.close_on_drop);
        let state = self.shared.command(|state, aside| {
            let _ = state.engine.link(id).and_then(|mut link| link.detach(closed, None));
            state.forget_link(id, aside)
        });
        // Its content is dropped when the lock is released.
        drop(state);
    }
}
