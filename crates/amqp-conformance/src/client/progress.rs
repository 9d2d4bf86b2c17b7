//! The sessions, links and deliveries of a client's connection.

mod answers;

pub use answers::TXN_ID;

use crate::{
    delivery::{Assembly, Delivery},
    wire::Connection,
};
use amqp1_codec::{
    SequenceNo,
    definitions::{ReceiverSettleMode, Role, SenderSettleMode},
    messaging::{Source, Target},
    performative::{Attach, Begin, Flow, Handle, Performative, TargetArchetype, Transfer},
};
use amqp1_script::{AmqpFrame, Body, Got, Link, Received, Session, frames};
use bytes::Bytes;

/// The sessions, links and deliveries of a client's connection.
#[derive(Debug, Default)]
pub struct Progress {
    sessions: Vec<SessionState>,
    links: Vec<LinkState>,
    assembly: Assembly,
    /// Responses for which there is no credit yet, with the address of their link.
    responses: Vec<(Option<String>, Bytes)>,
}

#[derive(Debug)]
struct SessionState {
    session: Session,
    received: u32,
    sent: u32,
    next_delivery_id: u32,
    is_ended: bool,
}

#[derive(Debug)]
struct LinkState {
    link: Link,
    /// The address that the tool has given a dynamic source or target.
    address: Option<String>,
    /// The sender's initial-delivery-count.
    initial: SequenceNo,
    deliveries: u32,
    credit: u32,
    /// The tool has detached it, so that the client's detach is the answer.
    is_detaching: bool,
    is_detached: bool,
}

impl Progress {
    /// The session on the client's channel.
    pub fn session(&self, remote_channel: u16) -> Option<&Session> {
        let is_it = |state: &&SessionState| state.session.remote_channel == remote_channel && !state.is_ended;
        self.sessions.iter().rev().find(is_it).map(|state| &state.session)
    }

    /// The links that the client has attached, in their order; detached ones too.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().map(|state| &state.link)
    }

    /// The links that are attached now.
    pub fn attached_links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|state| !state.is_detached).map(|state| &state.link)
    }

    /// The credit that the client has given on a link and that is left; 0 where the client sends.
    pub fn credit(&self, link: &Link) -> u32 {
        self.links.iter().rev().find(|state| is_same(&state.link, link)).map_or(0, |state| state.credit)
    }

    /// Adds a session that was answered elsewhere.
    pub fn add_session(&mut self, session: Session) {
        self.sessions.push(SessionState { session, received: 0, sent: 0, next_delivery_id: 0, is_ended: false });
    }

    /// Answers a begin of the client's own, on the first free channel.
    pub fn begin(&mut self, connection: &mut Connection, begin: &Received<Begin>) -> Session {
        let channel = (0..u16::MAX)
            .find(|channel| !self.sessions.iter().any(|state| state.session.channel == *channel && !state.is_ended))
            .unwrap_or_default();
        connection.send(channel, frames::begin_answering(begin.channel));
        let session = Session { channel, remote_channel: begin.channel, begin: begin.body.clone() };
        self.add_session(session.clone());
        session
    }

    /// The lowest free handle of a session.
    pub fn free_handle(&self, session: &Session) -> Handle {
        let is_used = |handle: &Handle| {
            let mut links = self.links.iter().filter(|state| state.link.channel == session.channel);
            links.any(|state| state.link.handle == *handle && !state.is_detached)
        };
        (0..Handle::MAX).find(|handle| !is_used(handle)).unwrap_or_default()
    }

    /// The attach that answers one of the client's: it agrees, settles first, and gives dynamic nodes an address.
    pub fn answer_to(&self, session: &Session, attach: &Attach) -> Attach {
        let mut answer = frames::attach_answering(attach, self.free_handle(session));
        answer.rcv_settle_mode = match attach.role {
            Role::Sender => ReceiverSettleMode::First,
            Role::Receiver => attach.rcv_settle_mode,
        };
        let address = format!("dynamic-{}", self.links.len());
        if let (Role::Receiver, Some(source)) = (attach.role, &attach.source) {
            if source.dynamic {
                answer.source = Some(Box::new(Source { address: Some(address.into()), ..Source::clone(source) }));
            }
        } else if let Some(TargetArchetype::Target(target)) = &attach.target
            && target.dynamic
        {
            let target = Target { address: Some(address.into()), ..Target::clone(target) };
            answer.target = Some(target.into());
        }
        answer
    }

    /// Adds a link that the case answers itself.
    pub fn add_link(&mut self, session: &Session, attach: Attach, answer: &Attach) -> Link {
        let address = match attach.role {
            Role::Receiver => answer.source.as_ref().and_then(|source| source.address.clone()),
            Role::Sender => address_of(answer),
        };
        let link = Link {
            channel: session.channel,
            remote_channel: session.remote_channel,
            handle: answer.handle,
            role: answer.role,
            attach,
        };
        let address = address.map(|address| address.to_string());
        let sender = if link.role == Role::Sender { answer } else { &link.attach };
        let initial = sender.initial_delivery_count.unwrap_or_default();
        self.links.push(LinkState {
            link: link.clone(),
            address,
            initial,
            deliveries: 0,
            credit: 0,
            is_detaching: false,
            is_detached: false,
        });
        link
    }

    /// The tool has sent a detach of the link: the client's own is not answered.
    pub fn detaching(&mut self, link: &Link) {
        if let Some(state) = self.link_mut(link.remote_channel, link.attach.handle) {
            state.is_detaching = true;
        }
    }

    /// Takes a link for one that both ends have detached.
    pub fn forget(&mut self, link: &Link) {
        if let Some(state) = self.link_mut(link.remote_channel, link.attach.handle) {
            state.is_detached = true;
        }
    }

    /// A flow of a session as it is now.
    pub fn flow(&self, session: &Session) -> Flow {
        let state = self.sessions.iter().rev().find(|state| state.session == *session);
        let (received, sent) = state.map_or((0, 0), |state| (state.received, state.sent));
        Flow {
            next_incoming_id: Some(session.begin.next_outgoing_id.plus(received)),
            next_outgoing_id: SequenceNo(sent),
            ..frames::flow()
        }
    }

    /// A flow of a link as it is now: with this much credit where the client sends, and with the client's credit where
    /// the tool sends.
    pub fn link_flow(&self, link: &Link, credit: u32) -> Flow {
        let Some(state) = self.links.iter().rev().find(|state| is_same(&state.link, link)) else {
            return frames::credit(link.handle, credit);
        };
        let session = self.sessions.iter().rev().find(|session| session.session.channel == link.channel);
        let flow = session.map_or_else(frames::flow, |session| self.flow(&session.session));
        let credit = if link.role == Role::Receiver { credit } else { state.credit };
        Flow {
            handle: Some(link.handle),
            delivery_count: Some(state.initial.plus(state.deliveries)),
            link_credit: Some(credit),
            ..flow
        }
    }

    /// The sender of a link has brought its delivery-count to this.
    pub fn set_delivery_count(&mut self, link: &Link, count: SequenceNo) {
        if let Some(state) = self.links.iter_mut().rev().find(|state| is_same(&state.link, link)) {
            state.deliveries = count.distance_from(state.initial);
        }
    }

    /// Notes what the client sends, without an answer. Returns the delivery that it completes.
    pub fn note(&mut self, got: &Got) -> Option<Delivery> {
        let Got::Frame(AmqpFrame { channel, body: Some(body), .. }) = got else { return None };
        match body {
            Performative::Transfer(_) => self.note_transfer(&Transfer::of(got.clone()).ok()?),
            Performative::Flow(flow) => {
                self.note_flow(*channel, flow);
                None
            }
            _ => None,
        }
    }

    fn note_transfer(&mut self, transfer: &Received<Transfer>) -> Option<Delivery> {
        for state in self.sessions.iter_mut().filter(|state| state.session.remote_channel == transfer.channel) {
            state.received = state.received.wrapping_add(1);
        }
        let delivery = self.assembly.add(transfer)?;
        let state = self.link_mut(transfer.channel, transfer.handle)?;
        state.deliveries = state.deliveries.wrapping_add(1);
        Some(delivery)
    }

    fn note_flow(&mut self, channel: u16, flow: &Flow) {
        let Some(state) = flow.handle.and_then(|handle| self.link_mut(channel, handle)) else { return };
        if let (Role::Sender, Some(credit)) = (state.link.role, flow.link_credit) {
            let limit = flow.delivery_count.unwrap_or(state.initial).plus(credit);
            state.credit = limit.distance_from(state.initial.plus(state.deliveries));
        }
    }

    fn link_mut(&mut self, remote_channel: u16, remote_handle: Handle) -> Option<&mut LinkState> {
        let is_it = |state: &&mut LinkState| {
            state.link.remote_channel == remote_channel
                && state.link.attach.handle == remote_handle
                && !state.is_detached
        };
        self.links.iter_mut().rev().find(is_it)
    }

    /// Sends a message on a link, in as many transfers as frames of this size need. Returns its delivery-id.
    pub fn deliver(&mut self, connection: &mut Connection, link: &Link, message: &[u8], max_frame_size: u32) -> u32 {
        let Some(session) = self.sessions.iter_mut().rev().find(|state| state.session.channel == link.channel) else {
            return 0;
        };
        let id = session.next_delivery_id;
        session.next_delivery_id = id.wrapping_add(1);
        let is_settled = link.attach.snd_settle_mode == SenderSettleMode::Settled;
        let part = usize::try_from(max_frame_size).unwrap_or(usize::MAX).saturating_sub(64).clamp(1, 32 * 1024);
        let parts = message.chunks(part).count().max(1);
        let mut chunks = message.chunks(part);
        for index in 1..=parts {
            let chunk = chunks.next().unwrap_or_default();
            let whole = Transfer { settled: Some(is_settled), ..frames::transfer(link.handle, id) };
            connection.send_with(link.channel, Transfer { more: index < parts, ..whole }, chunk);
            session.sent = session.sent.wrapping_add(1);
        }
        if let Some(state) = self.links.iter_mut().rev().find(|state| is_same(&state.link, link)) {
            state.deliveries = state.deliveries.wrapping_add(1);
            state.credit = state.credit.saturating_sub(1);
        }
        id
    }
}

fn is_same(one: &Link, other: &Link) -> bool {
    (one.channel, one.handle) == (other.channel, other.handle)
}

fn address_of(attach: &Attach) -> Option<amqp1_codec::Str> {
    attach.target.as_ref()?.as_target()?.address.clone()
}
