//! How each requirement is kept, by what was judged and what is declared.

use crate::{
    data::{Declared, Kind},
    items::Items,
    judged::{Judged, is_kept},
    problem::Problem,
};
use amqp_conformance::{Role, Verdict};
use std::fmt::Write;

/// How a requirement is kept. Of several the last counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// By the client and the acceptor as they are.
    #[default]
    Default,
    /// By something of ours that an application calls.
    Helper,
    /// If an option is set.
    Option,
    /// Something else is done on purpose.
    Deviates,
}

impl Status {
    /// All, in the order of the columns of the summary.
    pub const ALL: [Self; 4] = [Self::Default, Self::Option, Self::Helper, Self::Deviates];

    /// The name in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "by default",
            Self::Option => "by option",
            Self::Helper => "helper only",
            Self::Deviates => "deviates",
        }
    }
}

/// A status with what explains it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The status.
    pub status: Status,
    /// The options, helpers and reasons, as Markdown.
    pub because: Vec<String>,
}

impl Kept {
    /// Finds out how the requirement `id` is kept.
    pub fn of(id: &str, judged: &[&Judged], declared: &[&Declared], items: &Items) -> (Self, Vec<Problem>) {
        let (mut kept, mut problems) = (Self::default(), Vec::new());
        for Declared { kind, names, reason, .. } in declared {
            for name in names.iter().filter(|name| !items.has(name)) {
                problems.push(Problem::NoItem { id: id.to_owned(), name: name.clone() });
            }
            let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let (status, text) = match kind {
                Kind::Option => (Status::Option, format!("{names}: {reason}")),
                Kind::Helper => (Status::Helper, format!("{names}: {reason}")),
                Kind::Deviates => (Status::Deviates, reason.clone()),
            };
            kept.add(status, text);
        }
        // Cases with the same reason stand together.
        let mut broken: Vec<(Status, String, Vec<&Judged>)> = Vec::new();
        for judged in judged.iter().filter(|judged| is_broken(judged)) {
            let reason = judged.default.reason.clone().unwrap_or_default();
            let (status, text) = if is_kept(judged.strict.verdict) {
                match option(&reason, items) {
                    Some(text) => (Status::Option, text),
                    None => {
                        problems.push(Problem::NoOption { case: judged.case.clone(), reason: reason.clone() });
                        (Status::Option, reason)
                    }
                }
            } else {
                (Status::Deviates, judged.strict.reason.clone().unwrap_or(reason))
            };
            match broken.iter_mut().find(|(other, because, _)| (*other, because) == (status, &text)) {
                Some((_, _, cases)) => cases.push(judged),
                None => broken.push((status, text, vec![judged])),
            }
        }
        for (status, text, cases) in broken {
            kept.add(status, format!("{text} ({})", named(&cases)));
        }
        (kept, problems)
    }

    fn add(&mut self, status: Status, text: String) {
        self.status = self.status.max(status);
        self.because.push(text);
    }
}

/// Whether the case shows that the rule is not kept by default. An observation counts if a reason is given for it.
fn is_broken(judged: &Judged) -> bool {
    let Judged { default, .. } = judged;
    match default.verdict {
        Verdict::Info => default.reason.is_some(),
        verdict => verdict.is_judgement() && !is_kept(verdict),
    }
}

/// The reason with the option that it names first in full: ``tolerance `x`: why`` becomes `` `Tolerances::x`: why``.
fn option(reason: &str, items: &Items) -> Option<String> {
    let (before, rest) = reason.split_once('`')?;
    let (name, after) = rest.split_once('`')?;
    let before = before.strip_suffix("tolerance ").unwrap_or(before);
    items.option(name).map(|name| format!("{before}`{name}`{after}"))
}

/// Cases by role, without the requirement: ``server: `begin`, `end` ``.
pub fn named(cases: &[&Judged]) -> String {
    let mut out = String::new();
    for role in [Role::Server, Role::Client] {
        let of_role: Vec<_> = cases.iter().filter(|judged| judged.role == role).collect();
        if of_role.is_empty() {
            continue;
        }
        let names = of_role.iter().map(|judged| format!("`{}`", judged.case)).collect::<Vec<_>>().join(", ");
        // A string takes all that is written.
        _ = write!(out, "{}{role}: {names}", if out.is_empty() { "" } else { "; " });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judged::Seen;

    fn judged(case: &str, role: Role, default: (Verdict, &str), strict: (Verdict, &str)) -> Judged {
        let seen = |(verdict, reason): (Verdict, &str)| Seen {
            verdict,
            reason: Some(reason).filter(|reason| !reason.is_empty()).map(str::to_owned),
        };
        Judged { case: case.into(), role, default: seen(default), strict: seen(strict) }
    }

    fn kept(judged: &[Judged], declared: &[Declared]) -> (Kept, Vec<Problem>) {
        let items = Items::read(&crate::root()).unwrap();
        Kept::of("A-1-1", &judged.iter().collect::<Vec<_>>(), &declared.iter().collect::<Vec<_>>(), &items)
    }

    const PASS: (Verdict, &str) = (Verdict::Pass, "");

    #[test]
    fn what_passes_in_both_is_kept_by_default() {
        let skipped = (Verdict::Skip, "it does not offer SASL");
        let wider = (Verdict::PassWider, "");
        let cases = [judged("A-1-1/a", Role::Server, PASS, PASS), judged("A-1-1/b", Role::Client, wider, skipped)];
        assert_eq!(kept(&cases, &[]), (Kept::default(), vec![]));
    }

    #[test]
    fn what_passes_when_strict_is_kept_by_the_option_that_its_reason_names() {
        let tolerated = (Verdict::Fail, "tolerance `missing_body`: it may have none");
        let set = (Verdict::Info, "`ConnectionConfig::errant_links` is `Discard`");
        let cases = [
            judged("A-1-1/a", Role::Server, tolerated, PASS),
            judged("A-1-1/b", Role::Client, set, PASS),
            judged("A-1-1/c", Role::Client, tolerated, PASS),
        ];
        let (kept, problems) = kept(&cases, &[]);
        assert_eq!((kept.status, problems), (Status::Option, vec![]));
        assert_eq!(
            kept.because,
            [
                "`Tolerances::missing_body`: it may have none (server: `A-1-1/a`; client: `A-1-1/c`)",
                "`ConnectionConfig::errant_links` is `Discard` (client: `A-1-1/b`)",
            ]
        );
    }

    #[test]
    fn what_fails_when_strict_as_well_deviates() {
        let cases = [judged("A-1-1", Role::Server, (Verdict::Warn, "by default"), (Verdict::Fail, "on purpose"))];
        let (kept, problems) = kept(&cases, &[]);
        assert_eq!((kept.status, problems), (Status::Deviates, vec![]));
        assert_eq!(kept.because, ["on purpose (server: `A-1-1`)"]);
    }

    #[test]
    fn a_reason_without_an_option_that_exists_is_a_problem() {
        for reason in ["tolerance missing_body", "tolerance `no_such`: why", "`Other::thing` is off"] {
            let (_, problems) = kept(&[judged("A-1-1", Role::Server, (Verdict::Fail, reason), PASS)], &[]);
            assert_eq!(problems, [Problem::NoOption { case: "A-1-1".into(), reason: reason.into() }]);
        }
    }

    #[test]
    fn what_is_declared_counts_beside_what_was_judged() {
        let declared = |kind, name: &str| Declared {
            id: "A-1-1".into(),
            kind,
            names: vec![name.into()],
            reason: "because".into(),
        };
        let declared = [declared(Kind::Helper, "HeldMessage::settle"), declared(Kind::Option, "No::such")];
        let (kept, problems) = kept(&[judged("A-1-1", Role::Server, PASS, PASS)], &declared);
        assert_eq!(kept.status, Status::Option);
        assert_eq!(kept.because, ["`HeldMessage::settle`: because", "`No::such`: because"]);
        assert_eq!(problems, [Problem::NoItem { id: "A-1-1".into(), name: "No::such".into() }]);
    }
}
