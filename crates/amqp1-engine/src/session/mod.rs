//! One session (§2.5): its windows, its handles, its unsettled deliveries.

mod disposition;
mod errant;
mod late;
mod output;
mod state;
mod unsettled;
mod window;

use crate::{
    config::SessionConfig,
    control::Body,
    metadata::{Charge, Stated},
    numbers::Numbers,
    resume::{HeldDelivery, Retained},
    store::LinkId,
    time::Instant,
};
use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    vec::Vec,
};
use amqp1_codec::{
    DeliveryTag, Str,
    definitions::Role,
    performative::{Begin, Flow, Handle},
};
use disposition::Marks;
use late::{LATE, LateHandles};
use state::NoTransition;
use window::{IncomingWindow, OutgoingWindow};

pub(crate) use disposition::{Stating, state_ends};
pub(crate) use errant::Errant;
pub(crate) use late::LateTransfers;
pub(crate) use output::SessionMut;
pub(crate) use state::{Ending, State};
pub(crate) use unsettled::{Ascending, Unsettled, first_id, wire_id};

/// A delivery that was sent and is not settled.
#[derive(Debug)]
pub(crate) struct SentDelivery {
    pub(crate) link: LinkId,
    pub(crate) token: u64,
    /// It was sent within a transaction, so that a provisional outcome ends it.
    pub(crate) transactional: bool,
    /// The provisional outcome that was reported last.
    pub(crate) provisional: Option<Arc<Stated>>,
    /// Its tag, if that must not be used again before it is settled.
    pub(crate) tag: Option<Box<DeliveryTag>>,
    /// The parts that are needed to send it again, if its link is resumable.
    pub(crate) retained: Option<Box<Retained>>,
}

/// A delivery that was received and is not settled.
#[derive(Debug)]
pub(crate) struct ReceivedDelivery {
    pub(crate) link: LinkId,
    pub(crate) tag: DeliveryTag,
    /// Whether this end waits for the sender to settle first.
    pub(crate) second: bool,
    /// Whether the outcome was stated, so that only the sender's settlement is missing.
    pub(crate) stated: bool,
    /// The state that is needed to resume it, if its link is resumable.
    pub(crate) held: Option<Box<HeldDelivery>>,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) config: SessionConfig,
    /// Its count of the peer's metadata.
    pub(crate) charge: Charge,
    pub(crate) state: State,
    pub(crate) ending: Ending,
    /// The channel on which this end sends, once it has begun.
    pub(crate) channel: Option<u16>,
    /// The channel on which the peer sends.
    pub(crate) remote_channel: Option<u16>,
    /// Whether this end has begun it, so that the peer's begin answers ours.
    pub(crate) begun_here: bool,

    pub(crate) incoming_window: IncomingWindow,
    pub(crate) outgoing_window: OutgoingWindow,
    pub(crate) next_delivery: u64,
    pub(crate) sent: Unsettled<SentDelivery>,
    /// The ids and tokens of the deliveries of suspended links, by link name. While the session lives, the peer may
    /// still settle them by their ids (§2.6.4).
    pub(crate) suspended: BTreeMap<Str, Vec<(u64, u64)>>,
    /// The last of the deliveries that were not settled when their link ended: they cannot be retired any more.
    pub(crate) lost: BTreeSet<u64>,

    pub(crate) flow_queued: bool,
    pub(crate) received: Unsettled<ReceivedDelivery>,
    pub(crate) marks: Marks,

    pub(crate) remote_handle_max: Handle,
    pub(crate) links: BTreeSet<LinkId>,
    /// Links by the handles that the peer uses.
    pub(crate) incoming: BTreeMap<Handle, LinkId>,
    /// Transfers that may still come on handles that the peer has detached.
    pub(crate) late: LateHandles,
    /// Handles of ours that are not used again yet, since RabbitMQ 3.10 uses ours as its own.
    retired: VecDeque<Handle>,
    /// When the peer's answer to our end is not waited for any longer.
    pub(crate) end_deadline: Option<Instant>,
    /// The highest handle that the peer has detached.
    pub(crate) detached_up_to: Option<Handle>,
    /// The handles that this end uses.
    pub(crate) handles: Numbers,
    /// Links that wait for the peer's begin.
    pub(crate) waiting: Vec<LinkId>,
    /// Links that the peer has attached, and that cannot be answered before a handle is free.
    pub(crate) awaiting_handle: VecDeque<LinkId>,
    /// Links whose attach the peer has to answer.
    pub(crate) unanswered: Vec<LinkId>,
    /// Deliveries that the peer can no longer change.
    pub(crate) errant: Errant,
    /// Frames that wait for our begin.
    pub(crate) held: Vec<Body>,
    /// Links that can send, in the order of their turns.
    pub(crate) ready: VecDeque<LinkId>,
    /// Links that leave the rest of the window to others until it is wider.
    pub(crate) patient: Vec<LinkId>,
    /// When those use it all the same.
    pub(crate) share_until: Option<Instant>,
    /// How many of its links send.
    pub(crate) senders: u32,
    /// Links that we have closed and the peer has not, sending ones (`true`) and receiving ones.
    pub(crate) closing: BTreeSet<(bool, Str)>,
    /// Whether the session stands in the list of those that can send.
    pub(crate) scheduled: bool,
}

impl Session {
    pub(crate) fn new(config: SessionConfig) -> Self {
        Self {
            incoming_window: IncomingWindow::new(config.incoming_window),
            outgoing_window: OutgoingWindow::new(config.next_outgoing_id),
            next_delivery: first_id(config.first_delivery_id),
            config,
            charge: Charge::default(),
            state: State::Unmapped,
            ending: Ending::No,
            channel: None,
            remote_channel: None,
            begun_here: false,
            sent: Unsettled::default(),
            suspended: BTreeMap::new(),
            lost: BTreeSet::new(),
            flow_queued: false,
            received: Unsettled::default(),
            marks: Marks::default(),
            remote_handle_max: u32::MAX,
            links: BTreeSet::new(),
            incoming: BTreeMap::new(),
            late: LateHandles::default(),
            retired: VecDeque::new(),
            end_deadline: None,
            detached_up_to: None,
            handles: Numbers::default(),
            waiting: Vec::new(),
            awaiting_handle: VecDeque::new(),
            unanswered: Vec::new(),
            errant: Errant::default(),
            held: Vec::new(),
            ready: VecDeque::new(),
            patient: Vec::new(),
            share_until: None,
            senders: 0,
            closing: BTreeSet::new(),
            scheduled: false,
        }
    }

    /// A session that the peer begins.
    pub(crate) fn offered(begin: &Begin, remote_channel: u16) -> Self {
        let mut session = Self { state: State::BeginReceived, ..Self::new(SessionConfig::default()) };
        session.on_begin(begin, remote_channel);
        session
    }

    /// Whether the peer has had a link on this handle and has detached it. Handles are used lowest first (§2.7.3), so
    /// the highest one says it for those below, in no memory.
    pub(crate) fn was_detached(&self, handle: Handle) -> bool {
        self.detached_up_to.is_some_and(|highest| handle <= highest) && !self.incoming.contains_key(&handle)
    }

    /// Takes the configuration of a session that the peer has begun.
    pub(crate) fn configure(&mut self, config: SessionConfig) {
        self.incoming_window.configure(config.incoming_window);
        self.outgoing_window.configure(config.next_outgoing_id);
        self.next_delivery = first_id(config.first_delivery_id);
        self.config = config;
    }

    pub(crate) fn begin(&self) -> Begin {
        Begin {
            remote_channel: self.remote_channel,
            next_outgoing_id: self.outgoing_window.next_id(),
            incoming_window: self.incoming_window.left(),
            outgoing_window: self.config.outgoing_window,
            handle_max: self.config.handle_max,
            properties: (!self.config.properties.is_empty()).then(|| self.config.properties.clone()),
            ..Begin::default()
        }
    }

    /// The peer's begin answers ours.
    ///
    /// # Errors
    ///
    /// If ours is not sent, or it was answered already.
    pub(crate) fn on_answer(&mut self, begin: &Begin, remote_channel: u16) -> Result<(), NoTransition> {
        self.state = self.state.receive_begin()?;
        self.on_begin(begin, remote_channel);
        Ok(())
    }

    fn on_begin(&mut self, begin: &Begin, remote_channel: u16) {
        self.remote_channel = Some(remote_channel);
        self.incoming_window.on_begin(begin);
        self.outgoing_window.on_begin(begin);
        self.remote_handle_max = begin.handle_max;
    }

    /// The peer's flow moves both windows. On a session that this end has begun the peer knows our begin; `lax` takes
    /// that for granted on others.
    pub(crate) fn on_flow(&mut self, flow: &Flow, lax: bool) {
        self.outgoing_window.on_flow(flow, self.begun_here || lax);
        self.incoming_window.on_flow(flow);
    }

    /// A link belongs to the session.
    pub(crate) fn add_link(&mut self, id: LinkId, role: Role) {
        self.links.insert(id);
        self.senders = self.senders.saturating_add(u32::from(role == Role::Sender));
    }

    /// A link is gone.
    pub(crate) fn remove_link(&mut self, id: LinkId, role: Role) {
        self.links.remove(&id);
        self.senders = self.senders.saturating_sub(u32::from(role == Role::Sender));
    }

    /// Transfers may still come on a handle that the peer has detached. Too many are not remembered.
    pub(crate) fn expect_late(&mut self, handle: Handle, late: LateTransfers) {
        if late.deliveries > 0 {
            self.late.insert(handle, late);
        }
    }

    /// A link of ours is gone. Its handle is used again at once, or last of all.
    pub(crate) fn give_back(&mut self, handle: Handle, late: bool) {
        if !late {
            return self.handles.give_back(handle);
        }
        self.retired.push_back(handle);
        if self.retired.len() > LATE {
            self.retired.pop_front().into_iter().for_each(|oldest| self.handles.give_back(oldest));
        }
        self.reclaim();
    }

    /// Handles are used again that were not to be, if there is no other.
    pub(crate) fn reclaim(&mut self) {
        while self.handles.lowest(self.remote_handle_max).is_none() {
            let Some(handle) = self.retired.pop_front() else { return };
            self.handles.give_back(handle);
        }
    }

    /// A link need not wait for a wider window any more. Whether it did.
    pub(crate) fn leave_waiting(&mut self, id: LinkId) -> bool {
        let waiting = self.patient.len();
        self.patient.retain(|patient| *patient != id);
        self.patient.len() < waiting
    }

    /// Narrows the window for a streamed link to `stream_octets` of the largest frames.
    pub(crate) fn narrow_window(&mut self, max_frame_size: u32) {
        let frames = self.config.stream_octets.checked_div(max_frame_size).unwrap_or(1);
        self.incoming_window.narrow(frames, self.state.is_begin_sent());
    }

    /// The session's part of a flow. It opens the window as far as it goes.
    pub(crate) fn flow(&mut self) -> Flow {
        Flow {
            next_incoming_id: self.incoming_window.next_id(),
            incoming_window: self.incoming_window.open(),
            next_outgoing_id: self.outgoing_window.next_id(),
            outgoing_window: self.config.outgoing_window,
            ..Flow::default()
        }
    }
}
