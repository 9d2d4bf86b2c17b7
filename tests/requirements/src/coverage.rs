//! Requirements, exemptions and tests put together.

use crate::{
    data::{Deviation, Exemption, Requirement},
    ids::{Found, Ids},
    problem::Problem,
    sources::Source,
};

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
    /// The tests, lowest layer first.
    pub shown: Vec<Shown>,
    /// Why there need be none.
    pub exempt: Option<String>,
    /// What is done otherwise by default, and why.
    pub deviation: Option<String>,
}

impl Row {
    /// Whether there is neither a test nor a reason.
    pub fn is_open(&self) -> bool {
        self.shown.is_empty() && self.exempt.is_none()
    }
}

/// Every requirement with what shows it, and what was found wrong meanwhile.
#[derive(Clone, Debug)]
pub struct Coverage {
    /// In the order of the specification.
    pub rows: Vec<Row>,
    /// What is wrong with the data and the tests.
    pub problems: Vec<Problem>,
}

impl Coverage {
    /// Puts them together.
    pub fn new(requirements: Vec<Requirement>, exemptions: Vec<Exemption>, sources: &[Source]) -> Self {
        let ids = Ids::new(&requirements);
        let mut coverage = Self { rows: Vec::new(), problems: Vec::new() };
        for requirement in requirements {
            if coverage.rows.iter().any(|row| row.requirement.id == requirement.id) {
                coverage.problems.push(Problem::Twice(requirement.id.clone()));
            }
            coverage.rows.push(Row { requirement, shown: Vec::new(), exempt: None, deviation: None });
        }
        for source in sources {
            coverage.add(&ids, source);
        }
        for exemption in exemptions {
            coverage.exempt(&exemption);
        }
        coverage
    }

    /// Records what is done otherwise.
    #[must_use]
    pub fn deviating(mut self, deviations: Vec<Deviation>) -> Self {
        for Deviation { id, text } in deviations {
            match self.rows.iter_mut().find(|row| row.requirement.id == id && row.deviation.is_none()) {
                Some(row) => row.deviation = Some(text),
                None => self.problems.push(Problem::Deviation(id)),
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

    fn exempt(&mut self, exemption: &Exemption) {
        let mut covered = false;
        for row in self.rows.iter_mut().filter(|row| exemption.covers(&row.requirement.id)) {
            covered |= row.exempt.is_none();
            row.exempt.get_or_insert_with(|| exemption.reason.clone());
            if let Some(shown) = row.shown.first() {
                let (id, test) = (row.requirement.id.clone(), shown.test.clone());
                self.problems.push(Problem::ExemptButShown { id, test });
            }
        }
        if !covered {
            self.problems.push(Problem::Exemption(exemption.id.clone()));
        }
    }

    /// The requirements with neither a test nor a reason.
    pub fn open(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_open())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rust_file::RustFile;

    fn requirement(id: &str) -> Requirement {
        Requirement { id: id.into(), severity: "MUST".into(), applies_to: "both".into(), text: "…".into() }
    }

    fn exemption(id: &str) -> Exemption {
        Exemption { id: id.into(), reason: "because".into() }
    }

    fn source(layer: usize, module: &str, source: &str) -> Source {
        Source { path: format!("{module}.rs"), layer, module: module.into(), file: RustFile::read(source) }
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
        let coverage = Coverage::new(requirements, vec![], &sources);
        assert_eq!(shown(&coverage, 0), ["low::t_2_2_1_first", "high::t_2_2_1_again"]);
        assert_eq!(shown(&coverage, 1), ["low::t_2_2_1_first"]);
        assert_eq!(coverage.open().map(|row| row.requirement.id.as_str()).collect::<Vec<_>>(), ["E-x-1"]);
        assert_eq!(coverage.problems, []);
    }

    #[test]
    fn unknown_ids_are_told_with_their_place() {
        let sources = [source(0, "low", "//! T-2.2-8\n/// T-2.2-9\n#[test]\nfn t_2_3_1_no() {\n}\n")];
        let coverage = Coverage::new(vec![requirement("T-2.2-1")], vec![], &sources);
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
    fn a_deviation_is_from_one_requirement_that_has_none_yet() {
        let deviation = |id: &str| Deviation { id: id.into(), text: "otherwise".into() };
        let coverage = Coverage::new(["T-2.2-1"].map(requirement).to_vec(), vec![], &[]);
        let coverage = coverage.deviating(["T-2.2-1", "T-2.2-1", "T-2.2"].map(deviation).to_vec());
        assert_eq!(coverage.rows[0].deviation.as_deref(), Some("otherwise"));
        assert_eq!(coverage.problems, ["T-2.2-1", "T-2.2"].map(|id| Problem::Deviation(id.into())));
    }

    #[test]
    fn an_exemption_must_cover_something_that_no_test_shows() {
        let requirements = ["T-2.2-1", "E-x-1", "E-x-2", "E-x-2"].map(requirement).to_vec();
        let exemptions = ["T-2.2-1", "E-x", "E-x-1", "E-y"].map(exemption).to_vec();
        let coverage = Coverage::new(requirements, exemptions, &[source(0, "low", "#[test]\nfn t_2_2_1_x() {\n}\n")]);
        assert_eq!(coverage.open().count(), 0);
        assert_eq!(
            coverage.problems,
            [
                Problem::Twice("E-x-2".into()),
                Problem::ExemptButShown { id: "T-2.2-1".into(), test: "low::t_2_2_1_x".into() },
                Problem::Exemption("E-x-1".into()),
                Problem::Exemption("E-y".into()),
            ]
        );
    }
}
