//! The output of a session: frames behind its begin, dispositions, flows, and its turns to send.

use super::Session;
use crate::{
    control::{Body, Control},
    link::Link,
    metadata::Stated,
    outbox::{FlowDue, Outbox},
    store::{LinkId, SessionId},
};
use alloc::sync::Arc;
use amqp1_codec::{definitions::Role, messaging::DeliveryState, performative::Performative};

/// A session that was found, with the outbox that it writes to.
pub(crate) struct SessionMut<'a> {
    pub(crate) id: SessionId,
    pub(crate) session: &'a mut Session,
    pub(crate) outbox: &'a mut Outbox,
}

impl SessionMut<'_> {
    /// Queues a frame, behind our begin. Nothing follows an end.
    pub(crate) fn push(&mut self, body: impl Into<Performative>) {
        self.push_body(Body::Performative(body.into()));
    }

    pub(crate) fn push_body(&mut self, body: Body) {
        match self.session.channel {
            Some(channel) if self.session.state.can_send() => self.outbox.push_control(Control { channel, body }),
            Some(_) => {}
            None => self.session.held.push(body),
        }
    }

    /// States something of a delivery; `role` is that of the end that speaks. It is written with what else is stated
    /// until the next transmission.
    pub(crate) fn mark(
        &mut self,
        role: Role,
        delivery: u64,
        settled: bool,
        state: Option<DeliveryState>,
        stated: Option<Arc<Stated>>,
    ) {
        if self.session.marks.is_empty() {
            self.outbox.mark(self.id);
        }
        self.session.marks.add(role, delivery, settled, state, stated);
    }

    /// Turns what was stated into disposition frames.
    pub(crate) fn flush_marks(&mut self) {
        for (disposition, stated) in self.session.marks.drain() {
            let disposition = disposition.into();
            self.push_body(match stated {
                Some(stated) => Body::Counted(disposition, stated),
                None => Body::Performative(disposition),
            });
        }
    }

    /// The session's state is to be told.
    pub(crate) fn tell(&mut self) {
        if !core::mem::replace(&mut self.session.flow_queued, true) {
            self.outbox.tell(FlowDue::Session(self.id));
        }
    }

    /// The session's state is to be told, if its window can be opened by enough.
    pub(crate) fn tell_window(&mut self) {
        if self.session.incoming_window.is_due() {
            self.tell();
        }
    }

    /// Queues the flow that tells the session's state. Before our begin, that tells the same.
    pub(crate) fn write_flow(&mut self) {
        self.session.flow_queued = false;
        if self.session.state.is_begin_sent() {
            let flow = self.session.flow();
            self.push(flow);
        }
    }

    /// Puts the session among those that can send, if its window and its links allow it.
    pub(crate) fn wake(&mut self) {
        let session = &mut self.session;
        let can_send = session.state.can_send() && session.outgoing_window.left() > 0;
        if can_send && !session.ready.is_empty() && !session.scheduled {
            session.scheduled = true;
            self.outbox.schedule(self.id);
        }
    }

    /// Puts a link of the session among those that can send.
    pub(crate) fn wake_link(&mut self, id: LinkId, link: &mut Link) {
        if !link.can_transfer() || !link.is_attached() {
            return;
        }
        let Some(end) = link.sending_mut().filter(|end| !end.ready) else { return };
        end.ready = true;
        self.session.ready.push_back(id);
        self.wake();
    }
}
