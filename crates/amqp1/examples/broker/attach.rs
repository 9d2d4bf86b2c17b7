//! What a link is for, and how its attach is answered.

use super::{
    broker::Broker,
    incoming::{Incoming, Target},
    outgoing::Outgoing,
};
use amqp1::{
    AcceptedLink, AmqpError, AttachReply, Credit, DrainMode, ErrorCondition, FilterSet, IncomingLink, Role, Str,
    TargetArchetype, Value,
    codec::messaging::DistributionMode,
    engine::terminus::{Key, Support},
};
use std::{sync::Arc, time::Duration};

/// How many messages a sender may send that were not taken yet.
const WINDOW: u32 = 256;

/// How long a consumer's drain may take.
const DRAIN: DrainMode = DrainMode::Application { timeout: Duration::from_secs(10) };

/// Answers an attach, and serves the link in a task of its own, so that none waits for another.
pub(crate) fn answer(broker: &Arc<Broker>, container: &Str, link: IncomingLink) {
    let key = Key::new(container.clone(), link.attach().name.clone(), link.role().opposite());
    let attached = match link.role() {
        Role::Sender => incoming(broker, key, &link).map(|(reply, incoming)| (reply, Some(incoming), None)),
        Role::Receiver => outgoing(broker, key, &link).map(|(reply, outgoing)| (reply, None, Some(outgoing))),
    };
    let (reply, incoming, outgoing) = match attached {
        Ok(attached) => attached,
        Err(error) => return link.reject(error),
    };
    match (link.accept(reply), incoming, outgoing) {
        (Ok(AcceptedLink::Receiver(receiver)), Some(incoming), _) => drop(tokio::spawn(incoming.run(receiver))),
        (Ok(AcceptedLink::Sender(sender)), _, Some(outgoing)) => drop(tokio::spawn(outgoing.run(sender))),
        // It has ended meanwhile.
        (_, Some(incoming), _) => incoming.ended(true),
        (_, _, Some(outgoing)) => outgoing.ended(true),
        _ => {}
    }
}

fn support() -> Support {
    Support { distribution_modes: vec![DistributionMode::MOVE, DistributionMode::COPY], ..Support::default() }
}

/// A client that sends.
fn incoming(broker: &Arc<Broker>, key: Key, link: &IncomingLink) -> Result<(AttachReply, Incoming), AmqpError> {
    let asked = link.attach();
    let target = match asked.target.as_ref().and_then(TargetArchetype::as_target) {
        Some(target) if target.dynamic => {
            Target::Queue(broker.dynamic(key.clone(), target.dynamic_node_properties.as_ref()))
        }
        _ if link.is_anonymous() => Target::Relay,
        _ => Target::Queue(broker.queue(link.address().unwrap_or_default())?),
    };
    let node = match &target {
        Target::Queue(queue) => Some(queue.name.clone()),
        Target::Relay => None,
    };
    let mut reply = link.reply_with(&support(), node)?;
    (reply.credit, reply.max_message_size) = (Credit::Window(WINDOW), Some(broker.options.max_message_size));
    if broker.options.settle_second {
        reply.rcv_settle_mode = asked.rcv_settle_mode;
    }
    if let (Some(TargetArchetype::Target(granted)), Some(TargetArchetype::Target(asked))) =
        (&mut reply.target, &asked.target)
    {
        granted.capabilities.clone_from(&asked.capabilities);
    }
    Ok((reply, Incoming { broker: broker.clone(), link: key, target }))
}

/// A client that receives.
fn outgoing(broker: &Arc<Broker>, key: Key, link: &IncomingLink) -> Result<(AttachReply, Outgoing), AmqpError> {
    let missing = || AmqpError::new(ErrorCondition::NOT_FOUND, "the link has no source");
    let source = link.attach().source.as_deref().ok_or_else(missing)?;
    if let Some((name, _)) = source.filter.iter().flat_map(FilterSet::iter).find(|(_, filter)| **filter != Value::Null)
    {
        let text = format!("the filter {name:?} is not served");
        return Err(AmqpError::new(ErrorCondition::NOT_IMPLEMENTED, text));
    }
    let queue = match source.dynamic {
        true => broker.dynamic(key.clone(), source.dynamic_node_properties.as_ref()),
        false => broker.queue(source.address.as_deref().unwrap_or_default())?,
    };
    let mut reply = link.reply_with(&support(), Some(queue.name.clone()))?;
    (reply.drain_mode, reply.max_unsettled) = (DRAIN, broker.options.max_unsettled);
    let mut default_outcome = None;
    if let Some(granted) = &mut reply.source {
        granted.capabilities.clone_from(&source.capabilities);
        default_outcome.clone_from(&granted.default_outcome);
    }
    let browses = source.distribution_mode.as_ref() == Some(&DistributionMode::COPY);
    let number = broker.new_link();
    Ok((reply, Outgoing { broker: broker.clone(), link: key, queue, number, browses, default_outcome }))
}
