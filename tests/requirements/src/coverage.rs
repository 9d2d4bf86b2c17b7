//! Requirements, what is declared, verdicts and tests put together.

use crate::{
    data::{Declared, Exemption, Proof, Requirement},
    ids::{Found, Ids},
    items::Items,
    judged::{Judged, Record},
    problem::Problem,
    sources::Source,
    status::Kept,
};
use amqp_conformance::Role;

/// A test that shows a requirement. They are ordered from the lowest layer up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    /// How low its package stands.
    pub layer: usize,
    /// With all its modules: `amqp1_engine::behaviour::credit::t_2_6_7_1_counts_wrap`.
    pub test: String,
    /// The file, relative to the repository.
    pub file: String,
}

/// A requirement with what shows it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The requirement.
    pub requirement: Requirement,
    /// How it is kept.
    pub kept: Kept,
    /// The tests, lowest layer first.
    pub shown: Vec<Shown>,
    /// The cases of each role that it applies to.
    pub roles: Vec<InRole>,
    /// Why there is no test.
    pub untested: Option<String>,
}

/// A requirement in a role.
#[derive(Clone, Debug)]
pub struct InRole {
    /// The role of the peer.
    pub role: Role,
    /// The cases that judged it, by default or strict.
    pub judged: Vec<Judged>,
    /// Why there is none.
    pub unjudged: Option<String>,
}

impl Row {
    /// A requirement that nothing shows yet.
    pub fn new(requirement: Requirement) -> Self {
        Self { requirement, kept: Kept::default(), shown: Vec::new(), roles: Vec::new(), untested: None }
    }

    /// What there is neither an example nor a reason for.
    pub fn open(&self) -> impl Iterator<Item = Proof> {
        let test = (self.shown.is_empty() && self.untested.is_none()).then_some(Proof::Test);
        let roles = self.roles.iter().filter(|role| role.judged.is_empty() && role.unjudged.is_none());
        test.into_iter().chain(roles.map(|role| Proof::Case(role.role)))
    }
}

/// Every requirement with what shows it, and what is wrong.
#[derive(Clone, Debug)]
pub struct Coverage {
    /// In the order of the specification.
    pub rows: Vec<Row>,
    /// What is wrong with the data and the tests.
    pub problems: Vec<Problem>,
}

/// A row of the tool's checklist in a role: the id, the role, and the reason for which it has no case.
pub type Applies<'a> = (&'a str, Role, Option<&'a str>);

impl Coverage {
    /// The requirements with their tests.
    pub fn new(requirements: Vec<Requirement>, sources: &[Source]) -> Self {
        let ids = Ids::new(&requirements);
        let mut coverage = Self { rows: Vec::new(), problems: Vec::new() };
        for requirement in requirements {
            if coverage.row(&requirement.id).is_some() {
                coverage.problems.push(Problem::Twice(requirement.id.clone()));
            }
            coverage.rows.push(Row::new(requirement));
        }
        for source in sources {
            coverage.add(&ids, source);
        }
        coverage
    }

    fn row(&mut self, id: &str) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.requirement.id == id)
    }

    /// Adds the roles that each applies to, and the verdicts in them.
    #[must_use]
    pub fn judged<'a>(mut self, applies: impl IntoIterator<Item = Applies<'a>>, record: &Record) -> Self {
        for (id, role, reason) in applies {
            let is_of = |judged: &&Judged| judged.row() == id && judged.role == role && judged.is_judgement();
            let judged = record.cases.iter().filter(is_of).cloned().collect();
            let unjudged = reason.map(str::to_owned);
            match self.row(id) {
                Some(row) => row.roles.push(InRole { role, judged, unjudged }),
                None => self.problems.push(Problem::Unknown { id: id.to_owned(), place: "amqp-conformance".into() }),
            }
        }
        self
    }

    /// Adds the reasons for which something is missing.
    #[must_use]
    pub fn exempt(mut self, exemptions: Vec<Exemption>) -> Self {
        for Exemption { id, of, reason } in exemptions {
            let shown_by = match (self.row(&id), of) {
                (Some(row), Proof::Test) if row.untested.is_none() => {
                    row.untested = Some(reason);
                    row.shown.first().map(|shown| shown.test.clone())
                }
                (Some(row), Proof::Case(role)) => match row.roles.iter_mut().find(|known| known.role == role) {
                    Some(role) if role.unjudged.is_none() => {
                        role.unjudged = Some(reason);
                        role.judged.first().map(|judged| judged.case.clone())
                    }
                    _ => {
                        self.problems.push(Problem::Exemption(id));
                        continue;
                    }
                },
                _ => {
                    self.problems.push(Problem::Exemption(id));
                    continue;
                }
            };
            self.problems.extend(shown_by.map(|by| Problem::ExemptButShown { id, of, by }));
        }
        self
    }

    /// Finds out how each is kept: the last step.
    #[must_use]
    pub fn kept(mut self, declared: &[Declared], items: &Items) -> Self {
        for row in &mut self.rows {
            let id = row.requirement.id.as_str();
            let judged: Vec<_> = row.roles.iter().flat_map(|role| &role.judged).collect();
            let declared: Vec<_> = declared.iter().filter(|declared| declared.id == id).collect();
            let (kept, problems) = Kept::of(id, &judged, &declared, items);
            row.kept = kept;
            self.problems.extend(problems);
        }
        for Declared { id, .. } in declared {
            if self.row(id).is_none() {
                self.problems.push(Problem::Unknown { id: id.clone(), place: "declared.tsv".into() });
            }
        }
        self
    }

    fn add(&mut self, ids: &Ids, source: &Source) {
        let found = ids.in_text(&source.file.comments);
        self.complain(&found, &source.path);
        for test in &source.file.tests {
            let path: Vec<_> = [&source.module].into_iter().chain(&test.modules).chain([&test.name]).cloned().collect();
            let shown = Shown { layer: source.layer, test: path.join("::"), file: source.path.clone() };
            for found in [ids.in_name(&test.name), ids.in_text(&test.text)] {
                self.complain(&found, &shown.test);
                for number in found.rows {
                    let row = &mut self.rows[number];
                    if let Err(at) = row.shown.binary_search(&shown) {
                        row.shown.insert(at, shown.clone());
                    }
                }
            }
        }
    }

    fn complain(&mut self, found: &Found, place: &str) {
        let unknown = found.unknown.iter().map(|id| Problem::Unknown { id: id.clone(), place: place.to_owned() });
        let ranges = found.ranges.iter().map(|range| Problem::Range { range: range.clone(), place: place.to_owned() });
        self.problems.extend(unknown.chain(ranges));
    }

    /// What is missing without a reason.
    pub fn open(&self) -> impl Iterator<Item = (&Row, Proof)> {
        self.rows.iter().flat_map(|row| row.open().map(move |proof| (row, proof)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{judged::Seen, rust_file::RustFile};
    use amqp_conformance::Verdict;

    fn requirement(id: &str) -> Requirement {
        Requirement { id: id.into(), severity: "MUST".into(), applies_to: "both".into(), text: "…".into() }
    }

    fn exemption(id: &str, of: Proof) -> Exemption {
        Exemption { id: id.into(), of, reason: "because".into() }
    }

    fn record(cases: &[(&str, Role, Verdict)]) -> Record {
        let seen = |verdict| Seen { verdict, reason: None };
        let judged = |(case, role, verdict): &(&str, Role, Verdict)| Judged {
            case: (*case).into(),
            role: *role,
            default: seen(*verdict),
            strict: seen(*verdict),
        };
        Record { cases: cases.iter().map(judged).collect() }
    }

    fn source(layer: usize, module: &str, source: &str) -> Source {
        Source { path: format!("{module}.rs"), layer, module: module.into(), file: RustFile::read(source) }
    }

    fn open(coverage: &Coverage) -> Vec<(&str, Proof)> {
        coverage.open().map(|(row, proof)| (row.requirement.id.as_str(), proof)).collect()
    }

    fn shown(coverage: &Coverage, row: usize) -> Vec<&str> {
        coverage.rows[row].shown.iter().map(|shown| shown.test.as_str()).collect()
    }

    #[test]
    fn tests_stand_with_what_they_show_lowest_first_and_once() {
        let requirements = ["T-2.2-1", "T-2.2-2", "E-x-1"].map(requirement).to_vec();
        let sources = [
            source(5, "high", "/// T-2.2-1\n#[test]\nfn t_2_2_1_again() {\n}\n"),
            source(0, "low", "/// Also T-2.2-2.\n#[test]\nfn t_2_2_1_first() {\n}\n"),
        ];
        let coverage = Coverage::new(requirements, &sources);
        assert_eq!(shown(&coverage, 0), ["low::t_2_2_1_first", "high::t_2_2_1_again"]);
        assert_eq!(shown(&coverage, 1), ["low::t_2_2_1_first"]);
        assert_eq!(open(&coverage), [("E-x-1", Proof::Test)]);
        assert_eq!(coverage.problems, []);
    }

    #[test]
    fn unknown_ids_are_reported_with_their_place() {
        let sources = [source(0, "low", "//! T-2.2-8\n/// T-2.2-9\n#[test]\nfn t_2_3_1_no() {\n}\n")];
        let coverage = Coverage::new(vec![requirement("T-2.2-1")], &sources);
        let unknown = |id: &str, place: &str| Problem::Unknown { id: id.into(), place: place.into() };
        assert_eq!(
            coverage.problems,
            [
                unknown("T-2.2-8", "low.rs"),
                unknown("t_2_3_1_no", "low::t_2_3_1_no"),
                unknown("T-2.2-9", "low::t_2_3_1_no"),
            ]
        );
    }

    #[test]
    fn a_requirement_has_the_cases_that_judged_each_of_its_roles() {
        let requirements = ["T-2.2-1", "T-2.2-2"].map(requirement).to_vec();
        let applies = [
            ("T-2.2-1", Role::Server, None),
            ("T-2.2-1", Role::Client, None),
            ("T-2.2-2", Role::Client, Some("not seen")),
            ("T-2.2-3", Role::Client, None),
        ];
        let record = record(&[
            ("T-2.2-1/a", Role::Server, Verdict::Pass),
            ("T-2.2-1/b", Role::Server, Verdict::Skip),
            ("T-2.2-1/c", Role::Client, Verdict::Unreachable),
        ]);
        let coverage = Coverage::new(requirements, &[]).judged(applies, &record);
        let cases = |row: usize, role: usize| {
            let judged = &coverage.rows[row].roles[role].judged;
            judged.iter().map(|judged| judged.case.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(cases(0, 0), ["T-2.2-1/a"]);
        assert_eq!(cases(0, 1), [""; 0]);
        assert_eq!(
            open(&coverage),
            [("T-2.2-1", Proof::Test), ("T-2.2-1", Proof::Case(Role::Client)), ("T-2.2-2", Proof::Test)]
        );
        assert_eq!(coverage.problems, [Problem::Unknown { id: "T-2.2-3".into(), place: "amqp-conformance".into() }]);
    }

    #[test]
    fn an_exemption_is_of_something_that_is_missing() {
        let requirements = ["T-2.2-1", "T-2.2-2", "T-2.2-2"].map(requirement).to_vec();
        let applies = [("T-2.2-1", Role::Server, None), ("T-2.2-2", Role::Server, Some("not seen"))];
        let record = record(&[("T-2.2-1/a", Role::Server, Verdict::Pass)]);
        let exemptions = [
            exemption("T-2.2-1", Proof::Test),
            exemption("T-2.2-1", Proof::Case(Role::Server)),
            exemption("T-2.2-1", Proof::Case(Role::Client)),
            exemption("T-2.2-2", Proof::Case(Role::Server)),
            exemption("T-2.2-2", Proof::Test),
            exemption("T-2.2-2", Proof::Test),
            exemption("E-y-1", Proof::Test),
        ];
        let source = source(0, "low", "#[test]\nfn t_2_2_1_x() {\n}\n");
        let coverage = Coverage::new(requirements, &[source]).judged(applies, &record).exempt(exemptions.to_vec());
        assert_eq!(
            coverage.problems,
            [
                Problem::Twice("T-2.2-2".into()),
                Problem::ExemptButShown { id: "T-2.2-1".into(), of: Proof::Test, by: "low::t_2_2_1_x".into() },
                Problem::ExemptButShown { id: "T-2.2-1".into(), of: Proof::Case(Role::Server), by: "T-2.2-1/a".into() },
                Problem::Exemption("T-2.2-1".into()),
                Problem::Exemption("T-2.2-2".into()),
                Problem::Exemption("T-2.2-2".into()),
                Problem::Exemption("E-y-1".into()),
            ]
        );
    }
}
