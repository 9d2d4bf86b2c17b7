//! The rows of the checklist, and their cases in each role.

use crate::case::{Case, Role};
use std::fmt;

/// The rows: id, severity, and the roles that it applies to.
const ROWS: &str = include_str!("../data/rows.tsv");
/// Rows without a case: id, role, reason.
const EXEMPT: &str = include_str!("../data/exempt.tsv");

/// A row of the checklist in one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub id: &'static str,
    /// The role of the peer.
    pub role: Role,
    /// Its number of cases.
    pub cases: usize,
    /// The reason for which it has no case.
    pub exempt: Option<&'static str>,
}

/// Which rows have cases.
#[derive(Clone, Debug)]
pub struct Coverage {
    rows: Vec<Row>,
}

/// The data of this crate contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CoverageError(String);

impl Coverage {
    /// The coverage of the cases of this crate.
    ///
    /// # Errors
    ///
    /// If a case or an exemption names a row that does not exist, or an exempt row has a case.
    pub fn of_this_crate() -> Result<Self, CoverageError> {
        Self::of(ROWS, EXEMPT, &crate::cases().collect::<Vec<_>>())
    }

    fn of(rows: &'static str, exempt: &'static str, cases: &[&Case]) -> Result<Self, CoverageError> {
        let mut all: Vec<Row> = Vec::new();
        for line in rows.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let mut columns = line.split('\t');
            let (id, applies) = (columns.next().unwrap_or_default(), columns.nth(1).unwrap_or_default());
            for role in roles(applies) {
                let count = cases.iter().filter(|case| case.row() == id && case.role() == *role).count();
                all.push(Row { id, role: *role, cases: count, exempt: None });
            }
        }
        for case in cases {
            if !all.iter().any(|row| row.id == case.row()) {
                return Err(CoverageError(format!("{} is a case of a row that does not exist", case.id)));
            }
            // A row may have a case in a role that it does not name: the text often binds both.
            if !all.iter().any(|row| row.id == case.row() && row.role == case.role()) {
                let count = cases.iter().filter(|other| other.row() == case.row() && other.role() == case.role());
                all.push(Row { id: case.row(), role: case.role(), cases: count.count(), exempt: None });
            }
        }
        for line in exempt.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let wrong = || CoverageError(format!("{line:?} is not a row, a role and a reason"));
            let mut columns = line.splitn(3, '\t');
            let (id, role, reason) = (columns.next(), columns.next(), columns.next().map(str::trim));
            let (Some(id), Some(role), Some(reason @ [_, ..])) = (id, role, reason.map(str::as_bytes)) else {
                return Err(wrong());
            };
            let reason = std::str::from_utf8(reason).map_err(|_| wrong())?;
            let role = match role {
                "server" => Role::Server,
                "client" => Role::Client,
                _ => return Err(wrong()),
            };
            let row = all.iter_mut().find(|row| row.id == id && row.role == role);
            match row {
                Some(row) if row.cases == 0 => row.exempt = Some(reason),
                Some(_) => return Err(CoverageError(format!("{id} is exempt for {role}s, and has a case"))),
                // It does not apply to the role anyway.
                None => {}
            }
        }
        Ok(Self { rows: all })
    }

    /// Every row, in each role that it applies to.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The reasons for which this row has no case.
    pub fn exemptions<'a>(&'a self, id: &'a str) -> impl Iterator<Item = (Role, &'static str)> + 'a {
        self.rows.iter().filter(move |row| row.id == id).filter_map(|row| row.exempt.map(|reason| (row.role, reason)))
    }

    /// The number of rows with a case in this role.
    pub fn covered(&self, role: Role) -> usize {
        self.rows.iter().filter(|row| row.role == role && row.cases > 0).count()
    }

    /// The number of rows with a case in either role.
    pub fn covered_in_all(&self) -> usize {
        let mut ids: Vec<&str> = self.rows.iter().filter(|row| row.cases > 0).map(|row| row.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.len()
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        let mut ids: Vec<&str> = self.rows.iter().map(|row| row.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.len()
    }

    /// Returns `true` if there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The roles of a row by the checklist's column *applies*.
fn roles(applies: &str) -> &'static [Role] {
    match applies {
        "client" | "client peer" | "controller" | "initiator" => &[Role::Client],
        "server"
        | "server peer"
        | "broker"
        | "coordinator"
        | "intermediary"
        | "node"
        | "resource"
        | "responder"
        | "controller/resource" => &[Role::Server],
        _ => &[Role::Server, Role::Client],
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
        })
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for role in [Role::Server, Role::Client] {
            let of_role = || self.rows.iter().filter(move |row| row.role == role);
            let exempt = of_role().filter(|row| row.exempt.is_some()).count();
            let missing: Vec<&str> =
                of_role().filter(|row| row.cases == 0 && row.exempt.is_none()).map(|row| row.id).collect();
            let cases: usize = of_role().map(|row| row.cases).sum();
            writeln!(
                f,
                "{role}: {} of {} rows, {cases} cases; {exempt} rows exempt, {} without a case",
                self.covered(role),
                of_role().count(),
                missing.len()
            )?;
            for row in of_role().filter(|row| row.exempt.is_some()) {
                writeln!(f, "  exempt   {}  {}", row.id, row.exempt.unwrap_or_default())?;
            }
            for id in missing {
                writeln!(f, "  no case  {id}")?;
            }
        }
        writeln!(f, "in all: {} of {} rows", self.covered_in_all(), self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_of_this_crate_agrees_with_its_cases() {
        let coverage = Coverage::of_this_crate().expect("it agrees");
        assert_eq!(coverage.len(), 437);
    }

    #[test]
    fn every_id_occurs_once_in_its_role() {
        let mut ids: Vec<_> = crate::cases().map(|case| (case.role(), case.id)).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn every_case_states_its_rule_and_what_it_does() {
        for case in crate::cases() {
            assert!(!case.rule.is_empty() && !case.sends.is_empty() && !case.wants.is_empty(), "{}", case.id);
        }
    }

    #[test]
    fn a_row_is_covered_in_the_roles_that_it_applies_to() {
        let case = Case { id: "A-1/x", ..Case::SERVER };
        let coverage = Coverage::of("A-1\tMUST\tboth\nA-2\tMUST\tclient\n", "A-2\tclient\tnot seen\n", &[&case]);
        let text = coverage.expect("it is well formed").to_string();
        assert!(text.contains("server: 1 of 1 rows, 1 cases; 0 rows exempt, 0 without a case"), "{text}");
        assert!(text.contains("client: 0 of 2 rows, 0 cases; 1 rows exempt, 1 without a case"), "{text}");
        assert!(text.contains("in all: 1 of 2 rows"), "{text}");
    }

    #[test]
    fn a_row_is_not_exempt_where_it_has_a_case() {
        let case = Case { id: "A-1", ..Case::SERVER };
        let error = Coverage::of("A-1\tMUST\tboth\n", "A-1\tserver\tno\n", &[&case]).expect_err("it has a case");
        assert_eq!(error.to_string(), "A-1 is exempt for servers, and has a case");
    }
}
