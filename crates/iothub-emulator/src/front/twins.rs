//! Twins and direct methods: their links are taken, so that clients that open them by themselves go on with the rest.
//!
//! Twins say that they are not implemented: 501 to those who read or report properties. Who subscribes to desired
//! properties is told of none. Nothing is ever sent on a link for methods.

use std::sync::Arc;

use amqp1::codec::performative::Attach;
use amqp1::{EncodedMessage, Message, MessageId, Properties, Receiver, Sender, Session, Str, Symbol, Value};

use super::connection::Context;
use super::requests::Node;
use crate::hub::Address;
use crate::messages::STYLE;

/// The link property that is the same on both links of a client for one twin.
const CORRELATION: &str = "com.microsoft:channel-correlation-id";
/// *Not implemented*, in the words of HTTP.
const STATUS: i32 = 501;

/// What ties the two links of a client together, if it says so.
pub(super) fn pair(attach: &Attach) -> Option<Str> {
    match attach.properties.as_ref()?.get(CORRELATION)? {
        Value::String(text) => Some(text.to_detached()),
        _ => None,
    }
}

/// Accepts all requests of a twin's client and answers those that want to read or report properties, until the link
/// ends or may not go on.
pub(super) async fn serve(
    context: Arc<Context>,
    session: Session,
    mut receiver: Receiver,
    address: Address,
    pair: Option<Str>,
) {
    let node = Node::of(&address, pair);
    let revoked = context.revoked(&address);
    tokio::pin!(revoked);
    loop {
        let delivery = tokio::select! {
            biased;
            error = &mut revoked => {
                let _ = receiver.detach_with(Some(error), true).await;
                return;
            }
            delivery = receiver.recv() => delivery,
        };
        let delivery = match delivery {
            Ok(Some(delivery)) => delivery,
            Ok(None) => return,
            Err(error) => return tracing::debug!(%error, "a twin's link ended"),
        };
        let answered = is_answered(delivery.message());
        let correlation_id = delivery.message().properties().ok().flatten().and_then(|p| p.correlation_id);
        if delivery.accept().is_err() {
            return;
        }
        // An answer without a correlation-id would be taken for a change of desired properties.
        if let (true, Some(id)) = (answered, correlation_id) {
            context.replies.send((&node, &session), &receiver, None, answer(id)).await;
        }
    }
}

fn is_answered(request: &Message) -> bool {
    let operation = request.message_annotation("operation").ok().flatten().and_then(|value| value.as_text());
    operation.is_some_and(|operation| ["GET", "PATCH"].iter().any(|known| operation.eq_ignore_ascii_case(known)))
}

/// Some clients parse the body whatever the status says, so there is an object in it.
fn answer(correlation_id: MessageId) -> EncodedMessage {
    Message::builder()
        .style(STYLE)
        .message_annotation(Symbol::from_static("status"), STATUS)
        .properties(Properties { correlation_id: Some(correlation_id), ..Properties::default() })
        .data("{}")
        .build()
}

/// Accepts what a client sends in answer to methods, though none was called.
pub(super) async fn ignore(context: Arc<Context>, mut receiver: Receiver, address: Address) {
    let revoked = context.revoked(&address);
    tokio::pin!(revoked);
    loop {
        tokio::select! {
            biased;
            error = &mut revoked => {
                let _ = receiver.detach_with(Some(error), true).await;
                return;
            }
            delivery = receiver.recv() => match delivery {
                Ok(Some(delivery)) => if delivery.accept().is_err() {
                    return;
                },
                Ok(None) => return,
                Err(error) => return tracing::debug!(%error, "a link for methods ended"),
            },
        }
    }
}

/// Keeps a link on which nothing is sent, until it ends or may not go on.
pub(super) async fn silence(context: Arc<Context>, sender: Sender, address: Address) {
    tokio::select! {
        error = context.revoked(&address) => {
            let _ = sender.detach_with(Some(error), true).await;
        }
        _ = sender.detached() => {}
    }
}
