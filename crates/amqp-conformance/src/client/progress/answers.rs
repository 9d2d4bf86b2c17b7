//! Answers what a client does besides that which a case is about, as a broker would.

use super::Progress;
use crate::{delivery::Delivery, wire::Connection};
use amqp1_codec::{
    Message, Value,
    definitions::Role,
    messaging::{DeliveryState, MessageId, Properties},
    performative::{Attach, Begin, Detach, Disposition, Flow, Performative, TargetArchetype},
    transaction::{Declared, TransactionalState},
};
use amqp1_script::{AmqpFrame, Body, Got, frames};
use bytes::Bytes;

/// The credit that a client's sender is given, unless a case gives its own.
const CREDIT: u32 = 100;
/// The id of every transaction that a client declares.
pub const TXN_ID: &[u8] = b"txn-1";

impl Progress {
    /// Answers what the client does. A client that closes the connection, or writes no more, is left to the case.
    pub fn answer(&mut self, connection: &mut Connection, got: &Got, max_frame_size: u32) {
        let Got::Frame(AmqpFrame { channel, body: Some(body), .. }) = got else { return };
        let delivery = self.note(got);
        match body {
            Performative::Begin(_) => {
                if let Ok(begin) = Begin::of(got.clone()) {
                    self.begin(connection, &begin);
                }
            }
            Performative::Attach(attach) => self.attach(connection, *channel, attach),
            Performative::Flow(flow) => self.answer_flow(connection, *channel, flow),
            Performative::Disposition(disposition) => self.settle(connection, *channel, disposition),
            Performative::Detach(detach) => self.detach(connection, *channel, detach),
            Performative::End(_) => {
                for state in self.sessions.iter_mut().filter(|state| state.session.remote_channel == *channel) {
                    if !state.is_ended {
                        state.is_ended = true;
                        connection.send(state.session.channel, frames::end());
                    }
                }
                for state in self.links.iter_mut().filter(|state| state.link.remote_channel == *channel) {
                    state.is_detached = true;
                }
            }
            _ => {}
        }
        if let Some(delivery) = delivery {
            self.accept(connection, &delivery);
        }
        self.respond(connection, max_frame_size);
    }

    fn attach(&mut self, connection: &mut Connection, channel: u16, attach: &Attach) {
        let Some(session) = self.session(channel).cloned() else { return };
        let answer = self.answer_to(&session, attach);
        connection.send(session.channel, answer.clone());
        let link = self.add_link(&session, attach.clone(), &answer);
        if link.role == Role::Receiver {
            connection.send(session.channel, self.link_flow(&link, CREDIT));
        }
    }

    fn answer_flow(&mut self, connection: &mut Connection, channel: u16, flow: &Flow) {
        let Some(session) = self.session(channel).cloned() else { return };
        let Some(state) = flow.handle.and_then(|handle| self.link_mut(channel, handle)) else {
            if flow.echo && flow.handle.is_none() {
                connection.send(session.channel, self.flow(&session));
            }
            return;
        };
        let link = state.link.clone();
        let is_drained = flow.drain && link.role == Role::Sender && self.responses.is_empty();
        if is_drained && let Some(state) = self.link_mut(channel, link.attach.handle) {
            state.deliveries = state.deliveries.wrapping_add(state.credit);
            state.credit = 0;
        }
        if flow.echo || is_drained {
            connection.send(session.channel, Flow { drain: is_drained, ..self.link_flow(&link, CREDIT) });
        }
    }

    /// Settles what the client has decided on and waits to see settled.
    fn settle(&mut self, connection: &mut Connection, channel: u16, disposition: &Disposition) {
        let Some(session) = self.session(channel) else { return };
        let is_final = disposition.state.as_ref().is_some_and(DeliveryState::is_outcome);
        if disposition.role == Role::Receiver && !disposition.settled && is_final {
            let settled = Disposition { role: Role::Sender, settled: true, ..disposition.clone() };
            connection.send(session.channel, settled);
        }
    }

    fn detach(&mut self, connection: &mut Connection, channel: u16, detach: &Detach) {
        if let Some(state) = self.link_mut(channel, detach.handle) {
            state.is_detached = true;
            if state.is_detaching {
                return;
            }
            let answer = Detach { closed: detach.closed, ..frames::detach(state.link.handle) };
            connection.send(state.link.channel, answer);
        }
    }

    /// Accepts a delivery: declares and discharges transactions, and prepares the response to a request.
    pub fn accept(&mut self, connection: &mut Connection, delivery: &Delivery) {
        let handle = delivery.first().map_or(0, |transfer| transfer.handle);
        let Some(state) = self.link_mut(delivery.channel, handle) else { return };
        let link = state.link.clone();
        let message = Message::from_bytes(delivery.message.clone()).ok();
        let is_coordinator = matches!(link.attach.target, Some(TargetArchetype::Coordinator(_)));
        let outcome = if is_coordinator { discharged(message.as_ref()) } else { accepted(delivery) };
        if !delivery.is_settled() && !delivery.is_aborted() {
            connection.send(link.channel, frames::settled(Role::Receiver, delivery.number(), outcome));
        }
        let properties = message.and_then(|message| message.properties().ok().flatten());
        if let Some(Properties { reply_to: Some(to), message_id, correlation_id, .. }) = properties {
            self.responses.push((Some(to.to_string()), response(&to, message_id.or(correlation_id))));
        }
    }

    /// Sends the responses for which there is credit.
    pub fn respond(&mut self, connection: &mut Connection, max_frame_size: u32) {
        let waiting = std::mem::take(&mut self.responses);
        for (to, response) in waiting {
            let senders = || self.links.iter().filter(|state| state.link.role == Role::Sender && !state.is_detached);
            let by_address = senders().find(|state| state.address == to);
            let found = by_address.or_else(|| senders().next()).filter(|state| state.credit > 0);
            match found.map(|state| state.link.clone()) {
                Some(link) => {
                    self.deliver(connection, &link, &response, max_frame_size);
                }
                None => self.responses.push((to, response)),
            }
        }
    }
}

/// Accepted, in its transaction if the delivery has one.
fn accepted(delivery: &Delivery) -> DeliveryState {
    match delivery.first().and_then(|transfer| transfer.state.clone()) {
        Some(DeliveryState::Transactional(state)) => DeliveryState::Transactional(Box::new(TransactionalState {
            outcome: Some(Box::new(DeliveryState::Accepted)),
            ..*state
        })),
        _ => DeliveryState::Accepted,
    }
}

/// The coordinator's answer: a transaction for a declare.
fn discharged(message: Option<&Message>) -> DeliveryState {
    const DECLARE: u64 = 0x31;
    let is_declare = match message.and_then(|message| message.value().ok().flatten()) {
        Some(Value::Described(body)) => {
            body.descriptor.as_integer() == Some(i128::from(DECLARE)) || body.descriptor == declare_symbol()
        }
        _ => false,
    };
    if is_declare {
        DeliveryState::Declared(Box::new(Declared { txn_id: Bytes::from_static(TXN_ID) }))
    } else {
        DeliveryState::Accepted
    }
}

fn declare_symbol() -> Value {
    amqp1_codec::Symbol::from_static("amqp:declare:list").into()
}

fn response(to: &str, correlation_id: Option<MessageId>) -> Bytes {
    let properties = Properties { to: Some(to.into()), correlation_id, ..Properties::default() };
    Message::builder()
        .properties(properties)
        .application_property("statusCode", 200i32)
        .application_property("status-code", 200i32)
        .data("response")
        .build()
        .into_parts()
        .concat()
        .into()
}
