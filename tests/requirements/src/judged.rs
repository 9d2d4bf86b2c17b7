//! The record of what `amqp-conformance` has judged: each case on the example broker or the example client, as they are
//! by default, and strict.
//!
//! `.ci/own_stack.sh` writes the reports of its runs, [`Record::of`] makes a record of them, and `judged.tsv` is the one
//! that is committed.

use amqp_conformance::{Case, Report, Role, Tag, Verdict, run::CaseResult};
use std::fmt::{self, Write};

/// The record, relative to the repository.
pub const RECORD: &str = "tests/requirements/judged.tsv";

/// The columns of the record.
const COLUMNS: &str = "case\trole\tdefault\tstrict\treason by default\treason strict";

/// How a case came out in one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The verdict.
    pub verdict: Verdict,
    /// The reason for which the verdict is expected, or for which the case could not judge.
    pub reason: Option<String>,
}

impl Seen {
    fn skip(reason: &str) -> Self {
        Self { verdict: Verdict::Skip, reason: Some(reason.to_owned()) }
    }
}

/// A case in a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The id: `T-2.4.1-1/begin`.
    pub case: String,
    /// The role of the peer that is judged.
    pub role: Role,
    /// By default.
    pub default: Seen,
    /// Without tolerances.
    pub strict: Seen,
}

impl Judged {
    /// The requirement.
    pub fn row(&self) -> &str {
        self.case.split_once('/').map_or(&self.case, |(row, _)| row)
    }

    /// Whether the case has judged the peer in one of the configurations. An observation for which a reason is given
    /// counts.
    pub fn is_judgement(&self) -> bool {
        [&self.default, &self.strict]
            .into_iter()
            .any(|Seen { verdict, reason }| verdict.is_judgement() || (*verdict == Verdict::Info && reason.is_some()))
    }
}

/// The verdicts of a case, by default and strict.
type Verdicts = [Verdict; 2];

/// A case that came out otherwise than recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The id.
    pub case: String,
    /// The role of the peer that is judged.
    pub role: Role,
    /// What the record says; `None` if it does not have the case.
    pub recorded: Option<Verdicts>,
    /// What this run has judged; `None` if it does not have the case.
    pub found: Option<Verdicts>,
}

impl Difference {
    /// Whether a busy machine may be the reason: a rule is kept in one of the two, and was not judged in the other.
    pub fn is_unsteady(&self) -> bool {
        let (Some(recorded), Some(found)) = (self.recorded, self.found) else { return false };
        let judged = |verdict: Verdict| verdict.is_judgement();
        recorded.into_iter().zip(found).all(|(recorded, found)| {
            let kept = is_kept(recorded) || is_kept(found);
            recorded == found || (kept && judged(recorded) != judged(found))
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdicts = |verdicts: Option<Verdicts>| match verdicts {
            Some([default, strict]) => format!("{default} by default and {strict} strict"),
            None => "absent".to_owned(),
        };
        let (recorded, found) = (verdicts(self.recorded), verdicts(self.found));
        write!(f, "{} of a {}: recorded as {recorded}, and {found} in this run", self.case, self.role)
    }
}

/// The cases, in the order of the tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Each with its verdicts.
    pub cases: Vec<Judged>,
}

/// Whether the peer does what the rule asks.
pub const fn is_kept(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Pass | Verdict::PassWider)
}

impl Record {
    /// The record of these reports. A case that several reports of a configuration have counts by its worst judgement.
    ///
    /// # Errors
    ///
    /// If one of the tool's cases is in no report of the default configuration, or a failure is expected that does not occur.
    pub fn of(default: &[Report], strict: &[Report]) -> Result<Self, String> {
        for reports in [default, strict] {
            if let Some(entry) = reports.iter().flat_map(|report| &report.stale).find(|entry| !occurs(entry, reports)) {
                return Err(format!("a failure of {entry} is expected, but it passes: remove the expectation"));
            }
        }
        let seen = |reports: &[Report], case: &Case| {
            let results = reports.iter().flat_map(|report| &report.cases);
            let results = results.filter(|result| result.id == case.id && result.role == case.role());
            results.max_by_key(|result| weight(result.outcome.verdict)).map(seen)
        };
        let judged = |case: &'static Case| {
            Ok(Judged {
                case: case.id.to_owned(),
                role: case.role(),
                default: match seen(default, case) {
                    None if case.has(Tag::Restart) => {
                        Seen::skip("the broker, which keeps all in memory, is not restarted")
                    }
                    seen => seen.ok_or_else(|| format!("no report has {} of a {}", case.id, case.role()))?,
                },
                strict: seen(strict, case).unwrap_or_else(|| Seen::skip("judged by default alone")),
            })
        };
        Ok(Self { cases: amqp_conformance::cases().map(judged).collect::<Result<_, String>>()? })
    }

    /// Reads what [`tsv`](Self::tsv) has written.
    ///
    /// # Errors
    ///
    /// A line that is not one of a record.
    pub fn read(tsv: &str) -> Result<Self, String> {
        let cases = tsv.lines().skip(1).map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let &[case, role, default, strict, default_reason, strict_reason] = columns.as_slice() else {
                return Err(format!("{RECORD}: not six columns: {line}"));
            };
            let role = [Role::Server, Role::Client].into_iter().find(|known| known.to_string() == role);
            let seen = |verdict: &str, reason: &str| {
                let verdict = Verdict::ALL.into_iter().find(|known| known.name() == verdict)?;
                Some(Seen { verdict, reason: Some(reason).filter(|reason| *reason != "-").map(str::to_owned) })
            };
            match (role, seen(default, default_reason), seen(strict, strict_reason)) {
                (Some(role), Some(default), Some(strict)) => {
                    Ok(Judged { case: case.to_owned(), role, default, strict })
                }
                _ => Err(format!("{RECORD}: an unknown role or verdict: {line}")),
            }
        });
        Ok(Self { cases: cases.collect::<Result<_, String>>()? })
    }

    /// The record as lines with tabs. It has no times, so that two runs with the same verdicts give the same lines.
    pub fn tsv(&self) -> String {
        let mut out = format!("{COLUMNS}\n");
        for Judged { case, role, default, strict } in &self.cases {
            let [default_reason, strict_reason] = [default, strict].map(|seen| seen.reason.as_deref().unwrap_or("-"));
            let (default, strict) = (default.verdict, strict.verdict);
            // A string takes all that is written.
            _ = writeln!(out, "{case}\t{role}\t{default}\t{strict}\t{default_reason}\t{strict_reason}");
        }
        out
    }

    /// The cases of a report that came out otherwise than recorded, and were not skipped. A busy machine may be the reason.
    pub fn surprises<'a>(&self, report: &'a Report, is_strict: bool) -> Vec<&'a str> {
        let is_recorded = |result: &CaseResult| {
            self.cases.iter().filter(|judged| judged.case == result.id && judged.role == result.role).any(|judged| {
                let recorded = if is_strict { &judged.strict } else { &judged.default };
                recorded.verdict == seen(result).verdict
            })
        };
        let surprises = report.cases.iter().filter(|result| result.outcome.verdict != Verdict::Skip);
        surprises.filter(|result| !is_recorded(result)).map(|result| result.id.as_str()).collect()
    }

    /// The cases that came out otherwise in another run, or are in one of the two records alone. Reasons may differ.
    pub fn differences(&self, fresh: &Self) -> Vec<Difference> {
        let of = |record: &Self, case: &str, role: Role| {
            let judged = record.cases.iter().find(|judged| judged.case == case && judged.role == role)?;
            Some([judged.default.verdict, judged.strict.verdict])
        };
        let added = fresh.cases.iter().filter(|judged| of(self, &judged.case, judged.role).is_none());
        let difference = |judged: &Judged| {
            let (case, role) = (judged.case.as_str(), judged.role);
            let (recorded, found) = (of(self, case, role), of(fresh, case, role));
            (recorded != found).then(|| Difference { case: case.to_owned(), role, recorded, found })
        };
        self.cases.iter().chain(added).filter_map(difference).collect()
    }
}

/// Puts the results of a second run in the place of those of the first.
pub fn replace(report: &mut Report, again: &Report) {
    for result in &mut report.cases {
        if let Some(second) = again.cases.iter().find(|second| second.id == result.id && second.role == result.role) {
            result.clone_from(second);
        }
    }
    report.stale.retain(|entry| again.stale.contains(entry) || !occurs(entry, std::slice::from_ref(again)));
}

/// Whether a failure that an entry expects occurs in one of these reports.
fn occurs(entry: &str, reports: &[Report]) -> bool {
    let results = reports.iter().flat_map(|report| &report.cases);
    results.filter(|result| result.expected.is_some()).any(|result| result.id.starts_with(entry))
}

/// A judgement counts before none, and a bad one before a good one.
fn weight(verdict: Verdict) -> (bool, Verdict) {
    (verdict.is_judgement(), verdict)
}

/// Cases that are skipped or not as the machine happens to be busy: they are recorded as skipped unless they fail.
const UNSTEADY: [(&str, Role, &str); 1] = [(
    "M-3.4.6-13/receiver",
    Role::Server,
    "whether the server keeps the state of a delivery depends on which comes first, the detach or the outcome",
)];

fn seen(result: &CaseResult) -> Seen {
    let verdict = result.outcome.verdict;
    let unsteady = UNSTEADY.into_iter().find(|(case, role, _)| *case == result.id && *role == result.role);
    if let Some((_, _, reason)) = unsteady.filter(|_| !verdict.is_judgement() || is_kept(verdict)) {
        return Seen::skip(reason);
    }
    let reason = match &result.expected {
        Some(expected) => Some(expected.reason.clone()),
        None if matches!(verdict, Verdict::Skip | Verdict::Unreachable) => Some(result.outcome.reason.clone()),
        None => None,
    };
    let reason = reason.map(|reason| reason.split_whitespace().collect::<Vec<_>>().join(" "));
    Seen { verdict, reason: reason.filter(|reason| !reason.is_empty()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let kept = Seen { verdict: Verdict::Pass, reason: None };
        let skipped = Seen { verdict: Verdict::Skip, reason: Some("it does not offer SASL".into()) };
        let broken = Seen { verdict: Verdict::Fail, reason: Some("tolerance `x`".into()) };
        let case = |case: &str, role, default: &Seen, strict: &Seen| Judged {
            case: case.into(),
            role,
            default: default.clone(),
            strict: strict.clone(),
        };
        Record {
            cases: vec![
                case("T-2.2-1/begin", Role::Server, &broken, &kept),
                case("T-2.2-1", Role::Client, &kept, &skipped),
            ],
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let text = record().tsv();
        assert_eq!(
            text.lines().skip(1).collect::<Vec<_>>(),
            [
                "T-2.2-1/begin\tserver\tfail\tpass\ttolerance `x`\t-",
                "T-2.2-1\tclient\tpass\tskip\t-\tit does not offer SASL",
            ]
        );
        assert_eq!(Record::read(&text), Ok(record()));
        assert!(record().cases.iter().all(|judged| judged.row() == "T-2.2-1"));
    }

    #[test]
    fn lines_that_are_not_of_a_record_are_refused() {
        for line in ["a\tserver\tpass\tpass\t-", "a\tnode\tpass\tpass\t-\t-", "a\tserver\tgood\tpass\t-\t-"] {
            assert!(Record::read(&format!("{COLUMNS}\n{line}\n")).is_err(), "{line}");
        }
    }

    #[test]
    fn a_run_that_differs_is_reported_with_both_verdicts() {
        let mut fresh = record();
        fresh.cases[0].default.reason = None;
        assert_eq!(record().differences(&fresh), []);
        fresh.cases[1].default.verdict = Verdict::Fail;
        let [difference] = &record().differences(&fresh)[..] else { panic!("one case differs") };
        assert!(!difference.is_unsteady());
        assert_eq!(
            difference.to_string(),
            "T-2.2-1 of a client: recorded as pass by default and skip strict, and fail by default and skip strict in this run"
        );
        fresh.cases.remove(0);
        fresh.cases[0].case = "T-2.2-2".into();
        let absent = |case: &str, role, recorded, found| Difference { case: case.into(), role, recorded, found };
        assert_eq!(
            record().differences(&fresh),
            [
                absent("T-2.2-1/begin", Role::Server, Some([Verdict::Fail, Verdict::Pass]), None),
                absent("T-2.2-1", Role::Client, Some([Verdict::Pass, Verdict::Skip]), None),
                absent("T-2.2-2", Role::Client, None, Some([Verdict::Fail, Verdict::Skip])),
            ]
        );
    }

    #[test]
    fn only_a_kept_rule_that_was_not_judged_once_is_unsteady() {
        let unsteady = |recorded, found| {
            let (recorded, found) = (Some([recorded, Verdict::Pass]), Some([found, Verdict::Pass]));
            Difference { case: "T-2.2-1".into(), role: Role::Client, recorded, found }.is_unsteady()
        };
        assert!(unsteady(Verdict::Pass, Verdict::Skip) && unsteady(Verdict::Unreachable, Verdict::PassWider));
        for (recorded, found) in [
            (Verdict::Pass, Verdict::Fail),
            (Verdict::Fail, Verdict::Pass),
            (Verdict::Skip, Verdict::Fail),
            (Verdict::Fail, Verdict::Skip),
            (Verdict::Pass, Verdict::PassWider),
            (Verdict::Skip, Verdict::Unreachable),
        ] {
            assert!(!unsteady(recorded, found), "{recorded} {found}");
        }
    }

    #[test]
    fn a_judgement_counts_before_a_case_that_was_skipped() {
        let mut verdicts = [Verdict::Skip, Verdict::Fail, Verdict::Pass, Verdict::Unreachable];
        verdicts.sort_by_key(|verdict| weight(*verdict));
        assert_eq!(verdicts, [Verdict::Skip, Verdict::Unreachable, Verdict::Pass, Verdict::Fail]);
    }
}
