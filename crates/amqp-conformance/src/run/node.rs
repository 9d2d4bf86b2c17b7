//! Makes sure that the nodes of a run are empty before anything is sent to them.

use super::{Options, RunError, Target};
use crate::{
    server::{Attached, ServerTarget, ServerTrial, Sheet},
    verdict::Stop,
};
use amqp1_codec::{
    SequenceNo,
    definitions::Role,
    messaging::DeliveryState,
    performative::{Flow, Performative},
};
use amqp1_script::{AmqpFrame, Got, frames};
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

/// Empties each node if that is allowed, and refuses those that are not empty otherwise.
pub(super) fn prepare(targets: &[Target], may_purge: bool) -> Result<(), RunError> {
    for target in targets {
        // A peer that has just started is slow at first.
        let Target::Server(server) = &target.patient() else { continue };
        let secrets = target.secrets();
        let sheet = Sheet::default();
        let mut trial = ServerTrial::new(server, &sheet, false);
        // The reasons below are of the node only if a connection can be opened at all.
        trial.opened().map_err(|stop| RunError::Unreachable(super::why_unreachable(target, stop)))?;
        let refused = |stop: Stop| RunError::Node {
            node: server.node.clone(),
            reason: secrets.text(&stop.into_outcome().reason),
        };
        if may_purge {
            trial.purge().map_err(refused)?;
        } else if !is_empty(&mut trial).map_err(refused)? {
            return Err(RunError::NotEmpty { node: server.node.clone() });
        }
    }
    Ok(())
}

/// The time after which a server that neither sends a message nor answers a drain is taken to have none.
const SILENCE: Duration = Duration::from_secs(2);

/// Asks for one message. One that comes is released, so that the queue keeps it.
fn is_empty(trial: &mut ServerTrial<'_>) -> Result<bool, Stop> {
    let Attached { mut connection, session, link, .. } = trial.receiver()?;
    let flow = Flow { drain: true, ..crate::server::credit_after(&session, &link, 0, 1) };
    connection.send(session.channel, flow);
    loop {
        match connection.next_within(SILENCE) {
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
            got => return Err(Stop::SetUp(format!("expected a message or a flow, got {got}"))),
        }
    }
}
