//! The encodings that the peer itself writes.

use super::TypeTrial;
use crate::{
    case::{Case, Check},
    client::Scenario,
    octets::{self, Kind, Style},
    verdict::{Outcome, Stop, Verdict},
    wire::Entry,
};

/// Declares `SERVER` and `CLIENT`, tables of cases that hold every frame of the peer's to a rule.
macro_rules! written {
    ($($id:literal => $kind:ident: $rule:literal;)+) => {
        pub(crate) const SERVER: &[Case] = &[$(Case {
            id: $id,
            rule: $rule,
            sends: "a message through the queue",
            wants: "frames that keep the rule",
            check: Check::Server(|trial| written(trial, Kind::$kind)),
            ..Case::SERVER
        }),+];
        pub(crate) const CLIENT: &[Case] = &[$(Case {
            id: $id,
            rule: $rule,
            sends: "the answers of a scenario",
            wants: "frames that keep the rule",
            check: Check::Client(Scenario::Send, |trial| written(trial, Kind::$kind)),
            ..Case::CLIENT
        }),+];
    };
}

written! {
    "Y-1.2.3-2/written" => Encoding: "Sizes and counts fit what they count, and values are encoded as §1.6 says.";
    "Y-1.3.2-1/written" => NotAList: "A composite is a described list (§1.3.2).";
    "Y-1.3.4-1/written" => Missing: "A mandatory field may not be null or absent (§1.3.4).";
    "Y-1.3.4-2/written" => WrongType: "A field has the type that is declared for it (§1.3.4).";
    "Y-1.3.4-4/written" => TooMany: "A list has no more items than its type has fields (§1.3.4).";
    "Y-1.3.5-1/written" => Choice: "A restricted type has no other values than its choices (§1.3.5).";
    "Y-1.4-5/written" => Multiple: "A field of several values is null, one value, or an array of its type (§1.4).";
    "Y-1.5-1/written" => Descriptor: "A descriptor is a known ulong or symbol (§1.5).";
}

/// Holds a conversation, and the frames that the peer wrote in it to this rule.
fn written<T: TypeTrial>(trial: &mut T, kind: Kind) -> Result<Outcome, Stop> {
    let answered = trial.converses(&Style::COMPACT);
    let outcome = judge_log(&trial.logs(), kind, T::WRITES_MESSAGES);
    match answered {
        Err(stop @ (Stop::SetUp(_) | Stop::Refused(_) | Stop::NoConnection(_))) if outcome.verdict != Verdict::Fail => {
            Err(stop)
        }
        _ => Ok(outcome),
    }
}

/// Holds every frame that was received to this rule, and if wanted each message that came in one transfer.
pub(crate) fn judge_log(logs: &[Vec<Entry>], kind: Kind, with_messages: bool) -> Outcome {
    let mut count = 0u32;
    for log in logs {
        let mut is_continued = false;
        for entry in log.iter().filter(|entry| entry.direction == "received") {
            // Headers begin otherwise, and secrets are masked.
            if entry.hex.is_empty() || entry.hex.starts_with("414d5150") || entry.hex.contains('.') {
                continue;
            }
            count = count.saturating_add(1);
            let octets = octets::hex(&entry.hex);
            let checked = octets::check_frame(&octets).and_then(|payload| {
                if payload.is_empty() {
                    return Ok(());
                }
                let is_more = entry.text.contains("more=true");
                let is_whole = !is_more && !is_continued;
                is_continued = is_more;
                if with_messages && is_whole { octets::check_message(payload) } else { Ok(()) }
            });
            if let Err(flaw) = checked
                && flaw.kind == kind
            {
                return Outcome::fail(format!("{flaw}: {}", entry.text));
            }
        }
    }
    match count {
        0 => Outcome::new(Verdict::Unreachable, "no frame was received"),
        _ => Outcome::pass_with(format!("{count} frames")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::WireLog;
    use amqp1_script::Direction;
    use std::time::Duration;

    fn transfer(more: bool, payload: &str) -> Entry {
        // handle 0, delivery-id 0, tag 30, no message-format, not settled, more.
        let head = format!("005314c00906 4343a00130 4042{}", if more { "41" } else { "42" }).replace(' ', "");
        let size = 8 + (head.len() + payload.len()) / 2;
        Entry {
            direction: "received".into(),
            hex: format!("{size:08x}02000000{head}{payload}"),
            text: format!("transfer more={more}"),
            at_us: 0,
        }
    }

    #[test]
    fn a_large_frame_is_judged_like_others() {
        // An amqp-value whose string is shorter than it says, in a frame that reports do not show whole.
        let octets = octets::hex(&transfer(false, &format!("005377b100002000{}", "61".repeat(5000))).hex);
        let mut log = WireLog::default();
        log.add(Duration::ZERO, Direction::Received, &octets);
        assert_eq!(judge_log(&[log.entries()], Kind::Encoding, true).verdict, Verdict::Fail);
    }

    #[test]
    fn a_message_in_several_transfers_is_not_judged_by_its_parts() {
        // An amqp-value whose string of five octets comes in two transfers, and one that is cut off.
        let (first, rest, cut) = ("005377a105616263", "6465", "005377a105616263");
        let parts = [vec![transfer(true, first), transfer(false, rest)]];
        assert_eq!(judge_log(&parts, Kind::Encoding, true).verdict, Verdict::Pass);
        let whole = [vec![transfer(true, first), transfer(false, rest), transfer(false, cut)]];
        assert_eq!(judge_log(&whole, Kind::Encoding, true).verdict, Verdict::Fail);
        assert_eq!(judge_log(&whole, Kind::Encoding, false).verdict, Verdict::Pass);
    }
}
