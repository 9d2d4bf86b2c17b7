//! The fields of an attach and of its answer (§2.6.3, §2.7.3).

use super::support::{Checked, list, next_event, send};
use crate::{
    case::{Case, Check, Need, Severity},
    either::links::attach::{AttachTrial, Fields, UNREADABLE},
    judge::{Refused, closes_in_peace, should},
    server::{Attached, Begun, ServerTrial, twins},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    SequenceNo, Symbol,
    definitions::{ReceiverSettleMode, SenderSettleMode},
    messaging::{DeliveryState, FilterSet, Source, Target},
    performative::{Attach, Performative},
};
use amqp1_script::{AmqpFrame, Got, Refusal, frames};

/// A case that asks for a source with this change. Passes if the server's source is actual, or it refuses the link.
macro_rules! actual_source {
    ($id:literal, $sends:literal, $wants:literal, $change:expr, $is_actual:expr) => {
        Case {
            id: $id,
            rule: "The answer to an attach shows the terminus as it was made, where that differs from the one asked for \
                   (§2.6.3).",
            sends: $sends,
            wants: $wants,
            twin: Some(&twins::ATTACH_RECEIVER),
            check: Check::Server(|trial| shows_actual_source(trial, $change, $is_actual)),
            ..Case::SERVER
        }
    };
}

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.6.3-1/sender",
        rule: "An attach is answered by one of the same name and the opposite role (§2.6.3).",
        sends: "an attach as sender to the queue",
        wants: "attach of the same name as receiver, credit, and a detach in answer to ours",
        check: Check::Server(answers_sender),
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.3-1/receiver",
        rule: "An attach is answered by one of the same name and the opposite role (§2.6.3).",
        sends: "an attach as receiver from the queue",
        wants: "attach of the same name as sender, and a detach in answer to ours",
        check: Check::Server(answers_receiver),
        ..Case::SERVER
    },
    actual_source!(
        "T-2.6.3-3/filter",
        "an attach as receiver with a filter of a type that does not exist",
        "an attach without that filter, or a refusal",
        unknown_filter,
        |source| source.filter.is_none_or(is_without)
    ),
    actual_source!(
        "T-2.6.3-3/capability",
        "an attach as receiver from a source with a capability that does not exist",
        "an attach without that capability, or a refusal",
        unknown_capability,
        |source| source.capabilities.is_empty()
    ),
    actual_source!(
        "T-2.6.3-3/distribution-mode",
        "an attach as receiver from a source with a distribution mode that does not exist",
        "an attach without that mode, or a refusal",
        unknown_mode,
        |source| source.distribution_mode != Some(unknown())
    ),
    Case {
        id: "T-2.6.3-5/target",
        severity: Severity::Should,
        rule: "An end does not decide for its partner whether a terminus suits it (§2.6.3).",
        sends: "an attach as receiver whose target, which is the tool's, has an address and an unknown capability",
        wants: "attach",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(|trial| should(does_not_judge_our_target(trial))),
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.3-5/filter",
        severity: Severity::Should,
        rule: "An end does not decide for its partner whether a terminus suits it (§2.6.3); that a server refuses a filter \
               that it does not have is a matter of taste.",
        sends: "an attach as receiver with a filter of a type that does not exist",
        wants: "an attach that the tool may accept or not, rather than a refusal",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(does_not_decide_for_us),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.3-4",
        severity: Severity::Should,
        rule: "A sender that answers an attach uses the settle mode that the receiver wants if it supports it, and states \
               the mode that it uses (§2.7.3).",
        sends: "attaches as receiver with snd-settle-mode unsettled, settled and mixed",
        wants: "attaches with the same mode",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(|trial| should(sender_settle_modes(trial))),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.3-5",
        severity: Severity::Should,
        rule: "A receiver that answers an attach uses the settle mode that the sender wants if it supports it, and states \
               the mode that it uses (§2.7.3).",
        sends: "an attach as sender with rcv-settle-mode first, and one with second",
        wants: "attaches that state a mode; first where first is wanted",
        twin: Some(&twins::ATTACH_SENDER),
        check: Check::Server(|trial| should(receiver_settle_modes(trial))),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.3-6/answer",
        rule: "The attach of a sender has an initial-delivery-count (§2.7.3).",
        sends: "an attach as receiver",
        wants: "an attach with initial-delivery-count",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(count_is_there),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.3-6/missing",
        rule: "The attach of a sender has an initial-delivery-count (§2.7.3).",
        sends: "an attach as sender without initial-delivery-count",
        wants: "detach, end or close with an error",
        twin: Some(&twins::ATTACH_SENDER),
        check: Check::Server(|trial| trial.refuses_flawed(|fields| fields.truncate(7))),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.3-7",
        rule: "The initial-delivery-count of a receiver's attach is ignored (§2.7.3).",
        sends: "an attach as receiver with initial-delivery-count 77, and credit counted from the server's own",
        wants: "as many messages as the credit allows",
        needs: &[Need::Queue],
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(count_of_receiver_is_ignored),
        ..Case::SERVER
    },
];

const NULL: &[u8] = b"\x40";

/// The encoded fields of a right attach as sender to this node.
fn fields(node: &str) -> Fields {
    let address = string(node);
    let size = u8::try_from(address.len().saturating_add(1)).unwrap_or(u8::MAX);
    let target = [&b"\0\x53\x29\xc0"[..], &[size, 1], &address].concat();
    let rest = [NULL, NULL, b"\0\x53\x28\x45", &target, NULL, NULL, b"\x43"];
    [&string("flawed")[..], b"\x43", b"\x42"].into_iter().chain(rest).map(<[u8]>::to_vec).collect()
}

fn string(text: &str) -> Vec<u8> {
    [&[0xa1, u8::try_from(text.len()).unwrap_or(u8::MAX)][..], text.as_bytes()].concat()
}

impl AttachTrial for ServerTrial<'_> {
    fn refuses_flawed(&mut self, flaw: fn(&mut Fields)) -> Checked {
        let Begun { mut connection, session, .. } = self.begun()?;
        let mut fields = fields(self.node());
        flaw(&mut fields);
        connection.raw(list(0x12, &fields.iter().map(Vec::as_slice).collect::<Vec<_>>()));
        // A link is refused by an attach without a terminus and a detach.
        let refused = Refused::at_any_scope().with(&UNREADABLE).after(&["attach"]);
        Ok(refused.judge_on(&session, &mut connection, self.is_strict()))
    }
}

fn answers_sender(trial: &mut ServerTrial<'_>) -> Checked {
    let Begun { mut connection, session, .. } = trial.begun()?;
    let link = connection.attached(&session, frames::attach_sender("sender", 0, trial.node()))?;
    connection.credited(&link)?;
    connection.detached(&link)?;
    Ok(closes_in_peace(&mut connection))
}

fn answers_receiver(trial: &mut ServerTrial<'_>) -> Checked {
    let Begun { mut connection, session, .. } = trial.begun()?;
    let link = connection.attached(&session, frames::attach_receiver("receiver", 0, trial.node()))?;
    connection.detached(&link)?;
    Ok(closes_in_peace(&mut connection))
}

fn unknown() -> Symbol {
    Symbol::from_static("amqp-conformance:unknown")
}

fn unknown_filter(source: &mut Source) {
    let mut filter = FilterSet::new();
    filter.insert(unknown(), unknown(), "value");
    source.filter = Some(filter);
}

fn is_without(filter: FilterSet) -> bool {
    filter.get("amqp-conformance:unknown").is_none_or(amqp1_codec::Value::is_null)
}

fn unknown_capability(source: &mut Source) {
    source.capabilities = [unknown()].into_iter().collect();
}

fn unknown_mode(source: &mut Source) {
    source.distribution_mode = Some(unknown());
}

/// The answer to an attach as receiver from a source with this change: the server's source, or its refusal.
fn source_of(
    trial: &mut ServerTrial<'_>,
    change: fn(&mut Source),
) -> Result<Result<Option<Box<Source>>, Refusal>, Stop> {
    let mut source = Source::at(trial.node());
    change(&mut source);
    let Begun { mut connection, session, .. } = trial.begun()?;
    let attach = frames::attach_receiver("altered", 0, trial.node());
    connection.send(session.channel, Attach { source: Some(Box::new(source)), ..attach });
    let got = next_event(&mut connection);
    if let Some(refusal) = Refusal::of(&got) {
        return Ok(Err(refusal));
    }
    let Got::Frame(AmqpFrame { body: Some(Performative::Attach(attach)), .. }) = got else {
        return Err(connection.unexpected("attach", got).into());
    };
    if attach.source.is_none() {
        let got = next_event(&mut connection);
        return Refusal::of(&got).map(Err).ok_or_else(|| connection.unexpected("detach with an error", got).into());
    }
    connection.send(0, frames::close());
    let got = next_event(&mut connection);
    Ok(Refusal::of(&got).map_or(Ok(attach.source), Err))
}

fn shows_actual_source(trial: &mut ServerTrial<'_>, change: fn(&mut Source), is_actual: fn(Source) -> bool) -> Checked {
    Ok(match source_of(trial, change)? {
        Err(refusal) => Outcome::pass_with(format!("refused with {}", refusal.error.condition)),
        Ok(Some(source)) if is_actual(Source::clone(&source)) => Outcome::pass(),
        Ok(_) => Outcome::fail("the attach repeats what does not exist, as if it were in effect"),
    })
}

fn does_not_decide_for_us(trial: &mut ServerTrial<'_>) -> Checked {
    Ok(match source_of(trial, unknown_filter)? {
        Ok(_) => Outcome::pass(),
        Err(refusal) => Outcome::info(format!("refused with {}", refusal.error.condition)),
    })
}

fn does_not_judge_our_target(trial: &mut ServerTrial<'_>) -> Checked {
    let Begun { mut connection, session, .. } = trial.begun()?;
    let target = Target { capabilities: [unknown()].into_iter().collect(), ..Target::at("amqp-conformance/inbox") };
    let attach = Attach { target: Some(target.into()), ..frames::attach_receiver("receiver", 0, trial.node()) };
    let link = connection.attached(&session, attach)?;
    connection.detached(&link)?;
    Ok(closes_in_peace(&mut connection))
}

fn sender_settle_modes(trial: &mut ServerTrial<'_>) -> Checked {
    let mut others = Vec::new();
    for mode in [SenderSettleMode::Unsettled, SenderSettleMode::Settled, SenderSettleMode::Mixed] {
        let attach = Attach { snd_settle_mode: mode, ..frames::attach_receiver("mode", 0, trial.node()) };
        let stated = trial.attached(attach)?.link.attach.snd_settle_mode;
        if stated != mode {
            others.push(format!("{mode:?} was answered by {stated:?}"));
        }
    }
    Ok(if others.is_empty() { Outcome::pass() } else { Outcome::fail(others.join(", ")) })
}

fn receiver_settle_modes(trial: &mut ServerTrial<'_>) -> Checked {
    for mode in [ReceiverSettleMode::First, ReceiverSettleMode::Second] {
        let attach = Attach { rcv_settle_mode: mode, ..frames::attach_sender("mode", 0, trial.node()) };
        let mut attached = trial.sender_with(attach)?;
        let stated = attached.link.attach.rcv_settle_mode;
        send(&mut attached, 0, "message");
        // States that are not terminal, such as received, may come before (§3.4).
        let disposition = loop {
            let disposition = attached.disposition_of(0)?;
            if disposition.settled || !matches!(disposition.state, None | Some(DeliveryState::Received(_))) {
                break disposition;
            }
        };
        // A mode that is stated has to be used: a receiver that settles first does it by itself.
        if (stated == ReceiverSettleMode::First) != disposition.settled {
            let settled = disposition.settled;
            return Ok(Outcome::fail(format!(
                "the attach states {stated:?}, and the disposition has settled={settled}"
            )));
        }
        match (mode, stated) {
            (ReceiverSettleMode::First, ReceiverSettleMode::Second) => {
                return Ok(Outcome::fail("first was answered by second"));
            }
            (ReceiverSettleMode::Second, ReceiverSettleMode::First) => {
                return Ok(Outcome::pass_with("second is not supported"));
            }
            _ => {}
        }
    }
    Ok(Outcome::pass())
}

fn count_is_there(trial: &mut ServerTrial<'_>) -> Checked {
    let Attached { mut connection, link, .. } = trial.receiver()?;
    if link.attach.initial_delivery_count.is_none() {
        return Ok(Outcome::fail("the sender's attach has no initial-delivery-count"));
    }
    Ok(closes_in_peace(&mut connection))
}

fn count_of_receiver_is_ignored(trial: &mut ServerTrial<'_>) -> Checked {
    trial.queued(&["one", "two"])?;
    let attach = frames::attach_receiver("receiver", 0, trial.node());
    let Begun { mut connection, open, session } = trial.begun()?;
    let attach = Attach { initial_delivery_count: Some(SequenceNo(77)), ..attach };
    let link = connection.attached(&session, attach)?;
    let progress = crate::server::Progress::default();
    let mut attached = Attached { connection, open, session, link, credit: 0, progress };
    attached.give_credit(2);
    for _ in 0..2 {
        let delivery = attached.delivery()?;
        attached.settle(&delivery, DeliveryState::Accepted);
    }
    Ok(closes_in_peace(&mut attached.connection))
}
