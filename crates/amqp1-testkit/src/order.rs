//! The order of frames and dense ids, which hold whatever happens.

use crate::wire::{Item, items, max_frame_size};
use amqp1_codec::{SequenceNo, definitions::Role, performative::Performative};
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

#[derive(Debug, Default)]
struct Session {
    handles: BTreeSet<u32>,
    /// Deliveries of which more is to come, by handle.
    unfinished: BTreeMap<u32, u32>,
    next_transfer: u32,
    next_delivery: Option<u32>,
}

/// T-2.4.3-2, T-2.5.1-6, T-2.6.14, T-2.7.1-5, T-2.7.5: begin before attach before flows and transfers before detach
/// before end before close, with dense ids, in frames that the other end takes.
#[derive(Debug, Default)]
pub struct Checker {
    /// How many octets were looked at.
    at: usize,
    /// The largest frame that the other end takes.
    max: Option<usize>,
    sessions: BTreeMap<u16, Session>,
    opened: bool,
    closed: bool,
}

impl Checker {
    /// Looks at what an end has written since, to another that has written this.
    pub fn check(&mut self, written: &[u8], other: &[u8]) {
        let fresh = written.get(self.at..).unwrap_or_default();
        self.at = written.len();
        self.max = self.max.or_else(|| max_frame_size(other).map(|max| max as usize));
        for item in items(fresh) {
            self.wrote(&item);
        }
    }

    /// The end has heard something.
    pub(crate) fn heard(&mut self, item: &Item) {
        if let Item::Frame { body: Some(Performative::Open(open)), .. } = item {
            self.max = Some(open.max_frame_size as usize);
        }
    }

    /// The end writes something.
    pub(crate) fn wrote(&mut self, item: &Item) {
        let Item::Frame { channel, body, payload, size } = item else {
            assert!(!self.opened, "a header or SASL among frames");
            return;
        };
        assert!(!self.closed, "{body:?} after close");
        let max = if self.opened { self.max } else { None };
        assert!(max.is_none_or(|max| *size <= max), "a frame of {size} octets, where {max:?} are taken");
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
                let session = Session { next_transfer: begin.next_outgoing_id.0, ..Session::default() };
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

impl Session {
    fn check(&mut self, body: &Performative, payload: &Bytes, context: &Context<'_>) {
        assert!(payload.is_empty() || matches!(body, Performative::Transfer(_)), "{context}");
        match body {
            Performative::Attach(attach) => assert!(self.handles.insert(attach.handle), "{context}"),
            Performative::Detach(detach) => {
                assert!(self.handles.remove(&detach.handle), "{context}");
                self.unfinished.remove(&detach.handle);
            }
            Performative::Flow(flow) => {
                assert!(flow.handle.is_none_or(|handle| self.handles.contains(&handle)), "{context}");
                assert_eq!(flow.next_outgoing_id.0, self.next_transfer, "{context}");
                assert!(flow.handle.is_some() || flow.link_credit.is_none() && !flow.drain, "{context}");
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
