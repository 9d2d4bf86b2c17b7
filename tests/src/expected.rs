//! What foreign programs are expected to find: `interop/expected.tsv`, which no run writes.
//!
//! A row is a judge, a case, `pass` or `fail`, and an explanation, with tabs between; rows are sorted. What fails has an
//! explanation.

use std::{collections::BTreeMap, fmt::Write as _};

/// Runs only cases whose names contain the value of this variable, and compares only them. For people.
pub const ONLY: &str = "AMQP1_INTEROP_CASE";

/// The committed rows.
fn committed() -> String {
    let file = crate::peer::folder().join("expected.tsv");
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The results of one judge.
#[derive(Debug)]
pub struct Judgement {
    judge: &'static str,
    only: Option<String>,
    ran: Vec<(String, Result<u64, String>)>,
}

/// The fewest cases and messages of a judge that has done its work.
#[derive(Clone, Copy, Debug)]
pub struct AtLeast {
    /// Cases that were run, whatever came of them.
    pub cases: usize,
    /// Messages that cases which passed have moved.
    pub messages: u64,
}

impl Judgement {
    /// No results yet.
    pub fn new(judge: &'static str) -> Self {
        Self { judge, only: std::env::var(ONLY).ok(), ran: Vec::new() }
    }

    /// Whose results these are.
    pub fn judge(&self) -> &'static str {
        self.judge
    }

    /// Whether a case is to be run.
    pub fn wants(&self, case: &str) -> bool {
        self.only.as_ref().is_none_or(|only| case.contains(only))
    }

    /// Records a case: how many messages it has moved, or why it failed.
    pub fn record(&mut self, case: impl Into<String>, result: Result<u64, String>) {
        self.ran.push((case.into(), result));
    }

    /// Compares the results with the committed rows.
    ///
    /// # Panics
    ///
    /// If a case has passed or failed that was not expected to, is missing, was run twice, or is not among the rows; or
    /// if less was run or moved than at least.
    pub fn check(&self, least: AtLeast) {
        // Of several judges in one test, those that have no such case.
        if self.only.is_some() && self.ran.is_empty() {
            return;
        }
        let least = if self.only.is_some() { AtLeast { cases: 1, messages: 0 } } else { least };
        let differences = self.differences(&committed(), least).unwrap_or_else(|wrong| panic!("expected.tsv: {wrong}"));
        assert!(differences.is_empty(), "{} differs from expected.tsv:\n{differences}", self.judge);
    }

    /// One line for each difference.
    fn differences(&self, rows: &str, least: AtLeast) -> Result<String, String> {
        let rows = parse(rows)?;
        let mut expected: BTreeMap<_, _> = rows
            .iter()
            .filter(|row| row.judge == self.judge && self.wants(row.case))
            .map(|row| (row.case, row))
            .collect();
        let mut lines = String::new();
        for (case, result) in &self.ran {
            let line = match (expected.remove(case.as_str()), result) {
                (None, Ok(_)) => format!("{case}: passed, and is no row (or was run twice)"),
                (None, Err(why)) => format!("{case}: failed, and is no row (or was run twice): {why}"),
                (Some(Row { passes: true, .. }), Err(why)) => format!("{case}: failed: {why}"),
                (Some(Row { passes: false, explanation, .. }), Ok(_)) => {
                    format!("{case}: passed, and was expected to fail: {explanation}")
                }
                (Some(_), _) => continue,
            };
            let _ = writeln!(lines, "{line}");
        }
        for case in expected.keys() {
            let _ = writeln!(lines, "{case}: was not run");
        }
        let moved: u64 = self.ran.iter().filter_map(|(_, result)| result.as_ref().ok()).sum();
        if self.ran.len() < least.cases || moved < least.messages {
            let _ = writeln!(lines, "{} cases and {moved} messages, which is less than {least:?}", self.ran.len());
        }
        Ok(lines)
    }
}

#[derive(Debug)]
struct Row<'a> {
    judge: &'a str,
    case: &'a str,
    passes: bool,
    explanation: &'a str,
}

/// The rows of the file; an error names the line.
fn parse(text: &str) -> Result<Vec<Row<'_>>, String> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for line in text.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let [judge, case, result, explanation] = fields[..] else { return Err(format!("not four fields: {line}")) };
        let passes = match result {
            "pass" => true,
            "fail" if !explanation.is_empty() => false,
            "fail" => return Err(format!("a failure without an explanation: {line}")),
            _ => return Err(format!("neither pass nor fail: {line}")),
        };
        if rows.last().is_some_and(|last| (last.judge, last.case) >= (judge, case)) {
            return Err(format!("not sorted, or there twice: {line}"));
        }
        rows.push(Row { judge, case, passes, explanation });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = "a\tone\tpass\t\na\ttwo\tfail\tits own bug\nb\tone\tpass\t\n";
    const LEAST: AtLeast = AtLeast { cases: 2, messages: 10 };

    fn differences(ran: &[(&str, Result<u64, &str>)]) -> String {
        let ran = ran.iter().map(|(case, result)| ((*case).to_owned(), result.map_err(str::to_owned))).collect();
        Judgement { judge: "a", only: None, ran }.differences(ROWS, LEAST).expect("rows")
    }

    #[test]
    fn the_committed_rows_can_be_read() {
        parse(&committed()).expect("rows");
    }

    /// The rows as the README shows them: a line for each judge, with what it fails.
    fn summary(rows: &[Row<'_>]) -> String {
        let mut judges: BTreeMap<_, (usize, Vec<_>)> = BTreeMap::new();
        for row in rows {
            let (passed, failed) = judges.entry(row.judge).or_default();
            match row.passes {
                true => *passed += 1,
                false => failed.push(format!("{}: {}", row.case, row.explanation)),
            }
        }
        let mut text = "| judge | passes | fails | what, and why |\n|---|---|---|---|\n".to_owned();
        for (judge, (passed, failed)) in judges {
            let _ = writeln!(text, "| {judge} | {passed} | {} | {} |", failed.len(), failed.join("; "));
        }
        text
    }

    #[test]
    fn the_readme_shows_the_committed_rows() {
        let committed = committed();
        let summary = summary(&parse(&committed).expect("rows"));
        let readme = std::fs::read_to_string(crate::peer::folder().join("README.md")).expect("the README");
        assert!(readme.contains(&summary), "tests/interop/README.md has to show:\n\n{summary}");
    }

    #[test]
    fn what_was_expected_is_no_difference() {
        assert_eq!(differences(&[("two", Err("x")), ("one", Ok(10))]), "");
    }

    #[test]
    fn each_difference_is_reported() {
        let failed = differences(&[("one", Err("lost")), ("two", Err("x"))]);
        assert!(failed.contains("one: failed: lost"), "{failed}");
        let passed = differences(&[("one", Ok(10)), ("two", Ok(10))]);
        assert!(passed.contains("two: passed, and was expected to fail: its own bug"), "{passed}");
        let missing = differences(&[("one", Ok(10))]);
        assert!(missing.contains("two: was not run"), "{missing}");
        let extra = differences(&[("one", Ok(10)), ("two", Err("x")), ("three", Ok(1))]);
        assert!(extra.contains("three: passed, and is no row"), "{extra}");
        let twice = differences(&[("one", Ok(10)), ("one", Ok(10)), ("two", Err("x"))]);
        assert!(twice.contains("one: passed, and is no row (or was run twice)"), "{twice}");
        let few = differences(&[("one", Ok(9)), ("two", Err("x"))]);
        assert!(few.contains("2 cases and 9 messages"), "{few}");
    }

    #[test]
    fn rows_are_sorted_and_failures_explained() {
        for wrong in [
            "b\tone\tpass\t\na\tone\tpass\t\n",
            "a\tone\tpass\t\na\tone\tpass\t\n",
            "a\tone\tfail\t\n",
            "a\tone\tpass\n",
            "a\tone\tno\t\n",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
