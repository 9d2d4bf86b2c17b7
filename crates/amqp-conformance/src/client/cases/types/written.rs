//! The encodings that the client itself writes.

use super::conversation::converses;
use crate::{
    case::{Case, Check},
    client::{ClientTrial, Scenario},
    octets::{self, Kind, Style},
    verdict::{Outcome, Stop, Verdict},
    wire::Entry,
};

/// A case that holds every frame of the client's to a rule.
macro_rules! written {
    ($id:literal, $rule:literal, $kind:ident) => {
        Case {
            id: $id,
            rule: $rule,
            sends: "the answers of a scenario",
            wants: "frames that keep the rule",
            check: Check::Client(Scenario::Send, |trial| written(trial, Kind::$kind)),
            ..Case::CLIENT
        }
    };
}

pub(super) const CASES: &[Case] = &[
    written!(
        "Y-1.2.3-2/written",
        "Sizes and counts fit what they count, and values are encoded as §1.6 says.",
        Encoding
    ),
    written!("Y-1.3.2-1/written", "A composite is a described list (§1.3.2).", NotAList),
    written!("Y-1.3.4-1/written", "A mandatory field may not be null or absent (§1.3.4).", Missing),
    written!("Y-1.3.4-2/written", "A field has the type that is declared for it (§1.3.4).", WrongType),
    written!("Y-1.3.4-4/written", "A list has no more items than its type has fields (§1.3.4).", TooMany),
    written!("Y-1.3.5-1/written", "A restricted type has no other values than its choices (§1.3.5).", Choice),
    written!(
        "Y-1.4-5/written",
        "A field of several values is null, one value, or an array of its type (§1.4).",
        Multiple
    ),
    written!("Y-1.5-1/written", "A descriptor is a known ulong or symbol (§1.5).", Descriptor),
];

/// Plays a scenario, and holds the frames that the client wrote in it to this rule.
fn written(trial: &mut ClientTrial<'_>, kind: Kind) -> Result<Outcome, Stop> {
    let answered = converses(trial, &Style::COMPACT);
    let outcome = judge_log(&trial.logs(), kind);
    match answered {
        Err(stop @ (Stop::SetUp(_) | Stop::NoConnection(_))) if outcome.verdict != Verdict::Fail => Err(stop),
        _ => Ok(outcome),
    }
}

/// Holds every frame that was received to this rule, and every message to it as well.
pub(in crate::client::cases) fn judge_log(logs: &[Vec<Entry>], kind: Kind) -> Outcome {
    let mut count = 0u32;
    for entry in logs.iter().flatten().filter(|entry| entry.direction == "received") {
        // Headers begin otherwise, of large frames a part is logged, and secrets are masked.
        if entry.hex.is_empty() || entry.hex.starts_with("414d5150") || entry.hex.contains([' ', '.']) {
            continue;
        }
        count = count.saturating_add(1);
        let octets = octets::hex(&entry.hex);
        let is_whole = !entry.text.contains("more=true");
        let checked = octets::check_frame(&octets).and_then(|payload| match payload {
            [] => Ok(()),
            message if is_whole => octets::check_message(message),
            _ => Ok(()),
        });
        if let Err(flaw) = checked
            && flaw.kind == kind
        {
            return Outcome::fail(format!("{flaw}: {}", entry.text));
        }
    }
    match count {
        0 => Outcome::new(Verdict::Unreachable, "no frame was received"),
        _ => Outcome::pass_with(format!("{count} frames")),
    }
}
