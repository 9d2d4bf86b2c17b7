//! Everything that leaves a connection, in its order: frames for the peer, events and settlements for the application,
//! and payloads to drop.

mod discarded;
mod events;

use crate::{
    connection::shrink_queue,
    control::Control,
    event::Event,
    link::SendingEnd,
    queue::Queued,
    store::{LinkId, SessionId},
};
use alloc::collections::VecDeque;
use amqp1_codec::performative::{Close, Performative};
use discarded::Discarded;
use events::{Events, Settlements};

/// Whose state a flow frame tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlowDue {
    Session(SessionId),
    Link(LinkId),
}

/// Work of the application that waits to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    Link(LinkId),
    Session(SessionId),
}

/// The next thing to write.
#[derive(Debug)]
pub(crate) enum Next {
    /// A frame that was queued.
    Frame(Control),
    /// The dispositions of a session.
    Dispositions(SessionId),
    /// The detach or the end that the application asked for, if nothing else has to go first.
    Leave(Leaving),
    /// The answers to drains.
    Drains(VecDeque<LinkId>),
    Flow(FlowDue),
    /// One transfer of a link of this session.
    Transfer(SessionId),
}

/// Everything that waits to leave a connection.
///
/// Frames that are queued leave first, in the order in which they were queued. The rest is turned into frames when
/// there is room for them, by [`next`](Self::next): dispositions before the detaches and ends that the application
/// asked for, then answers to drains and flows, then transfers. So what is stated until then is said in few frames.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Frames to write, in order.
    control: VecDeque<Control>,
    /// Whether our close stands among them. Nothing follows it (§2.4.3).
    is_closed: bool,
    /// Sessions with dispositions to write.
    marked: VecDeque<SessionId>,
    /// Links and sessions to leave, behind the settlements that the application has stated until then.
    leaving: VecDeque<Leaving>,
    /// Links whose drain is answered once the application has seen its event.
    drains: VecDeque<LinkId>,
    /// Links and sessions whose state is to be told.
    flows: VecDeque<FlowDue>,
    /// Sessions that can send, in the order of their turns.
    ready: VecDeque<SessionId>,
    pub(crate) events: Events,
    pub(crate) settled: Settlements,
    pub(crate) discarded: Discarded,
    /// How much waits to be sent on all links.
    pub(crate) queued: Queued,
}

impl Outbox {
    pub(crate) fn new(max_queued: usize) -> Self {
        Self {
            control: VecDeque::new(),
            is_closed: false,
            marked: VecDeque::new(),
            leaving: VecDeque::new(),
            drains: VecDeque::new(),
            flows: VecDeque::new(),
            ready: VecDeque::new(),
            events: Events::default(),
            settled: Settlements::default(),
            discarded: Discarded::default(),
            queued: Queued::new(max_queued),
        }
    }

    /// Queues a frame, unless our close is queued.
    pub(crate) fn push(&mut self, channel: u16, body: impl Into<Performative>) {
        self.push_control(Control::new(channel, body));
    }

    pub(crate) fn push_control(&mut self, control: Control) {
        if !self.is_closed {
            self.control.push_back(control);
        }
    }

    /// Queues our close, which is the last frame.
    pub(crate) fn push_close(&mut self, close: Close) {
        self.push(0, close);
        self.is_closed = true;
    }

    /// Whether our close is queued, or written.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// How many frames are queued.
    pub(crate) fn frames(&self) -> usize {
        self.control.len()
    }

    /// Drops the frames that are queued, unless our close is one of them.
    pub(crate) fn drop_frames(&mut self) {
        if !self.is_closed {
            self.control.clear();
        }
    }

    /// Drops frames of a session that the peer has ended. A begin among them must still be written.
    pub(crate) fn drop_frames_of(&mut self, channel: u16) {
        use Performative::{Attach, Detach, Disposition, Flow};
        self.control.retain(|control| {
            let keeps = |body: &Performative| !matches!(body, Attach(_) | Detach(_) | Disposition(_) | Flow(_));
            control.channel != channel || control.performative().is_some_and(keeps)
        });
    }

    /// A session has dispositions to write.
    pub(crate) fn mark(&mut self, session: SessionId) {
        self.marked.push_back(session);
    }

    /// The next session with dispositions to write.
    pub(crate) fn next_marked(&mut self) -> Option<SessionId> {
        self.marked.pop_front()
    }

    /// Detaches a link or ends a session once the settlements that are stated until then are written.
    pub(crate) fn leave(&mut self, leaving: Leaving) {
        self.leaving.push_back(leaving);
    }

    /// Answers the drain of a link once the application has seen its event.
    pub(crate) fn drain(&mut self, link: LinkId) {
        self.drains.push_back(link);
    }

    /// The state of a link or a session is to be told.
    pub(crate) fn tell(&mut self, due: FlowDue) {
        self.flows.push_back(due);
    }

    /// A session can send.
    pub(crate) fn schedule(&mut self, session: SessionId) {
        self.ready.push_back(session);
    }

    /// Counts what waits on a link now, and reports if there is room again for what was refused.
    pub(crate) fn count(&mut self, end: &mut SendingEnd) {
        self.queued.count(end);
        if self.queued.has_room_again() {
            self.events.push_back(Event::QueueHasRoom);
        }
    }

    /// Takes the next thing to write.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Next> {
        if let Some(control) = self.control.pop_front() {
            return Some(Next::Frame(control));
        }
        if self.is_closed {
            return None;
        }
        if let Some(session) = self.marked.pop_front() {
            return Some(Next::Dispositions(session));
        }
        if let Some(leaving) = self.leaving.pop_front() {
            return Some(Next::Leave(leaving));
        }
        if !self.drains.is_empty() && self.events.is_empty() {
            return Some(Next::Drains(core::mem::take(&mut self.drains)));
        }
        if let Some(due) = self.flows.pop_front() {
            return Some(Next::Flow(due));
        }
        self.ready.pop_front().map(Next::Transfer)
    }

    /// Whether frames wait that need neither credit nor a window.
    pub(crate) fn has_frames(&self) -> bool {
        !self.control.is_empty() || !self.is_closed && (!self.marked.is_empty() || !self.leaving.is_empty())
    }

    /// Whether there is something to write, or will be once the events are polled.
    pub(crate) fn has_next(&self) -> bool {
        let nothing_due = self.flows.is_empty() && self.ready.is_empty() && self.drains.is_empty();
        self.has_frames() || !(self.is_closed || nothing_due)
    }

    /// Whether there is something for the application to poll.
    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty() || !self.settled.is_empty()
    }

    /// Forgets what sessions and links were to write: they are gone. Frames that are queued stay.
    pub(crate) fn forget_sessions(&mut self) {
        self.marked.clear();
        self.leaving.clear();
        self.drains.clear();
        self.flows.clear();
        self.ready.clear();
    }

    /// Gives back what it does not need.
    pub(crate) fn shrink(&mut self) {
        shrink_queue(&mut self.control);
        shrink_queue(&mut self.marked);
        shrink_queue(&mut self.leaving);
        shrink_queue(&mut self.flows);
        shrink_queue(&mut self.ready);
        self.events.shrink();
        self.settled.shrink();
    }
}
