//! Sources and targets that the client asks for or is given (§3.5).

use super::outcomes::{MALFORMED, RECEIVES, SENDS};
use crate::{
    case::{Case, Check},
    client::{Attaching, ClientTrial, Scenario, receives_from_node, sends_to_node},
    judge::nothing_more,
    verdict::{Outcome, Stop, Verdict},
};
use amqp1_codec::{
    Message,
    definitions::Role,
    messaging::Source,
    performative::{Attach, TargetArchetype},
};
use amqp1_script::{Refusal, Scope};

/// A case on the client's own attaches.
const OBSERVED: Case = Case { sends: "the answers of a broker", ..Case::CLIENT };

/// A case that answers with a source of which a field has these octets.
macro_rules! malformed_source {
    ($id:literal, $rule:literal, $sends:literal, $field:ident, $octets:literal) => {
        Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: "a refusal with amqp:decode-error or amqp:invalid-field",
            twin: Some(&RECEIVES),
            check: Check::Client(Scenario::Receive, |trial| malformed(trial, $field, $octets)),
            ..Case::CLIENT
        }
    };
}

/// The numbers of fields of a source, from 0 (§3.5.3).
const DYNAMIC_NODE_PROPERTIES: usize = 5;
const FILTER: usize = 7;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.5.3-1",
        rule: "An attach that asks for a dynamic source names no address (§3.5.3).",
        wants: "attaches in which a dynamic source or target has no address",
        check: Check::Client(Scenario::Request, |trial| attaches(trial, dynamic_with_address)),
        ..OBSERVED
    },
    Case {
        id: "M-3.5.3-2",
        rule: "The address of a dynamic source is what the reply says (§3.5.3).",
        sends: "an attach with the address of a dynamic node",
        wants: "a request whose reply-to is that address",
        check: Check::Client(Scenario::Request, reply_to),
        ..Case::CLIENT
    },
    Case {
        id: "M-3.5.3-4",
        rule: "The properties of a dynamic node are sent with dynamic alone (§3.5.3).",
        wants: "attaches in which dynamic-node-properties come with dynamic",
        check: Check::Client(Scenario::Request, |trial| attaches(trial, properties_without_dynamic)),
        ..OBSERVED
    },
    Case {
        id: "M-3.5.4-1",
        rule: "An attach that asks for a dynamic target names no address (§3.5.4).",
        wants: "an attach of a sender whose target is not dynamic, or has no address",
        check: Check::Client(Scenario::Send, |trial| attaches(trial, dynamic_with_address)),
        ..OBSERVED
    },
    Case {
        id: "M-3.5.1-2",
        rule: "The receiver compares the filter in force with the one that it has asked for (§3.5.1).",
        sends: "an attach whose source has a selector that was not asked for",
        wants: "a detach, or credit: a client that asked for no filter may take what it gets; then no error",
        check: Check::Client(Scenario::Receive, filter_in_force),
        ..Case::CLIENT
    },
    malformed_source!(
        "M-3.5.8-1/undescribed",
        "The value of a filter is described, or null (§3.5.8).",
        "an attach whose source has a filter with the value \"a=1\"",
        FILTER,
        b"\xc1\x09\x02\xa3\x01f\xa1\x03a=1"
    ),
    malformed_source!(
        "M-3.5.8-1/string-key",
        "The name of a filter is a symbol (§3.5.8).",
        "an attach whose source has a filter with a string as its name",
        FILTER,
        b"\xc1\x0d\x02\xa1\x01f\0\xa3\x03x:y\xa1\x011"
    ),
    malformed_source!(
        "M-3.5.8-1/list",
        "A filter-set is a map (§3.5.8).",
        "an attach whose source has a list as its filter",
        FILTER,
        b"\x45"
    ),
    malformed_source!(
        "M-3.5.9-1/policy",
        "A lifetime-policy is one of the described types of policies (§3.5.9).",
        "an attach whose dynamic source has a string as its lifetime-policy",
        DYNAMIC_NODE_PROPERTIES,
        b"\xc1\x23\x02\xa3\x0flifetime-policy\xa1\x0fdelete-on-close"
    ),
    malformed_source!(
        "M-3.5.9-1/list",
        "The properties of a node are a map (§3.5.9).",
        "an attach whose source has a list as its dynamic-node-properties",
        DYNAMIC_NODE_PROPERTIES,
        b"\x45"
    ),
    Case {
        id: "M-3.5.3-5",
        rule: "A source whose outcomes are not said has accepted among them (§3.5.3).",
        sends: "an attach whose source has neither outcomes nor a default-outcome, and a message",
        wants: "accepted, and a close without an error",
        twin: Some(&RECEIVES),
        check: Check::Client(Scenario::Receive, no_outcomes),
        ..Case::CLIENT
    },
    Case {
        id: "M-3.5.3-6",
        rule: "A delivery that is settled without an outcome has the default outcome (§3.5.3).",
        sends: "a settled disposition without a state for the client's message, whose source has no default-outcome",
        wants: "no second copy of the message",
        twin: Some(&SENDS),
        check: Check::Client(Scenario::Send, settled_without_outcome),
        ..Case::CLIENT
    },
];

/// Each attach of the client's, until it closes, must stand the check.
fn attaches(trial: &mut ClientTrial<'_>, wrong: fn(&Attach) -> Option<&'static str>) -> Result<Outcome, Stop> {
    let mut client = trial.sender()?;
    client.give_credit(10);
    let outcome = client.finishes();
    let attaches: Vec<&Attach> = client.progress.links().map(|link| &link.attach).collect();
    if let Some(reason) = attaches.iter().find_map(|attach| wrong(attach)) {
        return Ok(Outcome::fail(reason));
    }
    let dynamic = attaches.iter().filter(|attach| is_dynamic(attach)).count();
    Ok(if outcome.verdict == Verdict::Pass {
        Outcome::pass_with(format!("{} attaches, {dynamic} with a dynamic node", attaches.len()))
    } else {
        outcome
    })
}

fn is_dynamic(attach: &Attach) -> bool {
    let target = attach.target.as_ref().and_then(TargetArchetype::as_target);
    attach.source.as_ref().is_some_and(|source| source.dynamic) || target.is_some_and(|target| target.dynamic)
}

fn dynamic_with_address(attach: &Attach) -> Option<&'static str> {
    let source = attach.source.as_ref().is_some_and(|source| source.dynamic && source.address.is_some());
    let target = attach.target.as_ref().and_then(TargetArchetype::as_target);
    let target = target.is_some_and(|target| target.dynamic && target.address.is_some());
    (source || target).then_some("a dynamic source or target has an address")
}

fn properties_without_dynamic(attach: &Attach) -> Option<&'static str> {
    let is_wrong = |dynamic: bool, is_set: bool| is_set && !dynamic;
    let source =
        attach.source.as_ref().is_some_and(|source| is_wrong(source.dynamic, source.dynamic_node_properties.is_some()));
    let target = attach.target.as_ref().and_then(TargetArchetype::as_target);
    let target = target.is_some_and(|target| is_wrong(target.dynamic, target.dynamic_node_properties.is_some()));
    (source || target).then_some("dynamic-node-properties without dynamic")
}

fn reply_to(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let is_dynamic_source =
        |attach: &Attach| attach.role == Role::Receiver && attach.source.as_ref().is_some_and(|source| source.dynamic);
    let mut client = trial.sender()?;
    client.give_credit(10);
    let request = client.delivery().map_err(|unexpected| Stop::set_up(&unexpected))?;
    let position = client.progress.links().position(|link| is_dynamic_source(&link.attach));
    let Some(position) = position else {
        return Err(Stop::SetUp(String::from("the client asks for no dynamic source")));
    };
    let address = format!("dynamic-{position}");
    let properties = Message::from_bytes(request.message.clone()).ok().and_then(|message| message.properties().ok());
    let reply_to = properties.flatten().and_then(|properties| properties.reply_to);
    client.accept(&request);
    match reply_to {
        Some(reply_to) if *reply_to == *address => Ok(client.finishes()),
        Some(reply_to) => Ok(Outcome::fail(format!("the reply-to is {reply_to:?}, where the reply says {address:?}"))),
        None => Ok(Outcome::fail("the request has no reply-to")),
    }
}

fn filter_in_force(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut attaching = trial.link_where(receives_from_node)?;
    let mut filter = amqp1_codec::messaging::FilterSet::new();
    filter.insert(amqp1_codec::Symbol::from_static("selector"), 0x0000_468c_0000_0004_u64, "colour = 'green'");
    let source = attaching.answer.source.as_deref().cloned().unwrap_or_default();
    attaching.answer.source = Some(Box::new(Source { filter: Some(filter), ..source }));
    let mut client = attaching.answered();
    let found = client.until("a detach or credit", |progress, got| match got.name() {
        "flow" => progress.note(got).is_none().then_some(false),
        "detach" => Some(true),
        _ => None,
    });
    match found {
        Ok(true) => Ok(Outcome::pass_with("the client detaches")),
        Ok(false) => {
            let id = client.deliver(amqp1_script::frames::message("green"));
            client.disposition_of(id)?;
            let outcome = client.finishes();
            let is_passed = outcome.verdict == Verdict::Pass;
            Ok(if is_passed { Outcome::pass_with("the client takes the link as it is") } else { outcome })
        }
        Err(unexpected) => match Refusal::of(&unexpected.got) {
            Some(refusal) => {
                Ok(Outcome::pass_with(format!("{:?} ended with {}", refusal.scope, refusal.error.condition)))
            }
            None => Err(unexpected.into()),
        },
    }
}

/// Answers the client's attach with a source of which the field with this number has these octets.
fn malformed(trial: &mut ClientTrial<'_>, field: usize, octets: &[u8]) -> Result<Outcome, Stop> {
    let Attaching { mut connection, session, attach, answer, .. } = trial.link_where(receives_from_node)?;
    let length = |octets: usize| u8::try_from(octets).unwrap_or(u8::MAX);
    let address = attach.source.as_ref().and_then(|source| source.address.clone()).unwrap_or_default();
    let text = |text: &str| [&[0xa1, length(text.len())][..], text.as_bytes()].concat();
    let null = b"\x40".to_vec();
    let dynamic = if field == DYNAMIC_NODE_PROPERTIES { b"\x41".to_vec() } else { null.clone() };
    let mut fields =
        vec![text(&address), null.clone(), null.clone(), null.clone(), dynamic, null.clone(), null.clone()];
    fields.truncate(field);
    fields.push(octets.to_vec());
    let count = length(fields.len());
    let fields = fields.concat();
    let source = [&b"\0\x53\x28\xc0"[..], &[length(fields.len().saturating_add(1)), count], &fields].concat();
    // name, handle, role sender, both settle modes null, source, target(), null, null, initial-delivery-count 0.
    let handle = [0x52, length(usize::try_from(answer.handle).unwrap_or_default())];
    let fields = [&text(&attach.name)[..], &handle, b"\x42\x40\x40", &source, b"\0\x53\x29\x45\x40\x40\x43"].concat();
    let size = u32::try_from(fields.len().saturating_add(4)).unwrap_or(u32::MAX).to_be_bytes();
    let body = [&b"\0\x53\x12\xd0"[..], &size, &[0, 0, 0, 10], &fields].concat();
    let size = u32::try_from(body.len().saturating_add(8)).unwrap_or(u32::MAX).to_be_bytes();
    let [high, low] = session.channel.to_be_bytes();
    connection.raw([&size[..], &[2, 0, high, low], &body].concat());
    // Credit shows that the client has taken the attach.
    let got = connection.next();
    if got.name() == "flow" {
        return Ok(Outcome::fail("the client uses the link"));
    }
    let Some(refusal) = Refusal::of(&got) else {
        return Ok(if got.is_end() {
            Outcome::new(Verdict::PassWider, "the connection was dropped without close")
        } else if matches!(got.name(), "detach" | "end" | "close") && !trial.is_strict() {
            Outcome::new(Verdict::PassWider, format!("{} without an error", got.name()))
        } else {
            Outcome::fail(format!("expected a refusal of the attach, got {got}"))
        });
    };
    let remark = format!("{:?} ended with {}", refusal.scope, refusal.error.condition);
    Ok(match (MALFORMED.contains(&refusal.error.condition), refusal.scope) {
        (false, _) if trial.is_strict() => Outcome::fail(remark),
        (_, Scope::Link) => Outcome::pass_with(remark),
        _ => Outcome::new(Verdict::PassWider, remark),
    })
}

fn no_outcomes(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut attaching = trial.link_where(receives_from_node)?;
    let address = attaching.attach.source.as_ref().and_then(|source| source.address.clone());
    attaching.answer.source = Some(Box::new(Source { address, ..Source::default() }));
    let mut client = attaching.answered();
    client.credited().map_err(|unexpected| Stop::set_up(&unexpected))?;
    let id = client.deliver(amqp1_script::frames::message("message"));
    let disposition = client.disposition_of(id)?;
    match &disposition.state {
        Some(amqp1_codec::messaging::DeliveryState::Accepted) | None => Ok(client.finishes()),
        Some(_) => Ok(Outcome::fail("the client's outcome is not accepted")),
    }
}

fn settled_without_outcome(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let (mut client, delivery) = trial.receiving_from_client(10)?;
    debug_assert!(sends_to_node(&client.link.attach), "the set-up takes such a link");
    client.settle(&delivery, None);
    let again = client.until("the end of the connection", |_, got| match got.name() {
        "transfer" => Some(true),
        "close" => Some(false),
        _ if got.is_end() => Some(false),
        _ => None,
    });
    match again {
        Ok(true) => Ok(Outcome::fail("the message is sent again")),
        Ok(false) => Ok(Outcome::pass()),
        Err(unexpected) => nothing_more(unexpected),
    }
}
