//! The order of frames and dense ids, which hold whatever happens.

use crate::wire::{Item, items, readable_items};
use amqp1_codec::{
    SequenceNo,
    definitions::Role,
    frame::ProtocolHeader,
    performative::{Begin, Open, Performative},
};
use bytes::Bytes;
use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

/// What a failure is about; written only then.
struct Context<'a>(u16, &'a Performative);

impl fmt::Display for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on channel {}: {:?}", self.0, self.1)
    }
}

#[derive(Debug)]
struct Session {
    handles: BTreeSet<u32>,
    /// The highest handle that the other end takes, by its begin.
    handle_max: u32,
    /// Deliveries of which more is to come, by handle.
    unfinished: BTreeMap<u32, u32>,
    next_transfer: u32,
    next_delivery: Option<u32>,
}

impl Session {
    fn new(begin: &Begin, handle_max: u32) -> Self {
        let next_transfer = begin.next_outgoing_id.0;
        Self { handles: BTreeSet::new(), handle_max, unfinished: BTreeMap::new(), next_transfer, next_delivery: None }
    }
}

/// The largest frame that each peer takes, whatever it says (§2.4.1, §2.7.1).
const SMALLEST_MAX: u32 = 512;

/// The order of an end's frames, and the limits of the other: header before open before begin before attach before flows
/// and transfers before detach before end before close, with dense ids, on channels, on handles and in frames that the
/// other end takes.
/// Before that is known a frame has 512 octets at most and is on channel 0.
#[derive(Debug, Default)]
pub struct Checker {
    /// How many octets were looked at.
    at: usize,
    /// The largest frame and the highest channel that the other end takes.
    limits: Option<(u32, u16)>,
    sessions: BTreeMap<u16, Session>,
    /// The handle-max of the other end's begins that this end has not answered, by the channels of the other end.
    handle_maxes: BTreeMap<u16, u32>,
    header: bool,
    opened: bool,
    closed: bool,
}

impl Checker {
    /// Looks at what an end has written since the last time, by when it had heard this open.
    pub fn check(&mut self, written: &[u8], heard: impl FnOnce() -> Option<Open>) {
        let fresh = written.get(self.at..).unwrap_or_default();
        self.at = written.len();
        self.check_fresh(fresh, heard);
    }

    /// Looks at what an end has written just now, by when it had heard this open.
    pub(crate) fn check_fresh(&mut self, fresh: &[u8], heard: impl FnOnce() -> Option<Open>) {
        if fresh.is_empty() {
            return;
        }
        self.limits = self.limits.or_else(|| heard().as_ref().map(limits));
        for item in items(fresh) {
            self.wrote(&item);
        }
    }

    /// The end has heard something.
    pub fn heard(&mut self, item: &Item) {
        match item {
            Item::Frame { body: Some(Performative::Open(open)), .. } => self.limits = Some(limits(open)),
            Item::Frame { channel, body: Some(Performative::Begin(begin)), .. } => match begin.remote_channel {
                Some(own) => {
                    if let Some(session) = self.sessions.get_mut(&own) {
                        session.handle_max = begin.handle_max;
                    }
                }
                None => drop(self.handle_maxes.insert(*channel, begin.handle_max)),
            },
            _ => {}
        }
    }

    /// The end has heard these octets, which need be neither whole frames nor well-formed ones.
    pub(crate) fn heard_octets(&mut self, octets: &[u8]) {
        readable_items(octets).iter().for_each(|item| self.heard(item));
    }

    /// The end writes something.
    ///
    /// # Panics
    ///
    /// If it must not.
    pub fn wrote(&mut self, item: &Item) {
        let Item::Frame { channel, body, payload, size } = item else {
            assert!(!self.opened, "a header or SASL among frames");
            self.header = matches!(item, Item::Header(header) if *header == ProtocolHeader::AMQP);
            return;
        };
        assert!(self.header, "{body:?} before the header");
        assert!(!self.closed, "{body:?} after close");
        let (max, channel_max) = self.limits.unwrap_or((SMALLEST_MAX, 0));
        assert!(*size <= max as usize, "a frame of {size} octets, where {max} are taken: {body:?}");
        assert!(*channel <= channel_max, "channel {channel}, where {channel_max} is the last: {body:?}");
        let Some(body) = body else {
            assert!(self.opened && *channel == 0, "an empty frame before open or off channel 0");
            return;
        };
        let context = Context(*channel, body);
        match body {
            Performative::Open(_) => {
                assert!(!self.opened && *channel == 0, "{context}");
                self.opened = true;
                return;
            }
            Performative::Close(_) => {
                assert!(self.opened && *channel == 0, "{context}");
                self.closed = true;
                return;
            }
            Performative::Begin(begin) => {
                let answered = begin.remote_channel.and_then(|channel| self.handle_maxes.remove(&channel));
                let session = Session::new(begin, answered.unwrap_or(u32::MAX));
                assert!(self.opened && self.sessions.insert(*channel, session).is_none(), "{context}");
                return;
            }
            _ => {}
        }
        assert!(self.opened, "{context}");
        let session = self.sessions.get_mut(channel).unwrap_or_else(|| panic!("no session {context}"));
        session.check(body, payload, &context);
        if matches!(body, Performative::End(_)) {
            self.sessions.remove(channel);
        }
    }
}

fn limits(open: &Open) -> (u32, u16) {
    (open.max_frame_size.max(SMALLEST_MAX), open.channel_max)
}

impl Session {
    fn check(&mut self, body: &Performative, payload: &Bytes, context: &Context<'_>) {
        assert!(payload.is_empty() || matches!(body, Performative::Transfer(_)), "{context}");
        match body {
            Performative::Attach(attach) => {
                let max = self.handle_max;
                assert!(attach.handle <= max, "{context}: {max} is the highest handle");
                assert!(self.handles.insert(attach.handle), "{context}");
            }
            Performative::Detach(detach) => {
                assert!(self.handles.remove(&detach.handle), "{context}");
                self.unfinished.remove(&detach.handle);
            }
            Performative::Flow(flow) => {
                assert!(flow.handle.is_none_or(|handle| self.handles.contains(&handle)), "{context}");
                assert_eq!(flow.next_outgoing_id.0, self.next_transfer, "{context}");
                let nothing = flow.delivery_count.is_none() && flow.link_credit.is_none() && flow.available.is_none();
                assert!(flow.handle.is_some() || nothing && !flow.drain && flow.properties.is_none(), "{context}");
            }
            Performative::Transfer(transfer) => {
                assert!(self.handles.contains(&transfer.handle), "{context}");
                self.next_transfer = self.next_transfer.wrapping_add(1);
                match self.unfinished.remove(&transfer.handle) {
                    Some(id) => assert!(transfer.delivery_id.is_none_or(|own| own.0 == id), "{context}"),
                    None => {
                        let id = transfer.delivery_id.expect("a first transfer has its id").0;
                        assert!(transfer.delivery_tag.is_some(), "{context}");
                        assert!(self.next_delivery.is_none_or(|next| next == id), "{context}");
                        self.next_delivery = Some(id.wrapping_add(1));
                    }
                }
                if transfer.more && !transfer.aborted {
                    let newest = self.next_delivery.unwrap_or_default().wrapping_sub(1);
                    self.unfinished.insert(transfer.handle, transfer.delivery_id.map_or(newest, |id| id.0));
                }
            }
            Performative::Disposition(disposition) if disposition.role == Role::Sender => {
                let last = disposition.last.unwrap_or(disposition.first);
                let ahead = self.next_delivery.map(|next| last.offset_from(SequenceNo(next)));
                assert!(ahead.is_some_and(|ahead| ahead < 0), "{context}: it is not sent yet");
            }
            _ => {}
        }
    }
}
