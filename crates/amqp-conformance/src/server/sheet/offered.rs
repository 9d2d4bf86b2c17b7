//! Finds out which features a server has.

use super::{ServerTrial, Sheet};
use crate::{case::Need, server::ScramHash};
use amqp1_codec::{
    DeliveryTag, Symbol, Value,
    definitions::Role,
    frame::ProtocolHeader,
    messaging::{DistributionMode, Source, Target, TerminusExpiryPolicy},
    performative::{Attach, Detach, TargetArchetype, Unsettled},
    sasl::SaslMechanisms,
    transaction::Coordinator,
};
use amqp1_script::frames;

/// The features that the server has; `sheet` has everything else.
pub(super) fn features(trial: &mut ServerTrial<'_>, sheet: &Sheet) -> Vec<Need> {
    let offers = |name: &str| sheet.capabilities.iter().any(|capability| capability == name);
    let has = |name: &str| sheet.mechanisms.iter().any(|mechanism| mechanism == name);
    let has_password = trial.target().login.password().is_some();
    let is_queue = trial.queued(&["detect"]).is_ok() && trial.emptied().is_ok_and(|all| all.len() == 1);
    // Where every address is served, that of a well-known node says nothing.
    let has_fixed_nodes = !serves(trial, "$amqp-conformance-no-such-node");
    let found = [
        (Need::Sasl, !sheet.mechanisms.is_empty()),
        (Need::Plain, has("PLAIN") && has_password),
        (Need::Scram, has_password && ScramHash::ALL.iter().any(|hash| has(hash.mechanism()))),
        (Need::AnonymousRelay, offers("ANONYMOUS-RELAY")),
        (Need::SoleConnection, offers("sole-connection-for-container")),
        (Need::Sessions, sheet.channel_max > 0),
        (Need::Links, sheet.handle_max.is_some_and(|highest| highest > 0)),
        (Need::SettleSecond, sheet.receiver_settle_modes.iter().any(|mode| mode == "second")),
        (Need::Tls, trial.target().layers.tls.is_some()),
        (Need::WebSocket, trial.target().layers.web_socket.is_some()),
        (Need::Coordinator, coordinates(trial)),
        (Need::DynamicSource, is_created(trial, dynamic(Role::Receiver))),
        (Need::DynamicTarget, is_created(trial, dynamic(Role::Sender))),
        (Need::Queue, is_queue),
        (Need::Browse, browses(trial)),
        (Need::Selector, selects(trial)),
        (Need::Resume, is_queue && resumes(trial).is_some()),
        (Need::Cbs, has_fixed_nodes && serves(trial, "$cbs")),
        (Need::Management, has_fixed_nodes && serves(trial, "$management")),
    ];
    found.into_iter().filter(|(_, has)| *has).map(|(need, _)| need).collect()
}

/// The SASL mechanisms in the server's order; none without SASL.
pub(super) fn mechanisms(trial: &mut ServerTrial<'_>) -> Vec<String> {
    let Ok(mut connection) = trial.connected() else { return Vec::new() };
    connection.header(ProtocolHeader::SASL);
    if connection.expect_header(ProtocolHeader::SASL).is_err() {
        return Vec::new();
    }
    let Ok(offered) = connection.expect::<SaslMechanisms>() else { return Vec::new() };
    offered.sasl_server_mechanisms.iter().map(ToString::to_string).collect()
}

/// Whether the server answers a drain of the queue, which may be empty, by using up the credit.
pub(super) fn drains(trial: &mut ServerTrial<'_>) -> bool {
    trial.purge().is_ok() && trial.consumer("detect-drain").is_ok_and(|mut consumer| consumer.is_drained())
}

fn coordinates(trial: &mut ServerTrial<'_>) -> bool {
    let attach = Attach {
        target: Some(TargetArchetype::Coordinator(Coordinator::default())),
        ..frames::attach_sender("detect-coordinator", 0, "")
    };
    trial.sender_with(attach).is_ok_and(|attached| attached.link.attach.target.is_some())
}

/// An attach that asks for a dynamic node.
fn dynamic(role: Role) -> Attach {
    match role {
        Role::Receiver => Attach {
            source: Some(Box::new(Source { dynamic: true, ..Source::default() })),
            ..frames::attach_receiver("detect-dynamic", 0, "")
        },
        Role::Sender => Attach {
            target: Some(Target { dynamic: true, ..Target::default() }.into()),
            ..frames::attach_sender("detect-dynamic", 0, "")
        },
    }
}

fn is_created(trial: &mut ServerTrial<'_>, attach: Attach) -> bool {
    let Ok(attached) = trial.attached(attach) else { return false };
    let reply = attached.link.attach;
    match reply.role {
        Role::Sender => reply.source.is_some_and(|source| source.address.is_some()),
        Role::Receiver => {
            reply.target.is_some_and(|target| target.as_target().is_some_and(|target| target.address.is_some()))
        }
    }
}

fn browses(trial: &mut ServerTrial<'_>) -> bool {
    let source = Source { distribution_mode: Some(DistributionMode::COPY), ..Source::at(trial.node()) };
    let attach = Attach { source: Some(Box::new(source)), ..frames::attach_receiver("detect-browse", 0, trial.node()) };
    trial.attached(attach).is_ok_and(|attached| {
        attached.link.attach.source.is_some_and(|source| source.distribution_mode == Some(DistributionMode::COPY))
    })
}

fn selects(trial: &mut ServerTrial<'_>) -> bool {
    let mut source = Source::at(trial.node());
    let mut filter = amqp1_codec::messaging::FilterSet::new();
    filter.insert(Symbol::from_static("selector"), 0x0000_468c_0000_0004_u64, "colour = 'green'");
    source.filter = Some(filter);
    let attach =
        Attach { source: Some(Box::new(source)), ..frames::attach_receiver("detect-selector", 0, trial.node()) };
    trial.attached(attach).is_ok_and(|attached| {
        let filter = attached.link.attach.source.and_then(|source| source.filter);
        filter.is_some_and(|filter| filter.get("selector").is_some_and(|value| !value.is_null()))
    })
}

/// Leaves a delivery unsettled on a link that is detached, and looks for it in the server's answer to the next attach.
fn resumes(trial: &mut ServerTrial<'_>) -> Option<()> {
    trial.queued(&["detect"]).ok()?;
    let source =
        Source { expiry_policy: TerminusExpiryPolicy::ConnectionClose, timeout: 60, ..Source::at(trial.node()) };
    let attach = Attach {
        source: Some(Box::new(source)),
        unsettled: Some(Unsettled::new()),
        ..frames::attach_receiver("detect-resume", 0, trial.node())
    };
    let mut consumer = trial.consumer_with(attach.clone()).ok()?;
    let delivered = consumer.take().ok()?;
    let tag: DeliveryTag = delivered.transfer.delivery_tag?;
    consumer.connection.send(0, Detach { closed: false, ..frames::detach(0) });
    consumer.connection.expect_skipping::<Detach>(amqp1_script::Skip::CHATTER).ok()?;
    let again = Attach { unsettled: Some([(tag, Value::Null)].into_iter().collect()), ..attach };
    let session = consumer.session.clone();
    let link = consumer.connection.attached(&session, again).ok()?;
    let is_kept = link.attach.unsettled.as_ref().is_some_and(|unsettled| unsettled.get(&tag).is_some());
    consumer.connection.detached(&link).ok()?;
    trial.emptied().ok()?;
    is_kept.then_some(())
}

fn serves(trial: &mut ServerTrial<'_>, address: &str) -> bool {
    let Ok(mut attached) = trial.attached(frames::attach_sender("detect-node", 0, address)) else { return false };
    attached.link.attach.target.is_some() && attached.connection.credited(&attached.link).is_ok()
}
