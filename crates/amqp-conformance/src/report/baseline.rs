//! The difference to an earlier report.

use super::{Report, one_line};
use crate::{
    run::{CaseResult, FailOn, Selection},
    verdict::Verdict,
};
use std::{
    collections::{HashMap, HashSet},
    fmt,
};

/// What has changed since an earlier report.
#[derive(Clone, Debug)]
pub struct Changes<'a> {
    changed: Vec<(Option<Verdict>, &'a CaseResult)>,
    gone: Vec<&'a CaseResult>,
}

impl<'a> Changes<'a> {
    /// The changes from `old` to `new`: verdicts that differ, and cases that only one of them has.
    pub fn between(old: &'a Report, new: &'a Report) -> Self {
        let before: HashMap<&str, Verdict> =
            old.cases.iter().map(|case| (case.id.as_str(), case.outcome.verdict)).collect();
        let changed = new.cases.iter().filter_map(|case| {
            let was = before.get(case.id.as_str()).copied();
            (was != Some(case.outcome.verdict)).then_some((was, case))
        });
        let now: HashSet<&str> = new.cases.iter().map(|case| case.id.as_str()).collect();
        let is_gone = |old: &&CaseResult| !now.contains(old.id.as_str());
        Self { changed: changed.collect(), gone: old.cases.iter().filter(is_gone).collect() }
    }

    /// The same without cases that this selection has not: that they did not run is no change.
    #[must_use]
    pub fn within(mut self, selection: &Selection) -> Self {
        self.gone.retain(|case| selection.contains_result(case));
        self
    }

    /// The cases that fail now and did not before.
    pub fn worse(&self, fail_on: FailOn) -> impl Iterator<Item = &'a CaseResult> {
        self.changed.iter().filter_map(move |(was, case)| {
            let failed_before = was.is_some_and(|was| was >= case.outcome.verdict && fail_on.includes(was));
            let fails = fail_on.includes(case.outcome.verdict) && case.expected.is_none();
            (fails && !failed_before).then_some(*case)
        })
    }
}

impl fmt::Display for Changes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (was, case) in &self.changed {
            let was = was.map_or("new", Verdict::name);
            write!(f, "  {was} → {}  {}  {}", case.outcome.verdict, one_line(&case.id), one_line(&case.rule))?;
            match case.outcome.reason.as_str() {
                "" => writeln!(f)?,
                reason => write!(f, "\n      {}\n", one_line(reason))?,
            }
        }
        for case in &self.gone {
            writeln!(f, "  {} → gone  {}  {}", case.outcome.verdict, one_line(&case.id), one_line(&case.rule))?;
        }
        if self.changed.is_empty() && self.gone.is_empty() {
            writeln!(f, "  nothing has changed")?;
        }
        Ok(())
    }
}
