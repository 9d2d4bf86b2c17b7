//! Direct methods, as devices and modules see them: calls on one link, answers on another.

use std::sync::Arc;

use amqp1::codec::message::Body;
use amqp1::{
    Message, Receiver, Sender, Session, Value,
    message::{EncodedMessage, MessageId, Properties, Uuid},
};

use super::connection::Context;
use super::deliveries;
use super::requests::SETTLED;
use super::twin_links::Pair;
use crate::hub::{Address, ConsumerId, IdentityId, MethodCallId, MethodRequest, Wake};
use crate::messages::STYLE;

/// The application property with the name of the method.
const NAME: &str = "IoThub-methodname";
/// The application property with the status of an answer.
const STATUS: &str = "IoThub-status";

/// Serves the link on which a client is called, until it ends or may not go on.
pub(super) async fn calls(
    context: Arc<Context>,
    session: Session,
    sender: Sender,
    address: Address,
    pair: Option<Pair>,
) {
    let Some(id) = address.identity() else { return };
    let link = CalledLink { context: &context, sender: &sender, id: &id, session, pair };
    tokio::select! {
        error = context.revoked(&address) => {
            let _ = Box::pin(sender.detach_with(Some(error), true)).await;
        }
        () = link.serve() => {}
    }
}

struct CalledLink<'a> {
    context: &'a Context,
    sender: &'a Sender,
    id: &'a IdentityId,
    session: Session,
    pair: Option<Pair>,
}

impl CalledLink<'_> {
    fn can_be_answered(&self) -> bool {
        self.context.methods.answers(self.id, self.pair.as_ref(), &self.session)
    }

    /// Calls the client whenever it can answer, until the link ends.
    async fn serve(&self) {
        let mut changed = self.context.methods.changed();
        loop {
            changed.mark_seen();
            if self.can_be_answered() {
                let open = OpenMethods::new(self.context, self.id);
                tokio::select! {
                    () = self.send(open.consumer) => {}
                    _ = self.sender.detached() => {}
                    () = async {
                        while self.can_be_answered() {
                            changed.woken().await;
                        }
                    } => continue,
                }
                // Answers that the client sent before it ended the link may not have been read yet.
                self.context.methods.read_so_far(self.id).await;
                return;
            }
            tokio::select! {
                _ = self.sender.detached() => return,
                () = changed.woken() => {}
            }
        }
    }

    /// Sends calls. Resolves when the link is gone.
    async fn send(&self, consumer: ConsumerId) {
        let shared = &self.context.shared;
        let mut called = shared.waiter(Wake::Methods(self.id.clone()));
        loop {
            let Ok(permit) = self.sender.reserve().await else { return };
            let Some(request) = shared.hub(|hub, now| hub.take_method(now, self.id, consumer)) else {
                drop(permit);
                called.woken().await;
                continue;
            };
            if let Err(error) = permit.send_with(encode(&request), SETTLED) {
                // The client took its credit back, or is gone.
                tracing::debug!(%error, "a call of a method was not sent");
                shared.hub(|hub, _| hub.give_back_method(request.call));
            }
        }
    }
}

/// Opens an identity for calls until it is dropped.
struct OpenMethods<'a> {
    context: &'a Context,
    id: &'a IdentityId,
    consumer: ConsumerId,
}

impl<'a> OpenMethods<'a> {
    fn new(context: &'a Context, id: &'a IdentityId) -> Self {
        let consumer = context.shared.hub(|hub, now| {
            let consumer = hub.add_consumer();
            hub.open_methods(now, id, consumer);
            consumer
        });
        Self { context, id, consumer }
    }
}

impl Drop for OpenMethods<'_> {
    fn drop(&mut self) {
        self.context.shared.hub(|hub, now| hub.close_methods(now, self.id, self.consumer));
    }
}

fn encode(request: &MethodRequest) -> EncodedMessage {
    // Some clients take a UUID only.
    let correlation_id = Some(MessageId::Uuid(Uuid(*request.call.as_octets())));
    Message::builder()
        .style(STYLE)
        .properties(Properties { correlation_id, ..Properties::default() })
        .application_property(NAME, &*request.name)
        .data(request.payload.clone())
        .build()
}

/// Serves the link on which a client answers, until it ends or may not go on.
pub(super) async fn answers(
    context: Arc<Context>,
    session: Session,
    mut receiver: Receiver,
    address: Address,
    pair: Option<Pair>,
) {
    let Some(id) = address.identity() else { return };
    let mut answering = context.methods.add(id, pair, session);
    let mut revoked = context.revoked(&address);
    loop {
        let next = tokio::select! {
            biased;
            next = deliveries::next(&mut receiver, &mut revoked) => next,
            Some(waiting) = answering.asked() => {
                // Nothing is left to be received. The task that asked may be gone.
                waiting.send(()).ok();
                continue;
            }
        };
        let delivery = match next {
            Ok(delivery) => delivery,
            Err(over) => return over.conclude(&receiver, &address).await,
        };
        let message = delivery.message().clone();
        if let Err(error) = delivery.accept() {
            // The client has left; its answer counts.
            tracing::debug!(%error, "an answer of a method was not accepted");
        }
        let Some(call) = call_of(&message) else {
            context.refused("answer", &address, "its correlation-id is not that of a call");
            continue;
        };
        let payload = payload(&message);
        let status = if payload.is_some() { status(&message) } else { None };
        let payload = payload.unwrap_or_default();
        let taken = context.shared.hub(|hub, now| hub.answer_method(now, answering.id(), call, status, &payload));
        if !taken {
            tracing::debug!(%call, id = %answering.id(), "an answer that no call waits for was dropped");
        }
    }
}

/// The call that an answer is for. Some clients send the UUID as a text.
fn call_of(message: &Message) -> Option<MethodCallId> {
    match message.properties().ok().flatten()?.correlation_id? {
        MessageId::Uuid(uuid) => Some(MethodCallId::from_octets(uuid.0)),
        MessageId::String(text) => MethodCallId::from_text(text.as_str()),
        MessageId::Binary(octets) => <[u8; 16]>::try_from(&octets[..]).ok().map(MethodCallId::from_octets),
        MessageId::Ulong(_) => None,
    }
}

fn status(message: &Message) -> Option<i32> {
    match message.application_property(STATUS).ok().flatten()?.to_value().ok()? {
        Value::String(text) => text.as_str().parse().ok(),
        status => status.as_integer().and_then(|status| i32::try_from(status).ok()),
    }
}

/// The JSON text of an answer; empty without a body. `None` if the body cannot hold any.
fn payload(message: &Message) -> Option<Vec<u8>> {
    match message.body() {
        Body::Empty => Some(Vec::new()),
        Body::Data(sections) => Some(sections.flat_map(|section| section.chunks()).flatten().collect()),
        Body::Value(value) => match value.to_value().ok()? {
            Value::Null => Some(Vec::new()),
            Value::String(text) => Some(text.as_str().as_bytes().to_vec()),
            Value::Binary(octets) => Some(octets.to_vec()),
            _ => None,
        },
        _ => None,
    }
}
