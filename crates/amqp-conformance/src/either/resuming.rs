//! Deliveries that the peer resumes as their sender (§3.4.6).

use super::links::Checked;
use crate::{case::Need, verdict::Outcome};
use amqp1_codec::{
    DeliveryTag, Value,
    messaging::{DeliveryState, Received},
    performative::Transfer,
};

/// A trial of a server or of a client that resumes a delivery on a link that is detached and attached again.
pub(crate) trait ResumeTrial {
    /// Gives the peer's delivery this state, attaches the link again with `held` in the tool's unsettled map, and judges
    /// the transfer that must follow.
    fn expects(&mut self, said: Said, held: Option<Value>) -> Checked;

    /// The same after the tool has accepted the delivery, unsettled. The peer may have settled and forgotten it.
    fn finished(&mut self, held: Option<Value>) -> Checked;
}

const NEEDS: &[Need] = &[Need::Queue, Need::Resume];

/// Declares `SERVER` and `CLIENT`, tables of the same cases for both roles. An entry is
/// `id => method(arguments): rule, sends, wants`, with a method of [`ResumeTrial`].
macro_rules! resumed {
    ($($id:literal => $method:ident($($argument:expr),+): $rule:literal, $sends:literal, $wants:literal;)+) => {
        pub(crate) const SERVER: &[crate::Case] = &[$(crate::Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: $wants,
            needs: NEEDS,
            twin: Some(&crate::server::twins::RESUME),
            check: crate::Check::Server(|trial| trial.$method($($argument),+)),
            ..crate::Case::SERVER
        }),+];
        pub(crate) const CLIENT: &[crate::Case] = &[$(crate::Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: $wants,
            twin: Some(&crate::client::twins::RESUME),
            check: crate::Check::Client(crate::client::Scenario::Send, |trial| trial.$method($($argument),+)),
            ..crate::Case::CLIENT
        }),+];
    };
}

resumed! {
    "M-3.4.6-1" => expects(Said::Nothing, None):
        "A delivery that the receiver does not know is sent as a new one (§3.4.6).",
        "a detach with closed=false; an attach whose unsettled map lacks the delivery",
        "a transfer without resume";
    "M-3.4.6-2" => expects(Said::Nothing, Some(received(4))):
        "A delivery of which the receiver holds a part is resumed no later than at its end (§3.4.6).",
        "an attach whose unsettled map says received(0, 4)",
        "a transfer with resume, the same tag, and a state up to received(0, 4)";
    "M-3.4.6-3" => expects(Said::Nothing, Some(accepted())):
        "A delivery that has a terminal state at the receiver is resumed so that it can be settled (§3.4.6).",
        "an attach whose unsettled map says accepted",
        "a transfer with resume and the same tag; once it is settled, the message does not come again";
    "M-3.4.6-4" => expects(Said::Nothing, Some(Value::Null)):
        "A delivery that the receiver holds without a state is resumed from its start (§3.4.6).",
        "an attach whose unsettled map says null",
        "a transfer with resume, the same tag, and the whole message";
    "M-3.4.6-5" => expects(Said::Received(4), None):
        "A delivery whose state was received, and that the receiver does not know, is sent as a new one (§3.4.6).",
        "received(0, 4); an attach whose unsettled map lacks the delivery",
        "a transfer without resume";
    "M-3.4.6-6" => expects(Said::Received(4), Some(received(6))):
        "A delivery is resumed between what the sender knows to be received and what the receiver says (§3.4.6).",
        "received(0, 4); an attach whose unsettled map says received(0, 6)",
        "a transfer with resume, from received(0, 4) to (0, 6); from the start if the peer's map has no state";
    "M-3.4.6-7" => expects(Said::Received(6), Some(received(4))):
        "A delivery of which the receiver holds less than the sender has kept is aborted (§3.4.6).",
        "received(0, 6); an attach whose unsettled map says received(0, 4)",
        "a transfer with resume and aborted if the peer's map has a later state; else one up to (0, 4)";
    "M-3.4.6-8" => expects(Said::Received(4), Some(accepted())):
        "A delivery whose state was received, and is terminal at the receiver, is resumed to be settled (§3.4.6).",
        "received(0, 4); an attach whose unsettled map says accepted",
        "a transfer with resume and the same tag";
    "M-3.4.6-9" => expects(Said::Received(4), Some(Value::Null)):
        "A delivery whose start the sender has not kept, and that the receiver holds nothing of, is aborted (§3.4.6).",
        "received(0, 4); an attach whose unsettled map says null",
        "a transfer with resume, aborted if the peer's map has a state; else the whole message";
    "M-3.4.6-10" => finished(None):
        "Of a delivery that is terminal at the sender, and that the receiver does not know, nothing is sent (§3.4.6).",
        "accepted, unsettled; an attach whose unsettled map lacks the delivery",
        "no transfer, and the message does not come again";
    "M-3.4.6-11" => finished(Some(received(4))):
        "A delivery that is terminal at the sender is aborted if the receiver holds a part of it (§3.4.6).",
        "accepted, unsettled; an attach whose unsettled map says received(0, 4)",
        "a transfer with resume and aborted if the peer's map has the delivery, else none";
    "M-3.4.6-12" => finished(Some(accepted())):
        "A delivery that has the same terminal state at both ends is settled by its resumption (§3.4.6).",
        "accepted, unsettled; an attach whose unsettled map says accepted",
        "a transfer with resume and settled if the peer's map has the delivery, else none";
    "M-3.4.6-13" => finished(Some(state(0x26))):
        "Of a delivery with different terminal states the sender's state counts (§3.4.6).",
        "accepted, unsettled; an attach whose unsettled map says released",
        "a transfer with resume and accepted if the peer's map has the delivery, else none; the message does not come again";
    "M-3.4.6-14" => finished(Some(Value::Null)):
        "A delivery that is terminal at the sender is aborted if the receiver holds it without a state (§3.4.6).",
        "accepted, unsettled; an attach whose unsettled map says null",
        "a transfer with resume and aborted if the peer's map has the delivery, else none";
}

/// A described list without fields, of this code: an outcome.
fn state(code: u64) -> Value {
    Value::described(code, Vec::<Value>::new())
}

/// `accepted`, in an unsettled map.
pub(crate) fn accepted() -> Value {
    state(0x24)
}

/// `received(0, offset)`, in an unsettled map.
pub(crate) fn received(offset: u64) -> Value {
    Value::described(0x23_u64, vec![Value::Uint(0), Value::Ulong(offset)])
}

/// The state that the tool gives the delivery before the link is detached.
#[derive(Clone, Copy)]
pub(crate) enum Said {
    Nothing,
    Received(u64),
    Accepted,
}

impl Said {
    /// The state of a disposition that says this.
    pub(crate) fn state(self) -> Option<DeliveryState> {
        match self {
            Self::Nothing => None,
            Self::Received(offset) => {
                Some(DeliveryState::Received(Received { section_number: 0, section_offset: offset }))
            }
            Self::Accepted => Some(DeliveryState::Accepted),
        }
    }
}

/// The state of a delivery in an unsettled map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Entry {
    Absent,
    Null,
    Received(u64),
    Terminal,
}

impl From<Option<&Value>> for Entry {
    fn from(value: Option<&Value>) -> Self {
        match value {
            None => Self::Absent,
            Some(Value::Described(described)) if described.descriptor.as_integer() == Some(0x23) => {
                match &described.value {
                    Value::List(fields) => {
                        let offset =
                            fields.get(1).and_then(Value::as_integer).and_then(|offset| u64::try_from(offset).ok());
                        Self::Received(offset.unwrap_or_default())
                    }
                    _ => Self::Received(0),
                }
            }
            Some(Value::Null) => Self::Null,
            Some(_) => Self::Terminal,
        }
    }
}

/// The unsettled maps of both ends for a delivery, after the link was attached again.
#[derive(Clone, Copy)]
pub(crate) struct Maps {
    pub(crate) tag: DeliveryTag,
    /// The peer's entry.
    pub(crate) theirs: Entry,
    /// The tool's.
    pub(crate) own: Entry,
}

impl Maps {
    /// Whether the peer may not use the delivery as one that the tool holds.
    fn resumes_another(&self, transfer: &Transfer) -> Option<&'static str> {
        if self.own == Entry::Absent {
            return transfer.resume.then_some("the transfer resumes a delivery that the receiver does not know");
        }
        if !transfer.resume {
            return Some("the transfer does not resume the delivery");
        }
        (transfer.delivery_tag != Some(self.tag)).then_some("the transfer resumes another delivery")
    }

    /// The fault of a delivery that must follow, by the table of §3.4.6. `is_rest` tells whether its payload is the
    /// message from this offset on.
    pub(crate) fn fault(
        &self,
        transfer: &Transfer,
        is_aborted: bool,
        is_rest: impl FnOnce(u64) -> bool,
    ) -> Option<String> {
        if let Some(reason) = self.resumes_another(transfer) {
            return Some(String::from(reason));
        }
        let (least, most) = match (self.theirs, self.own) {
            (_, Entry::Absent | Entry::Terminal) => return None,
            (Entry::Received(a), Entry::Received(b)) if b >= a => (a, b),
            (Entry::Received(_), _) => return (!is_aborted).then(|| String::from("the transfer is not aborted")),
            (_, Entry::Received(b)) => (0, b),
            (..) => (0, 0),
        };
        if is_aborted {
            return Some(String::from("the transfer is aborted"));
        }
        let from = start(transfer);
        if from < least || from > most {
            return Some(format!("the transfer begins at {from}, expected {least} to {most}"));
        }
        (!is_rest(from)).then(|| format!("the payload is not the rest of the message from {from} on"))
    }

    /// Judges what comes of a delivery that the tool has accepted: a transfer that resumes a delivery, or none.
    pub(crate) fn judge_end(
        &self,
        resuming: Option<&Transfer>,
        is_aborted: bool,
        is_settled: bool,
        is_same: bool,
    ) -> Outcome {
        let Some(transfer) = resuming else {
            return match (self.theirs, self.own) {
                (Entry::Absent, _) => Outcome::pass_with("the peer has settled the delivery"),
                (_, Entry::Absent) => Outcome::pass(),
                _ => Outcome::fail("the peer's map has the delivery, and no transfer resumes it"),
            };
        };
        if let Some(reason) = self.resumes_another(transfer) {
            return Outcome::fail(reason);
        }
        match self.own {
            Entry::Terminal if is_same && !is_settled => {
                Outcome::fail("the transfer is not settled, though both states are the same")
            }
            Entry::Terminal => match transfer.state {
                Some(DeliveryState::Accepted) => Outcome::pass(),
                _ => Outcome::fail("the transfer does not have the sender's state"),
            },
            _ if is_aborted => Outcome::pass(),
            _ => Outcome::fail("the transfer is not aborted"),
        }
    }

    /// Judges the peer's entry for a delivery of which the tool has said nothing (M-3.4.6-16).
    pub(crate) fn judge_entry(theirs: Entry) -> Outcome {
        match theirs {
            entry @ (Entry::Null | Entry::Received(_)) => Outcome::pass_with(format!("{entry:?}")),
            Entry::Absent => Outcome::fail("the peer's map lacks the delivery"),
            Entry::Terminal => Outcome::fail("the peer's map has a terminal state for it"),
        }
    }
}

/// The offset at which the payload of a resuming transfer begins.
fn start(transfer: &Transfer) -> u64 {
    match transfer.state {
        Some(DeliveryState::Received(Received { section_number: 0, section_offset })) => section_offset,
        Some(DeliveryState::Received(_)) => u64::MAX,
        _ => 0,
    }
}
