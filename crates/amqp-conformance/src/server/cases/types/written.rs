//! The encodings that the server itself writes.

use super::conversation::converses;
use crate::{
    case::{Case, Check},
    octets::{self, Kind, Style},
    server::ServerTrial,
    verdict::{Outcome, Stop, Verdict},
    wire::Entry,
};

/// A case that holds every frame of the server's to a rule.
macro_rules! written {
    ($id:literal, $rule:literal, $kind:ident) => {
        Case {
            id: $id,
            rule: $rule,
            sends: "a message through the queue",
            wants: "frames that keep the rule",
            check: Check::Server(|trial| written(trial, Kind::$kind)),
            ..Case::SERVER
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

/// Holds a conversation, and the frames that the server wrote in it to this rule.
fn written(trial: &mut ServerTrial<'_>, kind: Kind) -> Result<Outcome, Stop> {
    let answered = converses(trial, &Style::COMPACT);
    let outcome = judge_log(&trial.logs(), kind);
    match answered {
        Err(stop @ (Stop::SetUp(_) | Stop::NoConnection(_))) if outcome.verdict != Verdict::Fail => Err(stop),
        _ => Ok(outcome),
    }
}

/// Holds every frame that was received to this rule.
pub(in crate::server::cases) fn judge_log(logs: &[Vec<Entry>], kind: Kind) -> Outcome {
    let mut count = 0u32;
    for entry in logs.iter().flatten().filter(|entry| entry.direction == "received") {
        // Headers begin otherwise, and of large frames a part is logged.
        if entry.hex.is_empty() || entry.hex.starts_with("414d5150") || entry.hex.contains(' ') {
            continue;
        }
        count = count.saturating_add(1);
        if let Err(flaw) = octets::check_frame(&octets::hex(&entry.hex)).map(drop)
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
