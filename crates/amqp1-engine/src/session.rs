//! One session (§2.5): its windows, its handles, its unsettled deliveries.

use crate::{
    config::SessionConfig,
    control::Control,
    numbers::Numbers,
    settlement::{Marks, Unsettled},
    store::LinkId,
};
use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use amqp1_codec::{
    DeliveryTag, SequenceNo,
    performative::{Begin, Flow, Handle},
};

/// A delivery that was sent and is not settled.
#[derive(Debug)]
pub(crate) struct SentDelivery {
    pub(crate) link: LinkId,
    pub(crate) token: u64,
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
}

/// Where this end starts to count transfers.
const FIRST_TRANSFER: SequenceNo = SequenceNo(0);

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) config: SessionConfig,
    /// The channel on which this end sends.
    pub(crate) channel: u16,
    /// The channel on which the peer sends.
    pub(crate) remote_channel: Option<u16>,
    pub(crate) begin_sent: bool,
    pub(crate) begin_received: bool,
    pub(crate) end_sent: bool,
    /// The application wants it to end, when everything that can be sent is sent.
    pub(crate) ending: bool,
    /// Whether the application knows that it has ended.
    pub(crate) told: bool,

    pub(crate) next_outgoing_id: SequenceNo,
    pub(crate) remote_incoming_window: u32,
    pub(crate) next_delivery: u64,
    pub(crate) sent: Unsettled<SentDelivery>,

    pub(crate) next_incoming_id: Option<SequenceNo>,
    /// How many transfers the peer may send by what it was told last.
    pub(crate) incoming_window: u32,
    pub(crate) flow_queued: bool,
    pub(crate) received: Unsettled<ReceivedDelivery>,
    pub(crate) marks: Marks,

    pub(crate) remote_handle_max: Handle,
    pub(crate) links: BTreeSet<LinkId>,
    /// Links by the handles that the peer uses.
    pub(crate) incoming: BTreeMap<Handle, LinkId>,
    /// The handles that this end uses.
    pub(crate) handles: Numbers,
    /// Links that wait for the peer's begin.
    pub(crate) waiting: Vec<LinkId>,
    /// Links whose attach the peer has to answer.
    pub(crate) unanswered: Vec<LinkId>,
    /// Frames that wait for our begin.
    pub(crate) held: Vec<Control>,
    /// Links that can send, in the order of their turns.
    pub(crate) ready: VecDeque<LinkId>,
    /// Whether the session stands in the list of those that can send.
    pub(crate) scheduled: bool,
}

impl Session {
    pub(crate) fn new(config: SessionConfig, channel: u16) -> Self {
        Self {
            incoming_window: config.incoming_window,
            config,
            channel,
            remote_channel: None,
            begin_sent: false,
            begin_received: false,
            end_sent: false,
            ending: false,
            told: false,
            next_outgoing_id: FIRST_TRANSFER,
            remote_incoming_window: 0,
            next_delivery: crate::settlement::first_id(SequenceNo(0)),
            sent: Unsettled::default(),
            next_incoming_id: None,
            flow_queued: false,
            received: Unsettled::default(),
            marks: Marks::default(),
            remote_handle_max: u32::MAX,
            links: BTreeSet::new(),
            incoming: BTreeMap::new(),
            handles: Numbers::default(),
            waiting: Vec::new(),
            unanswered: Vec::new(),
            held: Vec::new(),
            ready: VecDeque::new(),
            scheduled: false,
        }
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
        self.remote_incoming_window = begin.incoming_window;
        self.remote_handle_max = begin.handle_max;
    }

    /// §2.5.6: what the peer can take, from what it says and what it may not know yet.
    pub(crate) fn on_flow(&mut self, flow: &Flow) {
        let window = flow.incoming_window;
        // Sent, and not received when this was said. A number ahead of ours is the peer's mistake and adds nothing.
        let in_flight = |next| u32::try_from(self.next_outgoing_id.offset_from(next)).unwrap_or(0);
        self.remote_incoming_window = match flow.next_incoming_id {
            Some(next) => window.saturating_sub(in_flight(next)),
            // Before our begin arrives the peer cannot know. Some never say it: what they say they take, they take.
            None => match window.saturating_sub(in_flight(FIRST_TRANSFER)) {
                0 => window,
                left => left,
            },
        };
        if self.next_incoming_id.is_some() {
            self.next_incoming_id = Some(flow.next_outgoing_id);
        }
    }

    /// A transfer came. `None` if the window did not allow it, else whether the window is to be opened anew, which it
    /// is when half of it is used: what bounds memory is the links' credit.
    pub(crate) fn on_transfer(&mut self) -> Option<bool> {
        self.incoming_window = self.incoming_window.checked_sub(1)?;
        self.next_incoming_id = self.next_incoming_id.map(SequenceNo::next);
        Some(self.incoming_window <= self.config.incoming_window / 2)
    }

    /// The session's part of a flow. It opens the window anew.
    pub(crate) fn flow(&mut self) -> Flow {
        self.incoming_window = self.config.incoming_window;
        Flow {
            next_incoming_id: self.next_incoming_id,
            incoming_window: self.incoming_window,
            next_outgoing_id: self.next_outgoing_id,
            outgoing_window: self.config.outgoing_window,
            ..Flow::default()
        }
    }
}
