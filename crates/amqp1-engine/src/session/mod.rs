//! One session (§2.5): its windows, its handles, its unsettled deliveries.

mod output;

use crate::{
    config::SessionConfig,
    control::Control,
    errant::Errant,
    late::{LATE, LateHandles, LateTransfers},
    metadata::{Charge, Stated},
    numbers::Numbers,
    resume::{HeldDelivery, Retained},
    settlement::{Marks, Unsettled},
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
    DeliveryTag, SequenceNo, Str,
    definitions::Role,
    performative::{Begin, Flow, Handle},
};

pub(crate) use output::SessionMut;

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
    /// What is needed to send it again, if its link is resumable.
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
    /// What is needed to resume it, if its link is resumable.
    pub(crate) held: Option<Box<HeldDelivery>>,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) config: SessionConfig,
    /// What it counts of the peer's metadata.
    pub(crate) charge: Charge,
    /// The channel on which this end sends.
    pub(crate) channel: u16,
    /// The channel on which the peer sends.
    pub(crate) remote_channel: Option<u16>,
    pub(crate) begin_sent: bool,
    pub(crate) begin_received: bool,
    pub(crate) end_sent: bool,
    /// The application wants it to end, when everything that can be sent is sent.
    pub(crate) ending: bool,
    /// Whether this end has begun it, so that the peer's begin answers ours.
    pub(crate) begun_here: bool,
    /// Whether the application knows that it has ended.
    pub(crate) told: bool,

    pub(crate) next_outgoing_id: SequenceNo,
    pub(crate) remote_incoming_window: u32,
    pub(crate) next_delivery: u64,
    pub(crate) sent: Unsettled<SentDelivery>,
    /// The ids and tokens of the deliveries of suspended links, by link name. While the session lives, the peer may still
    /// settle them by their ids (§2.6.4).
    pub(crate) suspended: BTreeMap<Str, Vec<(u64, u64)>>,
    /// The last of the deliveries that were not settled when their link ended: they cannot be retired any more.
    pub(crate) lost: BTreeSet<u64>,

    pub(crate) next_incoming_id: Option<SequenceNo>,
    /// How many transfers the peer may send by what it said of itself (§2.5.6).
    pub(crate) remote_outgoing_window: u32,
    /// How many transfers the peer may send by what it was told last.
    pub(crate) incoming_window: u32,
    /// Transfers that may come although the window was narrowed: they may have been on their way.
    excess: u32,
    /// The widest window there is, once a link is streamed.
    stream_window: Option<u32>,
    /// Transfers of streamed links that are not taken yet.
    pub(crate) held_transfers: u32,
    /// Where the window ends that the peer has opened: the first transfer-id that it does not take.
    remote_window_end: Option<SequenceNo>,
    /// The least of its window that the peer had left when it opened it again by itself, as far as was seen: one that waits until
    /// nothing is left must be let use all of it.
    reopens_at: Option<u32>,
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
    /// What the peer has no more say in.
    pub(crate) errant: Errant,
    /// Frames that wait for our begin.
    pub(crate) held: Vec<Control>,
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
    pub(crate) fn new(config: SessionConfig, channel: u16) -> Self {
        Self {
            incoming_window: config.incoming_window,
            excess: 0,
            stream_window: None,
            held_transfers: 0,
            remote_window_end: None,
            reopens_at: None,
            next_outgoing_id: config.next_outgoing_id,
            next_delivery: crate::settlement::first_id(config.first_delivery_id),
            config,
            charge: Charge::default(),
            channel,
            remote_channel: None,
            begin_sent: false,
            begin_received: false,
            end_sent: false,
            ending: false,
            begun_here: false,
            told: false,
            remote_incoming_window: 0,
            sent: Unsettled::default(),
            suspended: BTreeMap::new(),
            lost: BTreeSet::new(),
            next_incoming_id: None,
            remote_outgoing_window: 0,
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

    /// Whether the peer has had a link on this handle and has detached it. Handles are used lowest first (§2.7.3), so the
    /// highest one says it for those below, in no memory.
    pub(crate) fn was_detached(&self, handle: Handle) -> bool {
        self.detached_up_to.is_some_and(|highest| handle <= highest) && !self.incoming.contains_key(&handle)
    }

    /// Takes the configuration of a session that the peer has begun.
    pub(crate) fn configure(&mut self, config: SessionConfig) {
        self.incoming_window = config.incoming_window;
        self.next_outgoing_id = config.next_outgoing_id;
        self.next_delivery = crate::settlement::first_id(config.first_delivery_id);
        self.remote_window_end = Some(config.next_outgoing_id.plus(self.remote_incoming_window));
        self.config = config;
    }

    pub(crate) fn begin(&self) -> Begin {
        Begin {
            remote_channel: self.remote_channel,
            next_outgoing_id: self.next_outgoing_id,
            incoming_window: self.incoming_window,
            outgoing_window: self.config.outgoing_window,
            handle_max: self.config.handle_max,
            properties: (!self.config.properties.is_empty()).then(|| self.config.properties.clone()),
            ..Begin::default()
        }
    }

    pub(crate) fn on_begin(&mut self, begin: &Begin, remote_channel: u16) {
        self.remote_channel = Some(remote_channel);
        self.begin_received = true;
        self.next_incoming_id = Some(begin.next_outgoing_id);
        self.remote_outgoing_window = begin.outgoing_window;
        self.remote_incoming_window = begin.incoming_window;
        self.remote_window_end = Some(self.config.next_outgoing_id.plus(begin.incoming_window));
        self.remote_handle_max = begin.handle_max;
    }

    /// §2.5.6: what the peer can take, from what it says and what it may not know yet.
    ///
    /// A peer that does not know our begin leaves next-incoming-id out, and its window counts from our first transfer. On a
    /// session that this end has begun it knows it: one that leaves it out there never says it, and its window is taken as
    /// it stands, as `lax` allows for other sessions.
    pub(crate) fn on_flow(&mut self, flow: &Flow, lax: bool) {
        let window = flow.incoming_window;
        // Sent, and not received when this was said. A number ahead of ours is the peer's mistake and adds nothing.
        let in_flight = |next| u32::try_from(self.next_outgoing_id.offset_from(next)).unwrap_or(0);
        self.remote_incoming_window = match flow.next_incoming_id {
            Some(next) => window.saturating_sub(in_flight(next)),
            None => match window.saturating_sub(in_flight(self.config.next_outgoing_id)) {
                0 if self.begun_here || lax => window,
                left => left,
            },
        };
        self.learn_window(flow);
        if self.next_incoming_id.is_some() {
            self.next_incoming_id = Some(flow.next_outgoing_id);
            self.remote_outgoing_window = flow.outgoing_window;
        }
    }

    /// Sees how early the peer opens its window again.
    fn learn_window(&mut self, flow: &Flow) {
        let next = flow.next_incoming_id.unwrap_or(self.config.next_outgoing_id);
        let end = next.plus(flow.incoming_window);
        if let Some(before) = self.remote_window_end {
            let left = u32::try_from(before.offset_from(next)).unwrap_or(0);
            // A flow that says the same again tells nothing, and one that gives credit may open the window by the way.
            if end.offset_from(before) > 0 && flow.handle.is_none() {
                self.reopens_at = Some(self.reopens_at.map_or(left, |least| least.min(left)));
            }
        }
        self.remote_window_end = Some(end);
    }

    /// How much of the peer's window a delivery that begins now leaves to others, so that one that is not taken at
    /// the other end does not stop them.
    pub(crate) fn share(&self) -> u32 {
        (self.remote_incoming_window / 2).min(self.reopens_at.unwrap_or(0).saturating_sub(1))
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

    /// A link of this session is streamed: what was let come beyond `octets` of the largest frames may still come.
    pub(crate) fn narrow_window(&mut self, max_frame_size: u32) {
        let frames = self.config.stream_octets.checked_div(max_frame_size).unwrap_or(1).max(1);
        let window = frames.min(self.config.incoming_window);
        self.stream_window = Some(window);
        if self.begin_sent {
            self.excess = self.excess.max(self.incoming_window.saturating_sub(window));
        }
        self.incoming_window = self.incoming_window.min(window);
    }

    /// The widest window.
    fn widest_window(&self) -> u32 {
        self.stream_window.unwrap_or(self.config.incoming_window)
    }

    /// How many transfers may come now.
    fn open_window(&self) -> u32 {
        self.widest_window().saturating_sub(self.held_transfers).max(self.incoming_window)
    }

    /// Whether the peer is to be told of a wider window: when half of it is used, and there is enough to tell.
    pub(crate) fn window_due(&self) -> bool {
        let widest = self.widest_window();
        let gain = self.open_window().saturating_sub(self.incoming_window);
        let enough = gain >= widest / 4 || self.incoming_window == 0;
        self.incoming_window <= widest / 2 && gain > 0 && enough
    }

    /// Whether what waits to be taken keeps the window from being opened again.
    pub(crate) fn is_held_back(&self) -> bool {
        let low = self.incoming_window <= self.widest_window() / 2;
        self.held_transfers > 0 && low && !self.window_due()
    }

    /// A transfer came. `None` if the window did not allow it. Of links that are not streamed, the credit bounds the
    /// memory: their transfers count as taken at once.
    ///
    /// What may come although the window was narrowed for a streamed link comes on other links: it has its credit only
    /// since then.
    pub(crate) fn on_transfer(&mut self, streamed: bool) -> Option<()> {
        match self.incoming_window.checked_sub(1) {
            Some(window) => self.incoming_window = window,
            None if streamed => return None,
            None => self.excess = self.excess.checked_sub(1)?,
        }
        self.next_incoming_id = self.next_incoming_id.map(SequenceNo::next);
        self.remote_outgoing_window = self.remote_outgoing_window.saturating_sub(1);
        Some(())
    }

    /// A transfer of a streamed link waits to be taken.
    pub(crate) fn hold_transfer(&mut self) {
        self.held_transfers = self.held_transfers.saturating_add(1);
    }

    /// Transfers of a streamed link were taken, or will not be.
    pub(crate) fn release_transfers(&mut self, count: u32) {
        self.held_transfers = self.held_transfers.saturating_sub(count);
    }

    /// The session's part of a flow. It opens the window as far as it goes.
    pub(crate) fn flow(&mut self) -> Flow {
        self.incoming_window = self.open_window();
        Flow {
            next_incoming_id: self.next_incoming_id,
            incoming_window: self.incoming_window,
            next_outgoing_id: self.next_outgoing_id,
            outgoing_window: self.config.outgoing_window,
            ..Flow::default()
        }
    }
}
