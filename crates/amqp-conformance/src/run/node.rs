//! Makes sure that the nodes of a run are empty before anything is sent to them.

use super::{Options, RunError, Target};
use crate::{
    server::{Attached, QueueError, ServerTarget, ServerTrial, Sheet},
    verdict::Stop,
};
use amqp1_codec::{
    SequenceNo,
    definitions::{ErrorCondition, Role},
    messaging::DeliveryState,
    performative::{Flow, Performative},
};
use amqp1_script::{AmqpFrame, Got, Refusal, Scope, frames};
use std::{collections::HashSet, time::Duration};

/// The target of each worker: the same peer, and a node of its own.
pub(super) fn targets(target: &Target, options: &Options) -> Result<Vec<Target>, RunError> {
    let jobs = options.jobs.max(1);
    match target {
        Target::Client(_) => Ok(vec![target.clone(); jobs]),
        Target::Server(server) => {
            let nodes = || [&server.node].into_iter().chain(&options.more_nodes);
            let mut names = HashSet::new();
            if let Some(node) = nodes().find(|node| !names.insert(*node)) {
                return Err(RunError::SameNode { node: node.clone() });
            }
            let of_worker = |(worker, node): (usize, &String)| {
                let container_id = match worker {
                    0 => server.container_id.clone(),
                    _ => format!("{}-{worker}", server.container_id),
                };
                ServerTarget { node: node.clone(), container_id, ..server.clone() }.into()
            };
            let targets: Vec<Target> = nodes().enumerate().map(of_worker).take(jobs).collect();
            if targets.len() < jobs {
                return Err(RunError::Nodes { jobs, nodes: targets.len() });
            }
            Ok(targets)
        }
    }
}

/// Empties each node if that is allowed, within this time, and refuses those that are not empty otherwise.
pub(super) fn prepare(targets: &[Target], may_purge: bool, limit: Duration) -> Result<(), RunError> {
    for target in targets {
        // A peer that has just started is slow at first.
        let Target::Server(server) = &target.patient() else { continue };
        let sheet = Sheet::default();
        let mut trial = ServerTrial::new(server, &sheet, false).within(limit);
        let is_empty = if may_purge { trial.purged(limit).map(|_| true) } else { is_empty(&mut trial) };
        match is_empty {
            Ok(true) => {}
            Ok(false) => return Err(RunError::NotEmpty { node: server.node.clone() }),
            Err(error) if is_of_node(&error) => {
                let reason = target.secrets().text(&Stop::from(error).into_outcome().reason);
                return Err(RunError::Node { node: server.node.clone(), reason });
            }
            Err(error) => return Err(RunError::of_peer(target, error.into())),
        }
    }
    Ok(())
}

/// The conditions by which a server may close the connection for the sake of the node alone.
const OF_NODE: [ErrorCondition; 5] = [
    ErrorCondition::NOT_FOUND,
    ErrorCondition::UNAUTHORIZED_ACCESS,
    ErrorCondition::NOT_ALLOWED,
    ErrorCondition::RESOURCE_LOCKED,
    ErrorCondition::RESOURCE_DELETED,
];

/// Whether another node would help: the server has refused this one, or its messages are left.
fn is_of_node(error: &QueueError) -> bool {
    match error {
        QueueError::Peer(_) => false,
        QueueError::Left(_) => true,
        QueueError::Unexpected(unexpected) => Refusal::of(&unexpected.got)
            .is_some_and(|refusal| refusal.scope != Scope::Connection || OF_NODE.contains(&refusal.error.condition)),
    }
}

/// The time after which a server that neither sends a message nor answers a drain is taken to have none.
const SILENCE: Duration = Duration::from_secs(2);

/// Asks for one message. One that comes is released, so that the queue keeps it.
fn is_empty(trial: &mut ServerTrial<'_>) -> Result<bool, QueueError> {
    let Attached { mut connection, session, link, .. } = trial.queue()?;
    let flow = Flow { drain: true, ..crate::server::credit_after(&session, &link, 0, 1) };
    connection.send(session.channel, flow);
    // Frames that are no message do not make it longer.
    let deadline = connection.now().saturating_add(SILENCE);
    loop {
        match connection.next_within(deadline.saturating_sub(connection.now())) {
            Got::Frame(AmqpFrame { body: Some(Performative::Transfer(transfer)), .. }) => {
                if let Some(SequenceNo(id)) = transfer.delivery_id {
                    let released = frames::settled(Role::Receiver, id, DeliveryState::Released);
                    connection.send(link.channel, released);
                }
                // It is of no interest how the server closes.
                let _ = connection.closed();
                return Ok(false);
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Flow(flow)), .. })
                if flow.handle == Some(link.attach.handle) && flow.link_credit == Some(0) =>
            {
                return Ok(true);
            }
            Got::Frame(AmqpFrame { body: None | Some(Performative::Flow(_)), .. }) => {}
            Got::Timeout { .. } => return Ok(true),
            got => return Err(connection.unexpected("a message or a flow", got).into()),
        }
    }
}
