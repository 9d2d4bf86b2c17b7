//! One session (§2.5): its windows, its handles, its unsettled deliveries.

use crate::{
    config::SessionConfig,
    settlement::{Marks, Unsettled},
    store::LinkId,
};
use alloc::{collections::BTreeMap, collections::VecDeque};
use amqp1_codec::{
    SequenceNo,
    definitions::AmqpError,
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
    /// Whether this end waits for the sender to settle first.
    pub(crate) second: bool,
}

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
    /// The application wants it to end.
    pub(crate) ending: Option<Option<AmqpError>>,
    pub(crate) error: Option<AmqpError>,
    /// Whether the application knows that it has ended.
    pub(crate) told: bool,

    pub(crate) next_outgoing_id: SequenceNo,
    pub(crate) remote_incoming_window: u32,
    pub(crate) next_delivery: u64,
    pub(crate) sent: Unsettled<SentDelivery>,

    pub(crate) next_incoming_id: Option<SequenceNo>,
    pub(crate) incoming_window: u32,
    pub(crate) received: Unsettled<ReceivedDelivery>,
    pub(crate) marks: Marks,

    pub(crate) remote_handle_max: Handle,
    /// Links by the handles that the peer uses.
    pub(crate) incoming: BTreeMap<Handle, LinkId>,
    /// Links by the handles that this end uses; `None` while a handle waits for its detach to leave.
    pub(crate) outgoing: BTreeMap<Handle, Option<LinkId>>,
    /// Links that wait for the peer's begin.
    pub(crate) waiting: VecDeque<LinkId>,
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
            ending: None,
            error: None,
            told: false,
            next_outgoing_id: SequenceNo(0),
            remote_incoming_window: 0,
            next_delivery: crate::settlement::first_id(SequenceNo(0)),
            sent: Unsettled::default(),
            next_incoming_id: None,
            received: Unsettled::default(),
            marks: Marks::default(),
            remote_handle_max: u32::MAX,
            incoming: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            waiting: VecDeque::new(),
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
        self.remote_incoming_window = match flow.next_incoming_id {
            Some(next) => {
                let limit = next.plus(flow.incoming_window);
                u32::try_from(limit.offset_from(self.next_outgoing_id)).unwrap_or_else(|_| {
                    // Windows of 2^31 and more do not fit an offset.
                    if flow.incoming_window > u32::MAX / 2 { flow.incoming_window } else { 0 }
                })
            }
            // Before our begin arrives the peer cannot know; some never say it. What they say they take, they take.
            None => flow.incoming_window,
        };
    }

    /// A transfer came. `None` if the window did not allow it, else whether the window was opened anew, which it is
    /// when half of it is used: what bounds memory is the links' credit.
    pub(crate) fn on_transfer(&mut self) -> Option<bool> {
        let window = self.incoming_window.checked_sub(1)?;
        self.next_incoming_id = self.next_incoming_id.map(SequenceNo::next);
        let reopen = window <= self.config.incoming_window / 2;
        self.incoming_window = if reopen { self.config.incoming_window } else { window };
        Some(reopen)
    }

    pub(crate) fn flow(&self) -> Flow {
        Flow {
            next_incoming_id: self.next_incoming_id,
            incoming_window: self.incoming_window,
            next_outgoing_id: self.next_outgoing_id,
            outgoing_window: self.config.outgoing_window,
            ..Flow::default()
        }
    }

    /// The lowest handle that is free, if the peer allows it.
    pub(crate) fn free_handle(&self) -> Option<Handle> {
        let mut free = 0;
        for used in self.outgoing.keys() {
            if *used != free {
                break;
            }
            free = free.checked_add(1)?;
        }
        (free <= self.remote_handle_max).then_some(free)
    }
}
