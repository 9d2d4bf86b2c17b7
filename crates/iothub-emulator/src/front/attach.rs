//! Which link goes where, and which goes nowhere.

use std::sync::Arc;

use amqp1::{
    Credit, Error, IncomingLink, Sender, Symbol, Value,
    acceptor::{ReceiverRequest, SenderRequest},
    error::{AmqpError, ErrorCondition},
    link::{ReceiverSettleMode, Role, SenderSettleMode, TargetArchetype},
    message::Fields,
};
use tokio::task::JoinSet;

use super::connection::Context;
use super::locked::Queue;
use super::presence::LinkTasks;
use super::requests::{self, Node};
use super::twin_links::Pair;
use super::{cbs, events, from_service, inputs, locked, management, methods, refusal_error, telemetry, twins};
use crate::hub::{Address, AttachError, Grant, Hub, IdentityId};
use crate::messages::error_of;

/// Deliveries that a client may send ahead of our looking at them.
const CREDIT: u32 = 200;
/// The largest message that any link takes, in octets. What the hub takes is less; a larger one is *rejected*.
const MAX_MESSAGE_SIZE: u64 = 1024 * 1024;
/// The same for the nodes that answer requests, one of which is open to those who have not shown a token.
const REQUEST_CREDIT: u32 = 50;
const MAX_REQUEST_SIZE: u64 = 64 * 1024;
/// The JSON text of reported properties is longer than what counts of them; what is too large is refused in an answer.
const MAX_TWIN_REQUEST_SIZE: u64 = 256 * 1024;

// Termini are echoed on `$cbs` and by Event Hubs, as old traces show, and on the links of devices by IoT Edge's hub; what the
// service does on the latter is not known. So these nodes do the same, though they apply no filters, make no copies and keep
// nothing of a link when it is gone. The answer to a reader of events names the filter that applies ([`events::reply`]).

/// Accepts a link and starts its task, or refuses it.
pub(super) fn offered(context: &Arc<Context>, link: IncomingLink, tasks: &mut JoinSet<()>) {
    let address = match address_of(&link) {
        Ok(address) => address,
        Err(error) => return reject(context, link, error),
    };
    let authorized = context.shared.hub(|hub, now| {
        if produces(hub, &link) {
            return Err(AttachError::Producer);
        }
        context.grants.authorize(hub, now, &address)
    });
    let grant = match authorized {
        Ok(grant) => grant,
        Err(error) => return reject(context, link, error_of(error.condition(), &error)),
    };
    let identity = address.identity();
    if let Some((id, model_id)) = identity.as_ref().zip(model_id(&link)) {
        context.shared.hub(|hub, _| hub.set_model_id(id, model_id));
    }
    let tasks = &mut LinkTasks::new(context, &address, tasks);
    if grant.as_ref().is_some_and(Grant::is_by_certificate) {
        context.count_tokens();
    }
    match link {
        IncomingLink::Receiver(request) => from_peer(context, request, address, grant, tasks),
        IncomingLink::Sender(request) => to_peer(context, request, address, tasks),
        other => reject(context, other, no_transactions()),
    }
}

/// The model that a device says it is of.
fn model_id(link: &IncomingLink) -> Option<&str> {
    match link.attach().properties.as_ref()?.get("com.microsoft:model-id")? {
        Value::String(text) => Some(text.as_str()),
        _ => None,
    }
}

/// The node that the link is for: at the peer's far end.
fn address_of(link: &IncomingLink) -> Result<Address, AmqpError> {
    let attach = link.attach();
    let text = match link.role() {
        Role::Receiver => attach.source.as_ref().and_then(|source| source.address.as_ref()),
        Role::Sender => match &attach.target {
            Some(TargetArchetype::Coordinator(_)) => {
                return Err(no_transactions());
            }
            Some(TargetArchetype::Target(target)) => target.address.as_ref(),
            None => None,
        },
    };
    Ok(text.map_or(Address::Unknown, |text| Address::parse(text.as_str())))
}

fn no_transactions() -> AmqpError {
    refusal_error(ErrorCondition::NOT_IMPLEMENTED, "the hub has no transactions")
}

/// Whether the link is that of a producer of events at the built-in endpoint.
fn produces(hub: &Hub, link: &IncomingLink) -> bool {
    let Some(TargetArchetype::Target(target)) = &link.attach().target else { return false };
    let entity = target.address.as_ref().and_then(|address| Address::entity_of_producer(address.as_str()));
    link.role() == Role::Sender && entity.is_some_and(|entity| hub.settings().is_entity(&entity))
}

/// Refuses a link, and logs it. A redirect is no refusal: it says where to go.
pub(super) fn reject(context: &Context, link: IncomingLink, error: AmqpError) {
    if error.condition != ErrorCondition::LINK_REDIRECT {
        context.refused("link", link.address().unwrap_or_default(), &error);
    }
    link.reject(error);
}

/// Links on which the peer sends.
fn from_peer(
    context: &Arc<Context>,
    link: ReceiverRequest,
    address: Address,
    grant: Option<Grant>,
    tasks: &mut LinkTasks<'_>,
) {
    let refused = match &address {
        Address::Cbs | Address::EventHubManagement { .. } | Address::ServiceDeviceBound => None,
        Address::DeviceTelemetry { .. } | Address::Methods { .. } | Address::Twin { .. } => None,
        Address::HubEvents { rest } => Some(redirect(context, rest)),
        _ => Some(refusal_error(
            ErrorCondition::NOT_ALLOWED,
            "nothing can be sent to this address, only received from it",
        )),
    };
    if let Some(error) = refused {
        return reject(context, IncomingLink::Receiver(link), error);
    }
    let pair = Pair::of(link.attach());
    let session = link.session();
    // Clients that ask for mode second wait for a settlement all the same, and settle nothing themselves.
    let (credit, size) = match address {
        Address::Cbs | Address::EventHubManagement { .. } => (REQUEST_CREDIT, MAX_REQUEST_SIZE),
        Address::Twin { .. } | Address::Methods { .. } => (REQUEST_CREDIT, MAX_TWIN_REQUEST_SIZE),
        _ => (CREDIT, MAX_MESSAGE_SIZE),
    };
    let link = link.grant_everything().credit(Credit::Window(credit)).max_message_size(size);
    // A client may end its link right behind what it has sent, without waiting for the outcome.
    let link = link.receiver_settle_mode(ReceiverSettleMode::First).unsettled_after_end(true);
    // One connection may carry a thousand devices with ten links each.
    let Some(receiver) = accepted(link.forget_attach().accept()) else { return };
    let context = context.clone();
    match address {
        Address::Cbs => tasks.spawn(cbs::serve(context, session, receiver)),
        Address::EventHubManagement { .. } => tasks.spawn(management::serve(context, session, receiver, address)),
        Address::Twin { .. } => tasks.spawn(twins::serve(context, session, receiver, address, pair)),
        Address::Methods { .. } => tasks.spawn(methods::answers(context, session, receiver, address, pair)),
        Address::ServiceDeviceBound => tasks.spawn(from_service::serve(context, receiver, address)),
        _ => {
            let method = grant.map(|grant| grant.auth_method()).unwrap_or_default();
            tasks.spawn(telemetry::serve(context, receiver, address, method));
        }
    }
}

/// Links on which the peer receives.
fn to_peer(context: &Arc<Context>, link: SenderRequest, address: Address, tasks: &mut LinkTasks<'_>) {
    let context = context.clone();
    match &address {
        Address::Twin { .. } => {
            let (session, pair) = (link.session(), Pair::of(link.attach()));
            if let Some(sender) = accept(settled(link)) {
                tasks.spawn(twins::hold(context, session, sender, address, pair));
            }
        }
        Address::Cbs | Address::EventHubManagement { .. } => {
            let session = link.session();
            let target = link.attach().target.as_ref().and_then(TargetArchetype::as_target);
            let target = target.and_then(|target| target.address.clone());
            if let Some(sender) = accept(settled(link)) {
                let node = Node::of(&address);
                tasks.spawn(requests::hold(context, session, sender, node, address, target));
            }
        }
        Address::Methods { .. } => {
            let (session, pair) = (link.session(), Pair::of(link.attach()));
            if let Some(sender) = accept(settled(link)) {
                tasks.spawn(methods::calls(context, session, sender, address, pair));
            }
        }
        Address::DeviceBound { device, module } => {
            let queue = Queue::Device(IdentityId { device: device.clone(), module: module.clone() });
            locked_queue(context, link, address, queue, tasks);
        }
        Address::DeviceTelemetry { module: Some(_), .. } => {
            let settled = link.attach().snd_settle_mode == SenderSettleMode::Settled;
            if let Some(sender) = accept(link.grant_everything()) {
                tasks.spawn(inputs::serve(context, sender, address, settled));
            }
        }
        Address::Feedback => locked_queue(context, link, address, Queue::Feedback, tasks),
        Address::FileNotifications => locked_queue(context, link, address, Queue::FileNotifications, tasks),
        Address::EventHub { .. } => match events::Reader::new(&context, &link, &address) {
            Ok(reader) => match accept(events::granted(link)) {
                Some(sender) => tasks.spawn(reader.serve(context, sender, address)),
                _ => reader.leave(&context),
            },
            Err(error) => reject(&context, IncomingLink::Sender(link), error),
        },
        Address::HubEvents { rest } => {
            let error = redirect(&context, rest);
            reject(&context, IncomingLink::Sender(link), error);
        }
        _ => reject(
            &context,
            IncomingLink::Sender(link),
            refusal_error(ErrorCondition::NOT_ALLOWED, "nothing can be received from this address, only sent to it"),
        ),
    }
}

fn locked_queue(context: Arc<Context>, link: SenderRequest, address: Address, queue: Queue, tasks: &mut LinkTasks<'_>) {
    let settled = link.attach().snd_settle_mode == SenderSettleMode::Settled;
    if let Some(sender) = accept(link.grant_everything()) {
        tasks.spawn(locked::serve(context, sender, address, queue, settled));
    }
}

/// For links on which we send settled, whatever the peer asked for: some clients never settle.
pub(super) fn settled(link: SenderRequest) -> SenderRequest {
    link.grant_everything().settle_mode(SenderSettleMode::Settled)
}

fn accept(link: SenderRequest) -> Option<Sender> {
    // One connection may carry a thousand devices with ten links each.
    accepted(link.max_message_size(MAX_MESSAGE_SIZE).forget_attach().accept())
}

fn accepted<L>(accepted: Result<L, Error>) -> Option<L> {
    match accepted {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::debug!(%error, "link gone before it was accepted");
            None
        }
    }
}

/// The error that sends a reader to the Event-Hubs-compatible endpoint, which is here as well.
fn redirect(context: &Context, rest: &str) -> AmqpError {
    let redirect = context.shared.hub(|hub, _| hub.redirect(rest, context.port));
    // One who came over plain TCP, which the real hub does not have, is not sent to a port that wants TLS.
    let address = match redirect.address.strip_prefix("amqps://") {
        Some(rest) if !context.tls => format!("amqp://{rest}"),
        _ => redirect.address,
    };
    let mut info = Fields::new();
    info.insert(Symbol::from_static("hostname"), &*redirect.host);
    info.insert(Symbol::from_static("network-host"), &*redirect.host);
    info.insert(Symbol::from_static("port"), Value::Int(i32::from(redirect.port)));
    info.insert(Symbol::from_static("address"), address);
    AmqpError { condition: ErrorCondition::LINK_REDIRECT, description: None, info: Some(info) }
}
