//! What one end has said and heard, and what it may say by that: written without the engine, from the frames alone.

use super::{credit::Credit, deliveries::Deliveries, window::Windows};
use crate::{order::Checker, wire::Item};
use amqp1_codec::{
    definitions::{ReceiverSettleMode, Role},
    performative::{Attach, Begin, Disposition, Flow, Performative, Transfer},
};
use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) struct Link {
    pub(super) name: String,
    /// Whether this end sends.
    pub(super) sends: bool,
    wrote_attach: bool,
    heard_attach: bool,
    wrote_detach: bool,
    heard_detach: bool,
    /// Whether the receiver waits for the sender to settle.
    second: bool,
    pub(super) credit: Credit,
}

impl Link {
    fn new(attach: &Attach, sends: bool) -> Self {
        Self {
            name: attach.name.as_str().to_owned(),
            sends,
            wrote_attach: false,
            heard_attach: false,
            wrote_detach: false,
            heard_detach: false,
            second: false,
            credit: Credit::default(),
        }
    }

    /// Either end's attach.
    fn attached(&mut self, attach: &Attach) {
        match attach.role {
            Role::Sender => self.credit.attached(attach),
            Role::Receiver => self.second = attach.rcv_settle_mode == ReceiverSettleMode::Second,
        }
    }

    pub(super) fn is_attached(&self) -> bool {
        self.wrote_attach && self.heard_attach && !self.wrote_detach && !self.heard_detach
    }
}

#[derive(Debug, Default)]
pub(super) struct Session {
    /// The channel of this end.
    pub(super) out_channel: Option<u16>,
    /// The channel of the peer.
    pub(super) in_channel: Option<u16>,
    wrote_end: bool,
    heard_end: bool,
    pub(super) windows: Windows,
    pub(super) links: Vec<Link>,
    out_handles: BTreeMap<u32, usize>,
    in_handles: BTreeMap<u32, usize>,
    pub(super) sent: Deliveries,
    pub(super) received: Deliveries,
}

impl Session {
    /// Whether both ends have begun it and none has ended it.
    pub(super) fn is_mapped(&self) -> bool {
        self.out_channel.is_some() && self.in_channel.is_some() && !self.wrote_end && !self.heard_end
    }

    /// The link of this name in this direction that lacks one of its attaches.
    fn named(&mut self, attach: &Attach, sends: bool, lacks: impl Fn(&Link) -> bool) -> usize {
        let found = self.links.iter().position(|link| link.sends == sends && attach.name == *link.name && lacks(link));
        found.unwrap_or_else(|| {
            self.links.push(Link::new(attach, sends));
            self.links.len() - 1
        })
    }

    fn wrote(&mut self, body: &Performative) {
        match body {
            Performative::Attach(attach) => {
                let sends = attach.role == Role::Sender;
                let at = self.named(attach, sends, |link| !link.wrote_attach);
                let taken = self.out_handles.insert(attach.handle, at);
                assert!(taken.is_none(), "{attach:?} uses a handle that is in use");
                self.links[at].wrote_attach = true;
                self.links[at].attached(attach);
            }
            Performative::Flow(flow) => self.wrote_flow(flow),
            Performative::Transfer(transfer) => self.wrote_transfer(transfer),
            Performative::Disposition(disposition) => self.wrote_disposition(disposition),
            Performative::Detach(detach) => {
                let at = self.out_handles[&detach.handle];
                self.links[at].wrote_detach = true;
                if self.links[at].heard_detach {
                    self.out_handles.remove(&detach.handle);
                }
            }
            _ => {}
        }
    }

    fn wrote_flow(&mut self, flow: &Flow) {
        self.windows.wrote_flow(flow);
        let Some(handle) = flow.handle else { return };
        let link = &mut self.links[self.out_handles[&handle]];
        match link.sends {
            true => link.credit.sender_wrote(flow),
            false => link.credit.receiver_wrote(flow),
        }
    }

    fn wrote_transfer(&mut self, transfer: &Transfer) {
        self.windows.wrote_transfer();
        let at = self.out_handles[&transfer.handle];
        let link = &mut self.links[at];
        assert!(link.sends && link.heard_attach, "{transfer:?} on a link that does not send, or is not attached");
        if self.sent.transfer(at, transfer) {
            link.credit.sends();
        }
    }

    fn wrote_disposition(&mut self, disposition: &Disposition) {
        let links = &self.links;
        match disposition.role {
            Role::Sender => self.sent.sender_wrote(disposition),
            Role::Receiver => {
                self.received.receiver_wrote(disposition, |at| (!links[at].wrote_detach, links[at].second));
            }
        }
    }

    fn heard(&mut self, body: &Performative) {
        match body {
            Performative::Attach(attach) => {
                let sends = attach.role == Role::Receiver;
                let at = self.named(attach, sends, |link| !link.heard_attach);
                self.in_handles.insert(attach.handle, at);
                self.links[at].heard_attach = true;
                self.links[at].attached(attach);
            }
            Performative::Flow(flow) => {
                self.windows.heard_flow(flow);
                let link = flow.handle.map(|handle| &mut self.links[self.in_handles[&handle]]);
                match link {
                    Some(link) if link.sends => link.credit.sender_heard(flow),
                    Some(link) => link.credit.receiver_heard(flow),
                    None => {}
                }
            }
            Performative::Transfer(transfer) => {
                self.windows.heard_transfer();
                let at = self.in_handles[&transfer.handle];
                if self.received.transfer(at, transfer) {
                    self.links[at].credit.receives();
                }
            }
            Performative::Disposition(disposition) => match disposition.role {
                Role::Receiver => self.sent.sender_heard(disposition),
                Role::Sender => self.received.receiver_heard(disposition),
            },
            Performative::Detach(detach) => {
                let at = self.in_handles.remove(&detach.handle).expect("a detach of a handle that is attached");
                self.links[at].heard_detach = true;
                if self.links[at].wrote_detach {
                    self.out_handles.retain(|_, link| *link != at);
                }
            }
            _ => {}
        }
    }
}

/// One end of a connection.
#[derive(Debug, Default)]
pub(super) struct Monitor {
    order: Checker,
    pub(super) sessions: Vec<Session>,
    /// Sessions by the channels of this end, until both ends are exchanged.
    out_channels: BTreeMap<u16, usize>,
    /// Sessions by the channels of the peer, until its end.
    in_channels: BTreeMap<u16, usize>,
    heard_close: bool,
}

impl Monitor {
    /// This end writes something.
    pub(super) fn wrote(&mut self, item: &Item) {
        self.order.wrote(item);
        let Item::Frame { channel, body: Some(body), .. } = item else { return };
        match body {
            Performative::Open(_) => {}
            Performative::Close(_) => {}
            Performative::Transfer(_) if self.heard_close => panic!("{body:?} was written to a peer that has closed"),
            // The answers to what the peer has asked for before it closed (§2.4.6, CLOSE_RCVD).
            _ if self.heard_close => {}
            Performative::Begin(begin) => self.wrote_begin(*channel, begin),
            Performative::End(_) => {
                let at = self.out_channels[channel];
                self.sessions[at].wrote_end = true;
                if self.sessions[at].heard_end {
                    self.out_channels.remove(channel);
                }
            }
            _ => self.sessions[self.out_channels[channel]].wrote(body),
        }
    }

    fn wrote_begin(&mut self, channel: u16, begin: &Begin) {
        let at = match begin.remote_channel {
            Some(remote) => self.in_channels.get(&remote).copied(),
            None => Some(self.add()),
        };
        // A peer that has begun and ended a session before it was answered has left it to be answered still.
        let unanswered = |session: &Session| {
            session.out_channel.is_none() && session.heard_end && session.in_channel == begin.remote_channel
        };
        let at = at.or_else(|| self.sessions.iter().position(unanswered)).expect("a begin that answers nothing");
        assert!(self.sessions[at].out_channel.is_none(), "{begin:?} answers a session twice");
        let taken = self.out_channels.insert(channel, at);
        assert!(taken.is_none(), "{begin:?} on a channel that is in use");
        self.sessions[at].out_channel = Some(channel);
        self.sessions[at].windows.wrote_begin(begin);
    }

    /// The channels on which this end hears of sessions that it has not ended.
    pub(super) fn channels(&self) -> Vec<u16> {
        let alive = |at: usize| self.sessions[at].out_channel.is_some() && !self.sessions[at].wrote_end;
        self.in_channels.iter().filter(|(_, at)| alive(**at)).map(|(channel, _)| *channel).collect()
    }

    fn add(&mut self) -> usize {
        self.sessions.push(Session::default());
        self.sessions.len() - 1
    }

    /// This end hears something.
    pub(super) fn heard(&mut self, item: &Item) {
        if self.heard_close {
            return;
        }
        self.order.heard(item);
        let Item::Frame { channel, body: Some(body), .. } = item else { return };
        match body {
            Performative::Open(_) => {}
            Performative::Close(_) => self.heard_close = true,
            Performative::Begin(begin) => {
                let at = match begin.remote_channel {
                    Some(own) => self.out_channels[&own],
                    None => self.add(),
                };
                self.in_channels.insert(*channel, at);
                self.sessions[at].in_channel = Some(*channel);
                self.sessions[at].windows.heard_begin(begin);
            }
            Performative::End(_) => {
                let at = self.in_channels.remove(channel).expect("an end of a session that was begun");
                self.sessions[at].heard_end = true;
                if self.sessions[at].wrote_end {
                    self.out_channels.retain(|_, session| *session != at);
                }
            }
            _ => self.sessions[self.in_channels[channel]].heard(body),
        }
    }

    /// How many deliveries this end has begun to send.
    pub(super) fn deliveries(&self) -> usize {
        self.sessions.iter().map(|session| session.sent.count()).sum()
    }
}
