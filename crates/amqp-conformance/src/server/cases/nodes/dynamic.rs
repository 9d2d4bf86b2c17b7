//! Dynamic nodes (§3.5.3, §3.5.4, §3.5.9).

use super::support::{MALFORMED, attach_refused, frame, from_source, refused, set_up, to_target};
use crate::{
    case::{Case, Check, Need, Severity},
    judge::{should, tolerable},
    server::{ServerTrial, twins},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    messaging::{LifetimePolicy, NodeProperties, Source, Target},
    performative::Attach,
};

const NEEDS: &[Need] = &[Need::DynamicSource];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.5.3-1",
        rule: "An attach that asks for a dynamic source names no address (§3.5.3).",
        sends: "an attach with dynamic and an address",
        wants: "a refusal",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(|trial| {
            let source = Source { dynamic: true, ..Source::at(trial.node()) };
            Ok(tolerable(refused(trial, from_source("dynamic", source))?, trial.is_strict()))
        }),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.3-2",
        rule: "The reply to a dynamic source has the address of a node of its own (§3.5.3).",
        sends: "two attaches with dynamic",
        wants: "two different addresses",
        needs: NEEDS,
        check: Check::Server(|trial| addresses_differ(trial, source)),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.3-2/reply",
        rule: "The reply to a dynamic source says dynamic as well (§3.5.3).",
        sends: "an attach with dynamic",
        wants: "dynamic in the reply",
        needs: NEEDS,
        check: Check::Server(dynamic_is_said),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.3-3",
        severity: Severity::Should,
        rule: "The address of a dynamic node has the link's name and the container-id in it (§3.5.3).",
        sends: "an attach with dynamic",
        wants: "an address in which both stand",
        needs: NEEDS,
        check: Check::Server(|trial| should(names_in_address(trial))),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.3-4",
        rule: "The properties of a dynamic node are sent with dynamic alone (§3.5.3).",
        sends: "an attach with dynamic-node-properties and without dynamic",
        wants: "a refusal",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(|trial| {
            let properties = NodeProperties::default().with_lifetime_policy(LifetimePolicy::DeleteOnClose);
            let source = Source { dynamic_node_properties: Some(properties), ..Source::at(trial.node()) };
            Ok(tolerable(refused(trial, from_source("dynamic", source))?, trial.is_strict()))
        }),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.4-1",
        rule: "An attach that asks for a dynamic target names no address (§3.5.4).",
        sends: "an attach with dynamic and an address",
        wants: "a refusal",
        twin: Some(&twins::ATTACH_SENDER),
        check: Check::Server(|trial| {
            let target = Target { dynamic: true, ..Target::at(trial.node()) };
            Ok(tolerable(refused(trial, to_target("dynamic", target))?, trial.is_strict()))
        }),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.4-1/address",
        rule: "The reply to a dynamic target has the address of a node of its own (§3.5.4).",
        sends: "two attaches with dynamic",
        wants: "two different addresses",
        needs: &[Need::DynamicTarget],
        check: Check::Server(|trial| addresses_differ(trial, target)),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.9-1/policy",
        rule: "A lifetime-policy is one of the described types of policies (§3.5.9).",
        sends: "dynamic-node-properties whose lifetime-policy is a string",
        wants: "a refusal with amqp:decode-error or amqp:invalid-field",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(|trial| malformed(trial, b"\xc1\x23\x02\xa3\x0flifetime-policy\xa1\x0fdelete-on-close")),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.9-1/modes",
        rule: "The supported-dist-modes of a node are symbols (§3.5.9).",
        sends: "dynamic-node-properties whose supported-dist-modes are a string",
        wants: "a refusal with amqp:decode-error or amqp:invalid-field",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(|trial| malformed(trial, b"\xc1\x1d\x02\xa3\x14supported-dist-modes\xa1\x04move")),
        ..Case::SERVER
    },
];

/// An attach for a dynamic source, whose properties are this map, written by hand.
fn malformed(trial: &mut ServerTrial<'_>, properties: &[u8]) -> Result<Outcome, Stop> {
    let length = |octets: usize| u8::try_from(octets).unwrap_or(u8::MAX);
    let fields = [b"\x40\x40\x40\x40\x41", properties].concat();
    let source = [b"\0\x53\x28\xc0", &[length(fields.len().saturating_add(1)), 6][..], &fields].concat();
    let fields = [b"\xa1\x08receiver\x43\x41\x40\x40", &source[..], b"\0\x53\x29\x45"].concat();
    let body = [b"\0\x53\x12\xc0", &[length(fields.len().saturating_add(1)), 7][..], &fields].concat();
    attach_refused(trial, &frame(&body), &MALFORMED)
}

fn source(name: &str) -> Attach {
    from_source(name, Source { dynamic: true, ..Source::default() })
}

fn target(name: &str) -> Attach {
    to_target(name, Target { dynamic: true, ..Target::default() })
}

/// The address in a reply, at the server's end.
pub(super) fn address(reply: &Attach) -> Option<String> {
    let address = match reply.role {
        amqp1_codec::definitions::Role::Sender => reply.source.as_ref()?.address.clone(),
        amqp1_codec::definitions::Role::Receiver => reply.target.as_ref()?.as_target()?.address.clone(),
    };
    address.map(|address| address.to_string())
}

fn addresses_differ(trial: &mut ServerTrial<'_>, attach: fn(&str) -> Attach) -> Result<Outcome, Stop> {
    let begun = trial.begun()?;
    let (mut connection, session) = (begun.connection, begun.session);
    let mut addresses = Vec::new();
    for (name, handle) in [("first", 0), ("second", 1)] {
        let link = connection.attached(&session, Attach { handle, ..attach(name) })?;
        match address(&link.attach) {
            Some(address) if !address.is_empty() => addresses.push(address),
            _ => return Ok(Outcome::fail("the reply has no address")),
        }
    }
    set_up(connection.closed())?;
    if addresses.first() == addresses.get(1) {
        Ok(Outcome::fail(format!("both addresses are {:?}", addresses.first())))
    } else {
        Ok(Outcome::pass_with(addresses.join(" ")))
    }
}

fn dynamic_is_said(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let attached = trial.attached(source("dynamic"))?;
    match &attached.link.attach.source {
        Some(source) if source.dynamic => Ok(Outcome::pass()),
        _ if trial.is_strict() => Ok(Outcome::fail("the source of the reply is not dynamic")),
        _ => Ok(Outcome::pass_with("the source of the reply is not dynamic")),
    }
}

fn names_in_address(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let attached = trial.attached(source("link-of-conformance"))?;
    let address = address(&attached.link.attach).unwrap_or_default();
    // The container-id of the tool's open.
    let missing: Vec<&str> = ["link-of-conformance", trial.target().container_id.as_str()]
        .into_iter()
        .filter(|name| !address.contains(name))
        .collect();
    if missing.is_empty() {
        Ok(Outcome::pass_with(address))
    } else {
        Ok(Outcome::fail(format!("the address {address:?} lacks {}", missing.join(" and "))))
    }
}
