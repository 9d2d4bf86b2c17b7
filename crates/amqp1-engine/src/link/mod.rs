//! One link (§2.6): its credit, what waits to be sent, what was received.

mod state;

use crate::{
    ascending::Ascending,
    config::{Credit, DrainMode, SendOptions},
    delivery::{Assembly, OutgoingDelivery},
    error::SendError,
    event::{IncomingDelivery, Settlement, StreamItem},
    metadata::{Charge, Kept, RemoteAttach, is_plain},
    planted::{self, Planted},
    rare::Rare,
    resume::{Retained, SuspendedReceiver, SuspendedSender},
    store::SessionId,
    time::Instant,
    tolerances::Tolerances,
    violation::PeerMisbehaved,
};
use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
};
use amqp1_codec::{
    Decode, DeliveryTag, Encode, EncodeStyle, Limits, Multiple, Reader, SequenceNo,
    definitions::{Fields, ReceiverSettleMode, Role, SenderSettleMode},
    messaging::{Source, Target},
    performative::{Attach, Flow},
};
use bytes::{Bytes, BytesMut};
pub(crate) use state::{Answer, AwaitedHandle, KnownBefore, LinkState};

/// How far the receiver's drain of a link has come (§2.6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DrainState {
    None,
    /// The receiver has asked; the credit can still be used.
    Requested,
    /// What is queued is sent, then the rest of the credit is given up.
    GivingUp,
}

/// Whether a window of credit is not filled because too much is unsettled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withheld {
    No,
    /// The application is to be told.
    Untold,
    Told,
}

/// A delivery that waits to be taken, and its state at the sender.
#[derive(Debug)]
pub(crate) struct Buffered {
    /// Without its state.
    pub(crate) delivery: IncomingDelivery,
    pub(crate) state: Option<Box<Kept>>,
}

/// Rarely used state is boxed, since most links are idle.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) session: SessionId,
    /// Which end this is.
    pub(crate) role: Role,
    /// What each end has attached and detached.
    pub(crate) state: LinkState,
    /// What we attach with.
    pub(crate) local: Box<Attach>,
    /// What the peer attached with.
    pub(crate) remote: Option<Box<RemoteAttach>>,
    /// What a link that the peer has attached takes beside that.
    pub(crate) charge: Charge,
    /// Both are forgotten once the link is answered.
    pub(crate) forgets: bool,
    /// Our attach of a link that the peer has attached, for attaching it once more. `local` holds the rest.
    pub(crate) reattach: Option<Bytes>,

    pub(crate) delivery_count: SequenceNo,
    /// Deliveries that may still be started.
    pub(crate) credit: u32,
    /// Deliveries that were begun and are not settled, by their ids in the session.
    pub(crate) unsettled: Ascending<()>,

    // The sending end.
    pub(crate) queue: VecDeque<OutgoingDelivery>,
    /// Octets of payload in `queue`.
    pub(crate) queued: usize,
    /// What of that the connection has counted.
    pub(crate) counted: usize,
    /// Whether the link stands in the list of those that can send.
    pub(crate) ready: bool,
    /// The drain flag of the receiver's last flow.
    pub(crate) remote_drain: bool,
    pub(crate) drain: DrainState,
    pub(crate) drain_mode: DrainMode,
    /// When the engine answers a drain that the application has not answered.
    pub(crate) drain_deadline: Option<Instant>,
    /// The token of a delivery that the receiver has settled while it was being written: until the application has
    /// finished it or given it up, nothing else is sent.
    pub(crate) settled_early: Option<u64>,
    /// The ids of deliveries with a provisional outcome, by their tokens.
    pub(crate) provisional: Rare<BTreeMap<u64, u64>>,
    /// The tokens of deliveries that the receiver has settled with a provisional outcome.
    pub(crate) retired: Rare<BTreeSet<u64>>,
    pub(crate) next_tag: u32,
    /// The flow of a link tells these too.
    pub(crate) flow_properties: Option<Box<Fields>>,
    pub(crate) remote_flow_properties: Option<Box<Kept>>,

    // Resumption.
    pub(crate) resumable: bool,
    /// What an earlier endpoint has left, until both attaches are there; then what has to wait for the next endpoint.
    pub(crate) resume_sender: Option<Box<SuspendedSender>>,
    /// What an earlier endpoint has left, as far as the sender has not come back to it.
    pub(crate) resume_receiver: Option<Box<SuspendedReceiver>>,
    /// One of the ends could not name all of its unsettled deliveries: nothing new is sent (§2.7.3).
    pub(crate) reducing: bool,
    /// Whether it was reported that the link is to be attached again.
    pub(crate) reattach_told: bool,

    // The receiving end.
    pub(crate) policy: Credit,
    /// Beyond this many unsettled deliveries a window is not filled, and nothing is sent unsettled.
    pub(crate) max_unsettled: u32,
    /// Whether messages that cannot be decoded are rejected here, and how many were.
    pub(crate) reject_undecodable: bool,
    pub(crate) undecodable: u64,
    /// Whether deliveries that are not settled are handed over when the link ends.
    pub(crate) unsettled_after_end: bool,
    /// A window was not filled, and what the application knows of that.
    pub(crate) withheld: Withheld,
    /// Deliveries that may come although the credit was lowered: they may have been on their way.
    pub(crate) excess: u32,
    pub(crate) buffered: VecDeque<Buffered>,
    /// Whether deliveries are handed out piece by piece.
    pub(crate) streamed: bool,
    pub(crate) stream: Rare<VecDeque<StreamItem>>,
    /// The states of the deliveries that begin in `stream`.
    pub(crate) stream_states: Rare<VecDeque<Option<Box<Kept>>>>,
    /// Streamed deliveries whose end was not taken.
    pub(crate) streams: u32,
    /// What still comes of the streamed delivery whose pieces are being taken is dropped.
    pub(crate) skips_stream: bool,
    pub(crate) assembly: Option<Box<Assembly>>,
    /// The tags of deliveries that are not settled: at the receiving end where repeated ones are not tolerated, at the
    /// sending end those that the application has chosen, and all on a resumable link.
    pub(crate) tags: BTreeSet<DeliveryTag>,
    pub(crate) draining: bool,
    /// What waits in `stream` does not hold back the session's window any more.
    pub(crate) released: bool,
    /// How often credit was given before a drain was answered: the answers, when they come, do not know of it.
    drains_crossed: u32,
    /// Deliveries that came without credit since it was last given.
    overrun: u32,

    /// Whether the credit has changed so that the peer must be told.
    pub(crate) flow_due: bool,
    /// Whether a flow is queued.
    pub(crate) flow_queued: bool,
}

impl Link {
    pub(crate) fn new(session: SessionId, local: Attach, policy: Credit) -> Self {
        Self {
            session,
            role: local.role,
            state: LinkState::new(),
            delivery_count: local.initial_delivery_count.unwrap_or_default(),
            local: Box::new(local),
            remote: None,
            charge: Charge::default(),
            forgets: false,
            reattach: None,
            credit: 0,
            unsettled: Ascending::default(),
            queue: VecDeque::new(),
            queued: 0,
            counted: 0,
            ready: false,
            remote_drain: false,
            drain: DrainState::None,
            drain_mode: DrainMode::Automatic,
            drain_deadline: None,
            settled_early: None,
            provisional: Rare::default(),
            retired: Rare::default(),
            next_tag: 0,
            flow_properties: None,
            remote_flow_properties: None,
            resumable: false,
            resume_sender: None,
            resume_receiver: None,
            reducing: false,
            reattach_told: false,
            policy,
            max_unsettled: u32::MAX,
            reject_undecodable: false,
            undecodable: 0,
            unsettled_after_end: false,
            withheld: Withheld::No,
            excess: 0,
            buffered: VecDeque::new(),
            streamed: false,
            stream: Rare::default(),
            stream_states: Rare::default(),
            streams: 0,
            skips_stream: false,
            assembly: None,
            tags: BTreeSet::new(),
            draining: false,
            released: false,
            drains_crossed: 0,
            overrun: 0,
            flow_due: false,
            flow_queued: false,
        }
    }

    /// Takes over what an earlier endpoint has left.
    pub(crate) fn continue_sending(&mut self, suspended: Option<SuspendedSender>) {
        if let Some(suspended) = &suspended {
            self.next_tag = suspended.next_tag;
            self.tags = suspended.deliveries.iter().map(|delivery| delivery.tag).collect();
        }
        self.resume_sender = suspended.map(Box::new);
    }

    /// A delivery to queue, still without its message.
    pub(crate) fn outgoing(&mut self, options: SendOptions) -> Result<OutgoingDelivery, SendError> {
        let tag = match options.tag {
            Some(tag) if self.tags.contains(&tag) => return Err(SendError::TagInUse),
            Some(tag) => tag,
            None => self.unused_tag(),
        };
        let mut delivery = OutgoingDelivery::new(options.token, tag, options.message_format);
        // On a link whose sender settles everything there is no choice.
        delivery.settled = options.settled || self.sender_settle_mode() == SenderSettleMode::Settled;
        delivery.report = delivery.settled.then_some(Settlement::Sent);
        if options.tag.is_some() && !delivery.settled {
            self.tags.insert(tag);
            delivery.named = true;
        }
        delivery.state = options.state;
        delivery.acquired = options.acquired;
        // §4.3: what belongs to a transaction ends with it, not with the next endpoint.
        if self.resumable && !delivery.settled && !delivery.is_transactional() {
            self.tags.insert(tag);
            let message_format = options.message_format;
            delivery.retained = Some(Box::new(Retained { tag, message_format, parts: None, state: None }));
        }
        Ok(delivery)
    }

    fn unused_tag(&mut self) -> DeliveryTag {
        loop {
            let tag = DeliveryTag::from(self.next_tag);
            self.next_tag = self.next_tag.wrapping_add(1);
            if !self.tags.contains(&tag) {
                return tag;
            }
        }
    }

    /// Whether this end attaches without a terminus: it refuses the link.
    pub(crate) fn is_refused(&self) -> bool {
        self.local.source.is_none() && self.local.target.is_none()
    }

    /// Our attach as octets, which are kept; of itself only what is asked for later stays.
    pub(crate) fn pack_local(&mut self, style: EncodeStyle) -> Bytes {
        let octets = encoded(&self.local, style);
        let local = &mut self.local;
        self.reattach = Some(match local.unsettled.take() {
            Some(_) => encoded(local, style),
            None => octets.clone(),
        });
        // A default outcome without heap data is kept. A target alone marks the attach as accepted.
        let refused = local.source.is_none() && local.target.is_none();
        local.source = local.source.take().and_then(|source| {
            let default_outcome = source.default_outcome.filter(is_plain)?;
            Some(Box::new(Source { default_outcome: Some(default_outcome), ..Source::default() }))
        });
        local.target = (!refused && local.source.is_none()).then(|| Target::default().into());
        local.offered_capabilities = Multiple::default();
        local.properties = None;
        octets
    }

    /// Takes our attach out of the octets again.
    pub(crate) fn unpack_local(&mut self, limits: Limits) {
        let octets = self.reattach.take();
        if let Some(local) = octets.and_then(|octets| Attach::decode(&mut Reader::with_limits(&octets, limits)).ok()) {
            *self.local = local;
        }
    }

    /// Forgets what the peer has attached with, but for what counts later.
    pub(crate) fn forget_remote(&mut self) {
        if let Some(remote) = &mut self.remote {
            remote.kept = None;
        }
    }

    /// Whether both ends are attached and none has detached.
    pub(crate) fn is_attached(&self) -> bool {
        self.state.is_attached()
    }

    /// Deliveries that may be queued.
    pub(crate) fn sendable(&self) -> u32 {
        if self.role != Role::Sender || !self.is_attached() || self.state.is_detaching() {
            return 0;
        }
        if self.drain == DrainState::GivingUp || self.reducing || self.is_streaming() {
            return 0;
        }
        self.credit.saturating_sub(self.available()).min(self.unsettled_left())
    }

    /// Deliveries that may be sent unsettled before some must be settled. Those that wait count too.
    pub(crate) fn unsettled_left(&self) -> u32 {
        if self.sender_settle_mode() == SenderSettleMode::Settled {
            return u32::MAX;
        }
        // What is settled within a transaction is pending until the discharge.
        let unsettled = self.unsettled.len().saturating_add(self.retired.get().map_or(0, BTreeSet::len));
        let unsettled = u32::try_from(unsettled).unwrap_or(u32::MAX);
        self.max_unsettled.saturating_sub(unsettled).saturating_sub(self.available())
    }

    /// Whether all of the credit is taken by deliveries that wait.
    pub(crate) fn lacks_credit(&self) -> bool {
        self.credit <= self.available()
    }

    /// How many deliveries wait to be begun. Only the first can have been begun, and its credit is used already.
    fn available(&self) -> u32 {
        let begun = self.queue.front().is_some_and(|delivery| delivery.id.is_some());
        u32::try_from(self.queue.len().saturating_sub(usize::from(begun))).unwrap_or(u32::MAX)
    }

    /// Whether the application is writing a delivery piece by piece.
    pub(crate) fn is_streaming(&self) -> bool {
        self.settled_early.is_some() || self.queue.back().is_some_and(|delivery| delivery.open)
    }

    /// Octets of payload in the queue that need not wait for others.
    pub(crate) fn sendable_octets(&self) -> usize {
        self.queued.saturating_sub(self.queue.back().map_or(0, OutgoingDelivery::held_back))
    }

    /// The receiver has settled a delivery. If only a part of it has left, the rest is given up and returned.
    pub(crate) fn settled_half(&mut self, id: u64) -> Option<VecDeque<Bytes>> {
        let half = self.queue.front_mut().filter(|half| half.id == Some(id) && !half.aborted)?;
        self.queued = self.queued.saturating_sub(half.left);
        if half.open {
            self.settled_early = Some(half.token);
        }
        Some(half.give_up())
    }

    /// Whether a transfer can leave, the session's window permitting.
    pub(crate) fn can_transfer(&self) -> bool {
        match self.queue.front() {
            Some(delivery) => {
                let may_begin = delivery.id.is_some() || self.credit > 0;
                !self.state.has_detached() && may_begin && delivery.has_octets()
            }
            None => false,
        }
    }

    /// Whether the application has begun a delivery that has credit, and has written nothing that can leave. In a drain it
    /// keeps the credit for as long as the application has for the answer.
    pub(crate) fn keeps_credit(&self) -> bool {
        !self.is_drain_late()
            && self.credit > 0
            && self.queue.front().is_some_and(|front| front.id.is_none() && !front.has_octets())
    }

    /// Whether the time is over that the application has to answer a drain.
    fn is_drain_late(&self) -> bool {
        let bounded = matches!(self.drain_mode, DrainMode::Application { .. });
        bounded && self.drain == DrainState::GivingUp && self.drain_deadline.is_none()
    }

    /// The largest message that the peer takes.
    pub(crate) fn remote_max_message_size(&self) -> Option<u64> {
        self.remote.as_ref().and_then(|remote| remote.max_message_size).filter(|max| *max > 0)
    }

    /// The mode in which the sending end sends: what either end demands.
    pub(crate) fn sender_settle_mode(&self) -> SenderSettleMode {
        match self.local.snd_settle_mode {
            SenderSettleMode::Mixed => self.remote.as_ref().map_or(SenderSettleMode::Mixed, |r| r.snd_settle_mode),
            mode => mode,
        }
    }

    /// The mode in which the receiving end settles: its own word.
    pub(crate) fn receiver_settle_mode(&self) -> ReceiverSettleMode {
        match self.role {
            Role::Receiver => self.local.rcv_settle_mode,
            Role::Sender => self.remote.as_ref().map_or(ReceiverSettleMode::First, |remote| remote.rcv_settle_mode),
        }
    }

    /// §2.6.7: the receiver's state, seen from the sending end. Whether there is more credit than before.
    pub(crate) fn on_receiver_flow(&mut self, flow: &Flow) -> bool {
        let (before, credit_before) = (self.sendable(), self.credit);
        if let Some(credit) = flow.link_credit {
            let base = flow.delivery_count.unwrap_or_else(|| self.local.initial_delivery_count.unwrap_or_default());
            let used = self.delivery_count.offset_from(base);
            // What was sent meanwhile is taken off; a base ahead of us is the peer's mistake and adds nothing.
            self.credit = credit.saturating_sub(u32::try_from(used).unwrap_or(0));
            if planted::is(Planted::CreditOffByOne) {
                self.credit = self.credit.saturating_add(1);
            }
        }
        self.remote_drain = flow.drain;
        if !flow.drain {
            self.drain = DrainState::None;
        } else if self.drain == DrainState::None || self.credit > credit_before {
            self.drain = DrainState::Requested;
        }
        self.sendable() > before
    }

    /// §2.6.7: the sender's state, seen from the receiving end. Whether a drain is done with it.
    pub(crate) fn on_sender_flow(&mut self, flow: &Flow) -> bool {
        if let Some(count) = flow.delivery_count {
            let distance = count.distance_from(self.delivery_count);
            let ahead = match u32::try_from(count.offset_from(self.delivery_count)) {
                Ok(ahead) => ahead,
                // All of a credit of half the numbers there are, and more, may be given up at once.
                Err(_) if self.draining && distance <= self.credit => distance,
                Err(_) => 0,
            };
            let crossed = self.drains_crossed > 0;
            self.drains_crossed = self.drains_crossed.saturating_sub(u32::from(ahead > 0 || flow.drain));
            if ahead > 0 && crossed && !self.draining {
                // It has answered a drain that is over for us: what was given since then is given again.
                self.delivery_count = count;
                self.flow_due = true;
            } else if ahead > 0 {
                self.excess = self.excess.saturating_sub(ahead.saturating_sub(self.credit));
                self.credit = self.credit.saturating_sub(ahead);
                self.delivery_count = count;
            }
            if ahead > 0 && !self.draining {
                // Whatever it was that has taken the credit: a window is kept filled.
                self.refill();
            }
        }
        self.drain_done()
    }

    /// A delivery begins: it uses credit. `None` if there is none. A tolerated sender may run over it by some: RabbitMQ
    /// computes its credit before it has counted what is on its way.
    pub(crate) fn use_credit(&mut self, tolerant: bool) -> Option<()> {
        const OVERRUN: u32 = 1024;
        match self.credit.checked_sub(1) {
            Some(credit) => self.credit = credit,
            None if self.excess > 0 => self.excess = self.excess.saturating_sub(1),
            None if tolerant && self.overrun < OVERRUN => self.overrun = self.overrun.saturating_add(1),
            None => return None,
        }
        self.delivery_count = self.delivery_count.next();
        Some(())
    }

    /// Whether a drain that was asked for is done; if so it is over.
    pub(crate) fn drain_done(&mut self) -> bool {
        let done = self.draining && self.credit == 0;
        if done {
            self.draining = false;
        }
        done
    }

    /// Takes the next delivery, and gives credit for another where the policy says so.
    pub(crate) fn take(&mut self, limits: Limits) -> Option<IncomingDelivery> {
        let Buffered { mut delivery, state } = self.buffered.pop_front()?;
        if let Some(state) = state {
            delivery.state = state.decode(limits);
        }
        self.refill();
        Some(delivery)
    }

    /// How many deliveries the application has not taken, one of which only a part has come included.
    fn waiting(&self) -> u32 {
        let half = self.assembly.as_ref().is_some_and(|assembly| !assembly.streamed);
        u32::try_from(self.buffered.len()).unwrap_or(u32::MAX).saturating_add(self.streams).saturating_add(half.into())
    }

    pub(crate) fn refill(&mut self) {
        let Credit::Window(max) = self.policy else { return };
        if self.state.has_detached() {
            return;
        }
        let buffered = self.waiting();
        if self.credit.saturating_add(buffered) > max / 2 {
            return;
        }
        let room = self.unsettled_room();
        if room == 0 {
            if self.withheld == Withheld::No {
                self.withheld = Withheld::Untold;
            }
            return;
        }
        self.withheld = Withheld::No;
        let credit = max.saturating_sub(buffered).min(room);
        if credit > self.credit {
            self.grant(credit);
        }
    }

    /// How many deliveries more may be unsettled here.
    fn unsettled_room(&self) -> u32 {
        self.max_unsettled.saturating_sub(u32::try_from(self.unsettled.len()).unwrap_or(u32::MAX))
    }

    /// Sets the credit policy and gives what it gives at once.
    pub(crate) fn set_credit(&mut self, policy: Credit) {
        self.policy = policy;
        self.withheld = Withheld::No;
        let buffered = self.waiting();
        self.grant(match policy {
            Credit::Manual(credit) => credit,
            Credit::Window(max) => max.saturating_sub(buffered).min(self.unsettled_room()),
        });
        self.drains_crossed = self.drains_crossed.saturating_add(u32::from(self.draining));
        self.draining = false;
        // Where nothing can be given now, a settlement gives it.
        self.refill();
    }

    /// How many deliveries may still come, one of which a part has come included.
    pub(crate) fn in_flight(&self) -> u32 {
        self.credit.saturating_add(self.excess).saturating_add(self.assembly.is_some().into())
    }

    /// No more deliveries are allowed. What is in flight may come.
    pub(crate) fn take_credit_back(&mut self) {
        self.policy = Credit::Manual(0);
        self.draining = false;
        self.grant(0);
    }

    fn grant(&mut self, credit: u32) {
        self.excess = self.credit.saturating_add(self.excess).saturating_sub(credit);
        self.credit = credit;
        self.overrun = 0;
        self.flow_due = true;
    }

    /// The link's part of a flow.
    pub(crate) fn fill_flow(&self, flow: &mut Flow) {
        flow.handle = self.state.handle();
        flow.properties = self.flow_properties.as_deref().cloned();
        flow.link_credit = Some(self.credit);
        match self.role {
            Role::Sender => {
                flow.delivery_count = Some(self.delivery_count);
                flow.available = Some(self.available());
                flow.drain = self.remote_drain;
            }
            Role::Receiver => {
                // Before the sender's attach, its initial count is not known.
                flow.delivery_count = self.remote.is_some().then_some(self.delivery_count);
                flow.drain = self.draining;
                flow.echo = self.state.stopping().is_some();
            }
        }
    }
}

/// Whether a sender does not say where it counts from (§2.7.3), and that is not tolerated.
pub(crate) fn count_missing(attach: &Attach, tolerances: &Tolerances) -> Option<PeerMisbehaved> {
    let missing = attach.role == Role::Sender && attach.initial_delivery_count.is_none();
    (missing && !tolerances.missing_initial_delivery_count).then_some(PeerMisbehaved::InitialDeliveryCountMissing)
}

fn encoded(attach: &Attach, style: EncodeStyle) -> Bytes {
    let mut out = BytesMut::with_capacity(attach.encoded_len(style));
    attach.encode(style, &mut out);
    out.freeze()
}

/// What is wrong with an attach by itself (§2.7.3, §3.5.3).
pub(crate) fn attach_violation(attach: &Attach, tolerances: &Tolerances) -> Option<PeerMisbehaved> {
    if let Some(violation) = count_missing(attach, tolerances) {
        return Some(violation);
    }
    let source =
        attach.source.as_deref().map(|s| (s.dynamic, s.address.is_some(), s.dynamic_node_properties.is_some()));
    let target = attach
        .target
        .as_ref()
        .and_then(|target| target.as_target())
        .map(|t| (t.dynamic, t.address.is_some(), t.dynamic_node_properties.is_some()));
    // The terminus of the peer's own end may carry what was given to it; the one at our end is what it asks for.
    let asked = match attach.role {
        Role::Sender => target,
        Role::Receiver => source,
    };
    match asked {
        Some((true, true, _)) => Some(PeerMisbehaved::DynamicNodeContradiction),
        Some((false, _, true)) if !tolerances.spare_node_properties => Some(PeerMisbehaved::DynamicNodeContradiction),
        _ => None,
    }
}
