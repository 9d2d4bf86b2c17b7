//! The configuration of connections, sessions and links.

use crate::{
    resume::{SuspendedReceiver, SuspendedSender},
    tolerances::Tolerances,
};
use alloc::vec::Vec;
use amqp1_codec::{
    DeliveryTag, EncodeStyle, Limits, SequenceNo, Str, Symbol,
    definitions::{Fields, ReceiverSettleMode, SenderSettleMode},
    messaging::{DeliveryState, Source, Target},
    performative::{Attach, TargetArchetype},
};
use core::time::Duration;

/// How a connection behaves.
#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    /// The name of this container (§2.7.1).
    pub container_id: Str,
    /// The host that a client wants; also sent in sasl-init.
    pub hostname: Option<Str>,
    /// The largest frame that is taken, in octets: 512 if less is set (§2.7.1). 64 KiB unless set.
    pub max_frame_size: u32,
    /// The highest channel that the peer may use.
    pub channel_max: u16,
    /// The connection is given up when nothing is received for this long. Our open announces half of it (§2.4.5).
    pub idle_timeout: Option<Duration>,
    /// Extensions that are offered.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions that are wanted.
    pub desired_capabilities: Vec<Symbol>,
    /// Connection properties.
    pub properties: Fields,
    /// How performatives are written.
    pub style: EncodeStyle,
    /// The limits of decoding the peer's octets.
    pub limits: Limits,
    /// Our own bound on the frames that we send, in octets, however large the peer takes them: links take turns frame
    /// by frame.
    pub outgoing_frame_cap: u32,
    /// How long it may take until the peer's open is received.
    pub handshake_timeout: Duration,
    /// How many links there may be before the peer may offer no more, refused ones included until it detaches them.
    pub max_links: usize,
    /// How many octets of the peer's metadata are kept, once it is let in: what it opens the connection and attaches
    /// its links with, names and the properties of flows included, the states of deliveries as far as they exceed 64
    /// octets, and errors. What exceeds this is refused with `amqp:resource-limit-exceeded`: a link, or a session whose
    /// links take it up. Of errors and states only what explains them is left out. 1 MiB unless set.
    pub max_metadata: usize,
    /// The same until the peer is let in: until our open, or, with
    /// [`hold_authentication`](crate::Connection::hold_authentication), until
    /// [`set_authenticated`](crate::Connection::set_authenticated). 64 KiB unless set.
    pub max_metadata_unauthenticated: usize,
    /// How many octets of messages may wait to be sent on all links before [`send`](crate::Sender::send) takes no more.
    /// A link counts with a sixteenth of it at most, so that a large message on one does not stop the others. 16 MiB
    /// unless set.
    pub max_queued: usize,
    /// How much memory the info of an error of the peer's, or the fields of a state, may take. A larger one is left
    /// out, and the error's description says so, or an annotation of the *modified* outcome
    /// ([`ANNOTATIONS_LEFT_OUT`](crate::ANNOTATIONS_LEFT_OUT)). 8 KiB unless set.
    pub max_info: usize,
    /// How many octets the peer may send until its open is received.
    pub handshake_octets: usize,
    /// How long a link that the peer attaches may wait for a handle to be answered on, where the peer's handle-max
    /// (§2.7.2) allows no more of them; then its session is ended. 60 s unless set.
    pub handle_timeout: Duration,
    /// How long the peer's close is waited for.
    pub close_timeout: Duration,
    /// The treatment of a link whose name the peer has attached already, in the same direction.
    pub link_names: LinkNames,
    /// The deviations of the peer that are accepted; none unless set.
    pub tolerances: Tolerances,
    /// The treatment of input for a link that was detached with an error; discarded unless set.
    pub errant_links: ErrantLinks,
}

impl ConnectionConfig {
    /// How many octets of the peer's metadata are kept.
    pub(crate) fn metadata_limit(&self, authenticated: bool) -> usize {
        if authenticated { self.max_metadata } else { self.max_metadata_unauthenticated }
    }

    /// The defaults, for a container of this name.
    pub fn new(container_id: impl Into<Str>) -> Self {
        Self {
            container_id: container_id.into(),
            hostname: None,
            max_frame_size: 64 * 1024,
            channel_max: 1023,
            idle_timeout: Some(Duration::from_secs(60)),
            offered_capabilities: Vec::new(),
            desired_capabilities: Vec::new(),
            properties: Fields::new(),
            style: EncodeStyle::Compact,
            limits: Limits::DEFAULT,
            outgoing_frame_cap: 64 * 1024,
            handshake_timeout: Duration::from_secs(30),
            max_links: 16 * 1024,
            max_metadata: 1024 * 1024,
            max_metadata_unauthenticated: 64 * 1024,
            max_queued: 16 * 1024 * 1024,
            max_info: 8 * 1024,
            handshake_octets: 64 * 1024,
            handle_timeout: Duration::from_secs(60),
            close_timeout: Duration::from_secs(5),
            link_names: LinkNames::Free,
            errant_links: ErrantLinks::Discard,
            tolerances: Tolerances::STRICT,
        }
    }

    /// The limits for decoding, with what the tolerances add to them.
    pub fn decode_limits(&self) -> Limits {
        let (mut limits, tolerances) = (self.limits, &self.tolerances);
        limits.any_section_order |= tolerances.any_section_order;
        limits.compound_application_properties |= tolerances.compound_application_properties;
        limits.long_transaction_ids |= tolerances.long_transaction_ids;
        limits.loose_properties |= tolerances.loose_properties;
        limits.strict |= !tolerances.missing_body;
        limits.odd_advisory_data |= tolerances.odd_advisory_data;
        limits.odd_node_properties |= tolerances.odd_node_properties;
        limits.string_annotation_keys |= tolerances.string_annotation_keys;
        limits.string_field_keys |= tolerances.string_field_keys;
        limits.undescribed_filters |= tolerances.undescribed_filters;
        limits
    }

    /// The limits with which frames are read first: what is odd in them is noticed, and then read with
    /// [`decode_limits`](Self::decode_limits).
    pub(crate) fn frame_limits(&self) -> Limits {
        let mut limits = self.decode_limits();
        limits.odd_advisory_data = false;
        limits
    }
}

/// The meaning of a link's name at the end to which it is attached (§2.6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkNames {
    /// Nothing: each attach is a link of its own. Some real clients repeat names in several sessions.
    #[default]
    Free,
    /// A link that is attached again is stolen: its old endpoint is detached with `amqp:link:stolen`, not closed.
    Steal,
}

/// The treatment of input for a link that this end has detached with an error, other than the peer's detach (§2.6.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrantLinks {
    /// It is discarded: it may have been in flight when the detach was written, and the session's other links are not
    /// to pay for that.
    #[default]
    Discard,
    /// It ends the session with `amqp:session:errant-link`, by the letter: transfers and flows on the link's handle,
    /// dispositions of its deliveries, and an attach that does not resume it, in flight or not. A link that was refused
    /// with an error counts too: §2.6.3 attaches it, without a terminus, before it is detached.
    EndSession,
}

/// Which layers a server wants before AMQP.
#[derive(Clone, Debug)]
pub enum ServerSasl {
    /// None: a client that asks for SASL is refused.
    None,
    /// SASL with these mechanisms, if the client wants it.
    Allowed(Vec<Symbol>),
    /// SASL with these mechanisms.
    Required(Vec<Symbol>),
}

/// How a session behaves.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// How many transfers the peer may send ahead.
    pub incoming_window: u32,
    /// How many octets of streamed deliveries may wait here to be taken, those included that the window lets come:
    /// once a link of the session is streamed, the window is no wider than these octets in the largest frames. A
    /// stream that the application does not read holds up to this much.
    pub stream_octets: u32,
    /// How many transfers this end says that it may send.
    pub outgoing_window: u32,
    /// Where this end starts to count its transfers (§2.5.6).
    pub next_outgoing_id: SequenceNo,
    /// Where this end starts to count its deliveries (§2.8.9).
    pub first_delivery_id: SequenceNo,
    /// The highest handle that the peer may use.
    pub handle_max: u32,
    /// Session properties.
    pub properties: Fields,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            incoming_window: 5000,
            stream_octets: 4 * 1024 * 1024,
            outgoing_window: u32::MAX,
            next_outgoing_id: SequenceNo(0),
            first_delivery_id: SequenceNo(0),
            handle_max: 65_535,
            properties: Fields::new(),
        }
    }
}

/// How many deliveries a receiver allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credit {
    /// This many from now on, in place of what is left. Deliveries that have arrived and were not received do not
    /// count. The application gives more when it wants more.
    Manual(u32),
    /// A window: up to this many are in flight, or have arrived and were not received yet. It is filled again as the
    /// application receives deliveries, whether they are settled or not. How many are worked on at a time is bounded by
    /// [`max_unsettled`](ReceiverConfig::max_unsettled).
    Window(u32),
}

/// More than any window of credit, and some megabytes of entries.
const MAX_UNSETTLED: u32 = 64 * 1024;

/// A link at whose sending end this container is.
#[derive(Clone, Debug)]
pub struct SenderConfig {
    /// The link's name.
    pub name: Str,
    /// Where the messages come from.
    pub source: Option<Source>,
    /// Where they go.
    pub target: Option<TargetArchetype>,
    /// The sender's settle mode.
    pub snd_settle_mode: SenderSettleMode,
    /// When the receiver is asked to settle.
    pub rcv_settle_mode: ReceiverSettleMode,
    /// Where this end starts to count deliveries (§2.6.7).
    pub initial_delivery_count: SequenceNo,
    /// Whether deliveries that are not settled when the link is suspended are kept, messages included, and handed over
    /// in [`Detached`](crate::Detached).
    pub resumable: bool,
    /// The state of an earlier endpoint of this link (§2.6.13). An attach that fails drops it: keep a clone, which
    /// shares the messages.
    pub resume: Option<SuspendedSender>,
    /// Who answers when the receiver drains the link.
    pub drain_mode: DrainMode,
    /// The largest message that is taken at this end, in octets; of use on a link that may be turned round.
    pub max_message_size: Option<u64>,
    /// How many deliveries may be unsettled before nothing more is sent unsettled, whatever the credit: some receivers
    /// grant credit and never settle. 65,536 unless set.
    pub max_unsettled: u32,
    /// Extensions that are offered.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions that are wanted.
    pub desired_capabilities: Vec<Symbol>,
    /// Link properties.
    pub properties: Fields,
}

impl SenderConfig {
    /// A link to this target.
    pub fn new(name: impl Into<Str>, target: Target) -> Self {
        Self {
            name: name.into(),
            source: Some(Source::default()),
            target: Some(target.into()),
            snd_settle_mode: SenderSettleMode::Mixed,
            rcv_settle_mode: ReceiverSettleMode::First,
            initial_delivery_count: SequenceNo(0),
            resumable: false,
            resume: None,
            drain_mode: DrainMode::Automatic,
            max_message_size: None,
            max_unsettled: MAX_UNSETTLED,
            offered_capabilities: Vec::new(),
            desired_capabilities: Vec::new(),
            properties: Fields::new(),
        }
    }
}

/// Who answers the receiver's drain of a link (§2.6.7).
///
/// A drain asks the sender to send what it has now, and to give up the credit that is left.
/// [`Event::DrainRequested`](crate::Event::DrainRequested) reports it, and until it is answered the credit can be used.
/// A drain is answered at once when all the credit is used.
///
/// It is set for each link where it is attached or accepted: [`SenderConfig::drain_mode`] and
/// [`AttachReply::drain_mode`]; in `amqp1` by `SenderBuilder::drain_mode`, or by `AttachReply::drain_mode` of the reply
/// with which a link is accepted. [`APPLICATION`](Self::APPLICATION) gives the application one second. A store that
/// takes longer to fetch its messages wants a longer time:
///
/// ```
/// use amqp1_engine::DrainMode;
/// use std::time::Duration;
///
/// let mode = DrainMode::Application { timeout: Duration::from_secs(20) };
/// # assert_ne!(mode, DrainMode::APPLICATION);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DrainMode {
    /// The engine, in the next `transmit` after the event was taken.
    #[default]
    Automatic,
    /// The application, with [`Sender::drained`](crate::Sender::drained); after this time the engine. A delivery that
    /// was begun and has no octets yet then waits for new credit.
    Application {
        /// How long the application may take.
        timeout: Duration,
    },
}

impl DrainMode {
    /// The application, within one second.
    pub const APPLICATION: Self = Self::Application { timeout: Duration::from_secs(1) };
}

/// A link at whose receiving end this container is.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// The link's name.
    pub name: Str,
    /// Where the messages come from.
    pub source: Option<Source>,
    /// Where they go.
    pub target: Option<TargetArchetype>,
    /// The settle mode that the sender is asked for.
    pub snd_settle_mode: SenderSettleMode,
    /// When this end settles.
    pub rcv_settle_mode: ReceiverSettleMode,
    /// Whether deliveries are handed out piece by piece as they come, with
    /// [`poll_stream`](crate::Receiver::poll_stream), and not when they are whole.
    pub streamed: bool,
    /// Whether deliveries that are not settled when the link is suspended are kept, messages included, and handed over
    /// in [`Detached`](crate::Detached).
    pub resumable: bool,
    /// The state of an earlier endpoint of this link (§2.6.13). An attach that fails drops it: keep a clone, which
    /// shares the messages.
    pub resume: Option<SuspendedReceiver>,
    /// The largest message that is taken, in octets.
    pub max_message_size: Option<u64>,
    /// How many deliveries are allowed.
    pub credit: Credit,
    /// How many deliveries may be unsettled: a window of credit is not filled beyond it. Once there are that many,
    /// [`Event::CreditWithheld`](crate::Event::CreditWithheld) says so: some senders ask for receiver-settle-mode
    /// second and then never settle. 65,536 unless set.
    pub max_unsettled: u32,
    /// Whether a message that cannot be decoded is rejected with `amqp:decode-error`, or dropped if it is settled, and
    /// not handed over. Off unless set: a message is handed over whatever its octets are, and the accessors of its
    /// sections say what is wrong. Of no use on a streamed link, nor for messages of formats other than 0, which are
    /// not looked into. Each is reported by [`Event::Undecodable`](crate::Event::Undecodable) and counted by
    /// [`undecodable`](crate::Receiver::undecodable).
    pub reject_undecodable: bool,
    /// Extensions that are offered.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions that are wanted.
    pub desired_capabilities: Vec<Symbol>,
    /// Link properties.
    pub properties: Fields,
}

impl ReceiverConfig {
    /// A link from this source.
    pub fn new(name: impl Into<Str>, source: Source) -> Self {
        Self {
            name: name.into(),
            source: Some(source),
            target: Some(Target::default().into()),
            snd_settle_mode: SenderSettleMode::Mixed,
            rcv_settle_mode: ReceiverSettleMode::First,
            streamed: false,
            resumable: false,
            resume: None,
            max_message_size: None,
            credit: Credit::Window(200),
            max_unsettled: MAX_UNSETTLED,
            reject_undecodable: false,
            offered_capabilities: Vec::new(),
            desired_capabilities: Vec::new(),
            properties: Fields::new(),
        }
    }
}

/// How a link that the peer has offered is accepted.
#[derive(Clone, Debug)]
pub struct AttachReply {
    /// Where the messages come from.
    pub source: Option<Source>,
    /// Where they go.
    pub target: Option<TargetArchetype>,
    /// The sender's settle mode.
    pub snd_settle_mode: SenderSettleMode,
    /// When the receiver settles.
    pub rcv_settle_mode: ReceiverSettleMode,
    /// The largest message that is taken, in octets.
    pub max_message_size: Option<u64>,
    /// How many deliveries are allowed, if this end receives.
    pub credit: Credit,
    /// How many deliveries may be unsettled: see [`ReceiverConfig::max_unsettled`] and [`SenderConfig::max_unsettled`].
    pub max_unsettled: u32,
    /// Whether a message that cannot be decoded is rejected, if this end receives: see
    /// [`ReceiverConfig::reject_undecodable`].
    pub reject_undecodable: bool,
    /// Whether deliveries that the sender has not settled are handed over as well if the link ends before they were
    /// taken ([`Detached::undelivered`](crate::Detached::undelivered)). The sender learns no outcome of them and may
    /// send them again. Not for links that are streamed, or suspended with what is not settled.
    pub unsettled_after_end: bool,
    /// Whether what the peer attached with is forgotten once it is answered: see
    /// [`forget_remote_attach`](crate::Link::forget_remote_attach).
    pub forget_attach: bool,
    /// Whether deliveries are handed out piece by piece, if this end receives: see [`ReceiverConfig::streamed`].
    pub streamed: bool,
    /// Where this end starts to count deliveries, if it sends.
    pub initial_delivery_count: SequenceNo,
    /// Who answers when the receiver drains the link, if this end sends.
    pub drain_mode: DrainMode,
    /// Whether what is not settled when the link is suspended is kept and handed over.
    pub resumable: bool,
    /// The state of an earlier endpoint of this link, if this end sends.
    pub resume_sender: Option<SuspendedSender>,
    /// The state of an earlier endpoint of this link, if this end receives.
    pub resume_receiver: Option<SuspendedReceiver>,
    /// Extensions that are offered.
    pub offered_capabilities: Vec<Symbol>,
    /// Link properties.
    pub properties: Fields,
}

impl AttachReply {
    /// Everything that the peer asked for, whether or not the node supports it: see [`basic`](Self::basic), and
    /// `Support::reply` of the crate `amqp1-broker`.
    pub fn echo(remote: &Attach) -> Self {
        Self {
            source: remote.source.as_deref().cloned(),
            target: remote.target.clone(),
            snd_settle_mode: remote.snd_settle_mode,
            rcv_settle_mode: remote.rcv_settle_mode,
            max_message_size: None,
            credit: Credit::Window(200),
            max_unsettled: MAX_UNSETTLED,
            forget_attach: false,
            reject_undecodable: false,
            unsettled_after_end: false,
            streamed: false,
            initial_delivery_count: SequenceNo(0),
            drain_mode: DrainMode::Automatic,
            resumable: false,
            resume_sender: None,
            resume_receiver: None,
            offered_capabilities: Vec::new(),
            properties: Fields::new(),
        }
    }
}

/// How a message is sent.
#[derive(Clone, Debug, Default)]
pub struct SendOptions {
    /// Whether it is settled from the start: at most once, and no outcome.
    pub settled: bool,
    /// The delivery's tag; made up if there is none.
    pub tag: Option<DeliveryTag>,
    /// The message's format (§2.8.11).
    pub message_format: u32,
    /// The delivery's state at this end, on each of its transfers: a transactional state, for one. The state *received*
    /// is refused: it is for deliveries that are resumed (§3.4.1).
    pub state: Option<DeliveryState>,
    /// Whether a provisional outcome within a transaction (§4.4.2) leaves the delivery as it is until
    /// [`settle`](crate::Sender::settle), although it was sent with the state of that transaction: a
    /// resource says so of what is acquired (§4.4.3). What a controller posts is settled by its provisional outcome.
    pub acquired: bool,
    /// Whether it is taken although too much waits on the connection already: its sender was let in before.
    pub admitted: bool,
    /// Whether it is not reported that a settled delivery has left ([`Settlement::Sent`](crate::Settlement::Sent)).
    /// That it is lost is reported all the same.
    pub unreported: bool,
    /// Comes back in [`Settled`](crate::Settled).
    pub token: u64,
}
