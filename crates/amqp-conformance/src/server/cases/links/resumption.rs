//! Links and deliveries that are resumed (§2.6.3, §2.6.13, §2.7.3, §2.7.5).

use super::support::{Checked, large, left, set_up, text, transfers};
use crate::{
    case::{Case, Check, Need, Severity},
    judge::closes_in_peace,
    server::{Attached, Opened, Progress, ServerTrial},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    DeliveryTag, Value,
    messaging::{DeliveryState, Source, TerminusExpiryPolicy},
    performative::{Attach, Begin, Detach, Flow, Open, Transfer, Unsettled},
};
use amqp1_script::{Session, Skip, frames};

pub(super) const RESUME: Case = Case { needs: &[Need::Queue, Need::Resume], ..Case::SERVER };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.6.3-6",
        rule: "An end that has a terminus with state gives its unsettled map in the attach (§2.6.3).",
        sends: "a detach of a link with an unsettled delivery, and an attach of the same name that resumes it",
        wants: "an attach whose unsettled map has the delivery-tag",
        check: Check::Server(map_is_given),
        ..RESUME
    },
    Case {
        id: "T-2.6.13-1",
        rule: "A delivery that is unsettled at the sender alone is sent again, as a new one or resumed, or is dropped \
               (§2.6.13).",
        sends: "an attach that resumes a link with an unsettled delivery, with an empty unsettled map",
        wants: "an attach with the delivery-tag, and the message as a new delivery, as a resumed one, or for another receiver",
        check: Check::Server(forgotten_by_receiver),
        ..RESUME
    },
    Case {
        id: "T-2.6.13-2",
        rule: "A delivery that is unsettled at the receiver alone is ignored by the sender (§2.6.13).",
        sends: "an attach of a new link whose unsettled map has a delivery-tag, and credit, where the queue has a message",
        wants: "the message alone",
        check: Check::Server(known_to_receiver_alone),
        needs: &[Need::Queue],
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.13-3",
        rule: "A delivery that is unsettled at both ends is resumed by the sender (§2.6.13).",
        sends: "an attach that resumes a link, whose unsettled map has the delivery-tag without a state",
        wants: "a transfer with resume=true, the same delivery-tag and the message",
        check: Check::Server(resumes_what_both_have),
        ..RESUME
    },
    Case {
        id: "T-2.6.13-5",
        severity: Severity::May,
        rule: "What the receiver has of a delivery need not be sent again (§2.6.13).",
        sends: "an attach whose unsettled map has the state received at section 0, offset 3, for the delivery",
        wants: "a resumed delivery, with the whole message or with the rest of it",
        check: Check::Server(resumes_in_part),
        ..RESUME
    },
    Case {
        id: "T-2.7.3-11",
        rule: "An attach that resumes a link has an unsettled map, which may be empty (§2.7.3).",
        sends: "an attach that resumes a link on which nothing is unsettled",
        wants: "an attach with an unsettled map",
        check: Check::Server(map_is_there),
        ..RESUME
    },
    Case {
        id: "T-2.7.3-12",
        rule: "The states of a delivery at both ends are compared, to settle what is in doubt (§2.7.3).",
        sends: "an attach that resumes a link, whose unsettled map has the state accepted for the delivery",
        wants: "the delivery settled: the message is not given again",
        check: Check::Server(accepted_while_away),
        ..RESUME
    },
    Case {
        id: "T-2.7.5-16",
        rule: "A delivery of several transfers is resumed by resume=true on the first of them (§2.7.5).",
        sends: "an open with max-frame-size 512, and an attach that resumes a link with an unsettled message of 5000 octets",
        wants: "a resumed delivery of several transfers, the first with resume=true",
        check: Check::Server(resumes_in_parts),
        ..RESUME
    },
];

/// A source that is kept until the connection is closed, and for a minute after.
fn kept(node: &str) -> Source {
    Source { expiry_policy: TerminusExpiryPolicy::ConnectionClose, timeout: 60, ..Source::at(node) }
}

pub(super) fn attach(node: &str, unsettled: Option<Unsettled>) -> Attach {
    Attach { source: Some(Box::new(kept(node))), unsettled, ..frames::attach_receiver("resumed", 0, node) }
}

/// A link on which this many deliveries are unsettled and that is detached, and their tags.
pub(super) struct Suspended {
    pub(super) attached: Attached,
    pub(super) tags: Vec<DeliveryTag>,
}

pub(super) fn suspended(attached: Attached, count: usize) -> Result<Suspended, Stop> {
    let mut attached = attached;
    attached.give_credit(u32::try_from(count).unwrap_or(u32::MAX));
    let mut tags = Vec::new();
    for _ in 0..count {
        tags.extend(attached.delivery().map_err(set_up)?.first().and_then(|transfer| transfer.delivery_tag));
    }
    let channel = attached.session.channel;
    attached.connection.send(channel, Detach { closed: false, ..frames::detach(0) });
    let detach = attached.connection.expect_skipping::<Detach>(Skip::CHATTER).map_err(set_up)?;
    if detach.closed {
        return Err(Outcome::skip("the server closes a link that is detached").into());
    }
    Ok(Suspended { attached, tags })
}

/// The same, on a connection of its own.
pub(super) fn suspended_with(
    trial: &mut ServerTrial<'_>,
    texts: &[&'static str],
    count: usize,
) -> Result<Suspended, Stop> {
    trial.queued(texts)?;
    let attached = trial.attached(attach(trial.node(), Some(Unsettled::new())))?;
    suspended(attached, count)
}

impl Suspended {
    /// Attaches the link again with this map.
    pub(super) fn resume(self, node: &str, unsettled: Unsettled, is_incomplete: bool) -> Result<Attached, Stop> {
        let Self { attached: Attached { mut connection, open, session, progress, .. }, .. } = self;
        let attach = Attach { incomplete_unsettled: is_incomplete, ..attach(node, Some(unsettled)) };
        let link = connection.attached(&session, attach)?;
        Ok(Attached { connection, open, session, link, credit: 0, progress: Progress::after(progress.transfers) })
    }

    pub(super) fn map(&self, state: &Value) -> Unsettled {
        self.tags.iter().map(|tag| (*tag, state.clone())).collect()
    }
}

/// A link that is resumed with its deliveries in both maps.
fn resumed(
    trial: &mut ServerTrial<'_>,
    texts: &[&'static str],
    count: usize,
) -> Result<(Attached, Vec<DeliveryTag>), Stop> {
    let suspended = suspended_with(trial, texts, count)?;
    let (map, tags) = (suspended.map(&Value::Null), suspended.tags.clone());
    let attached = suspended.resume(trial.node(), map, false)?;
    let unsettled = attached.link.attach.unsettled.clone().unwrap_or_default();
    match tags.iter().all(|tag| unsettled.get(tag).is_some()) {
        true => Ok((attached, tags)),
        false => Err(Outcome::fail("the server's unsettled map lacks a delivery").into()),
    }
}

/// Closes the link, so that nothing is kept for it, and the connection.
pub(super) fn over(mut attached: Attached) -> Checked {
    let link = attached.link.clone();
    attached.connection.detached(&link)?;
    Ok(closes_in_peace(&mut attached.connection))
}

pub(super) fn is_resumed(delivery: &crate::Delivery) -> bool {
    delivery.first().is_some_and(|transfer| transfer.resume)
}

/// The delivery is settled and the link closed, or the server would keep both for other cases to find.
fn map_is_given(trial: &mut ServerTrial<'_>) -> Checked {
    let (mut attached, _) = resumed(trial, &["1"], 1)?;
    attached.give_credit(1);
    if let Ok(delivery) = attached.delivery() {
        attached.settle(&delivery, DeliveryState::Accepted);
    }
    over(attached)
}

fn forgotten_by_receiver(trial: &mut ServerTrial<'_>) -> Checked {
    let suspended = suspended_with(trial, &["1"], 1)?;
    let tag = suspended.tags.first().copied().unwrap_or_default();
    let mut attached = suspended.resume(trial.node(), Unsettled::new(), false)?;
    if attached.link.attach.unsettled.as_ref().and_then(|unsettled| unsettled.get(&tag)).is_none() {
        return Ok(Outcome::fail("the server's unsettled map lacks the delivery"));
    }
    attached.give_credit(1);
    let remark = match attached.delivery() {
        Ok(delivery) => {
            attached.settle(&delivery, DeliveryState::Accepted);
            if is_resumed(&delivery) { "the delivery was resumed" } else { "the message came as a new delivery" }
        }
        Err(_) => "the message did not come on the link",
    };
    let outcome = over(attached)?;
    Ok(if outcome == Outcome::pass() { Outcome::pass_with(remark) } else { outcome })
}

fn known_to_receiver_alone(trial: &mut ServerTrial<'_>) -> Checked {
    trial.queued(&["1"])?;
    let ghost = DeliveryTag::new(b"ghost").unwrap_or_default();
    let map: Unsettled = [(ghost, Value::Null)].into_iter().collect();
    let mut attached = trial.attached(attach(trial.node(), Some(map)))?;
    attached.give_credit(3);
    let delivery = attached.delivery()?;
    if delivery.tag() == b"ghost" || text(&delivery) != "1" {
        return Ok(Outcome::fail("a delivery came that the server cannot have had unsettled"));
    }
    attached.settle(&delivery, DeliveryState::Accepted);
    over(attached)
}

fn resumes_what_both_have(trial: &mut ServerTrial<'_>) -> Checked {
    let (mut attached, tags) = resumed(trial, &["1"], 1)?;
    attached.give_credit(1);
    let delivery = attached.delivery()?;
    if !is_resumed(&delivery) || Some(delivery.tag()) != tags.first().map(DeliveryTag::as_slice) {
        return Ok(Outcome::fail("the delivery lacks resume=true and the same delivery-tag"));
    }
    if text(&delivery) != "1" {
        return Ok(Outcome::fail("the resumed delivery lacks the message"));
    }
    attached.settle(&delivery, DeliveryState::Accepted);
    let outcome = over(attached)?;
    Ok(if left(trial)?.is_empty() { outcome } else { Outcome::fail("the message is in the queue again") })
}

fn resumes_in_part(trial: &mut ServerTrial<'_>) -> Checked {
    let suspended = suspended_with(trial, &["message"], 1)?;
    // received (§3.4.1): section-number 0, section-offset 3.
    let received = Value::described(0x23u64, Value::List(vec![Value::Uint(0), Value::Ulong(3)]));
    let map = suspended.map(&received);
    let mut attached = suspended.resume(trial.node(), map, false)?;
    attached.give_credit(1);
    let delivery = attached.delivery()?;
    if !is_resumed(&delivery) {
        return Ok(Outcome::fail("the delivery lacks resume=true"));
    }
    let remark = format!("{} octets of {} came", delivery.message.len(), frames::message("message").len());
    attached.settle(&delivery, DeliveryState::Accepted);
    let outcome = over(attached)?;
    Ok(if outcome == Outcome::pass() { Outcome::pass_with(remark) } else { outcome })
}

fn map_is_there(trial: &mut ServerTrial<'_>) -> Checked {
    let suspended = suspended_with(trial, &[], 0)?;
    let attached = suspended.resume(trial.node(), Unsettled::new(), false)?;
    if attached.link.attach.unsettled.is_none() {
        return Ok(Outcome::fail("the attach that resumes a link has no unsettled map"));
    }
    over(attached)
}

fn accepted_while_away(trial: &mut ServerTrial<'_>) -> Checked {
    let suspended = suspended_with(trial, &["1"], 1)?;
    // accepted (§3.4.2).
    let map = suspended.map(&Value::described(0x24u64, Value::List(vec![])));
    let mut attached = suspended.resume(trial.node(), map, false)?;
    let flow = Flow { echo: true, ..attached.flow(1) };
    attached.connection.send(attached.session.channel, flow);
    // The server settles by a transfer that resumes the delivery, or by itself; either may take it a moment.
    let patience = attached.connection.patience();
    attached.connection.set_patience(patience / 5);
    let first = attached.connection.expect_skipping::<Transfer>(Skip::CHATTER).map(|transfer| transfer.body);
    attached.connection.set_patience(patience);
    let rest = attached.ends()?;
    if first.into_iter().chain(transfers(&rest).into_iter().cloned()).any(|transfer| !transfer.resume) {
        return Ok(Outcome::fail("the message came again as a new delivery"));
    }
    let outcome = closes_in_peace(&mut attached.connection);
    drop(attached);
    // The terminus of the link is kept: it is attached and closed.
    let attached = trial.attached(attach(trial.node(), None))?;
    over(attached)?;
    Ok(if left(trial)?.is_empty() { outcome } else { Outcome::fail("the message is in the queue again") })
}

/// A link in frames of at most 512 octets.
pub(super) fn small_frames(trial: &mut ServerTrial<'_>, attach: Attach) -> Result<Attached, Stop> {
    let Opened { mut connection, open } = trial.opened_with(Open { max_frame_size: 512, ..trial.open() })?;
    connection.set_max_frame_size(512);
    connection.send(0, frames::begin());
    let begin = connection.expect::<Begin>().map_err(set_up)?;
    let session = Session { channel: 0, remote_channel: begin.channel, begin: begin.body };
    let link = connection.attached(&session, attach).map_err(set_up)?;
    Ok(Attached { connection, open, session, link, credit: 0, progress: Progress::default() })
}

fn resumes_in_parts(trial: &mut ServerTrial<'_>) -> Checked {
    trial.purge()?;
    trial.fill(&[large(5000)])?;
    let attached = small_frames(trial, attach(trial.node(), Some(Unsettled::new())))?;
    let suspended = suspended(attached, 1)?;
    let map = suspended.map(&Value::Null);
    let mut attached = suspended.resume(trial.node(), map, false)?;
    attached.give_credit(1);
    let delivery = attached.delivery()?;
    if !is_resumed(&delivery) {
        return Ok(Outcome::fail("the first transfer of the resumed delivery lacks resume=true"));
    }
    if delivery.transfers.len() < 2 || text(&delivery).len() != 5000 {
        return Ok(Outcome::fail("the resumed delivery is not the whole message in several transfers"));
    }
    attached.settle(&delivery, DeliveryState::Accepted);
    over(attached)
}
