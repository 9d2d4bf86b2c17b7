//! Reports of runs: JSON, JUnit XML, one HTML page, a tree in the terminal, and the difference to an earlier report.
#![doc = ""]
#![doc = include_str!("../../docs/report.md")]

mod baseline;
mod escape;
mod expected;
#[cfg(test)]
mod golden;
mod html;
mod junit;
mod markdown;
mod sections;
mod terminal;
#[cfg(test)]
mod tests;
mod texts;

pub use baseline::Changes;
pub(crate) use escape::one_line;
pub use expected::{Expectation, Expectations, ExpectationsError, Expected};
#[cfg(test)]
pub(crate) use golden::golden;
pub use html::Html;
pub use junit::Junit;
pub use markdown::Markdown;
pub(crate) use sections::place_of;
pub use sections::{Section, section_of};
pub use terminal::Terminal;
pub(crate) use texts::Texts;

use crate::{
    case::Role,
    run::{self, CaseResult, FailOn, Level, Options, Target},
    server::Sheet,
    verdict::Verdict,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// The version of the JSON schema; see the crate's documentation. It changes when a field is removed or changes its
/// meaning.
pub const SCHEMA: u32 = 1;

/// The result of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The version of this tool.
    pub tool: String,
    /// The peer.
    pub peer: Peer,
    /// The level.
    pub level: Level,
    /// Whether hostile cases were run.
    pub robustness: bool,
    /// Whether slow cases were run.
    pub slow: bool,
    /// Whether the run was interrupted: cases that were not judged are unreachable.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// The capabilities of the peer.
    pub sheet: Sheet,
    /// The number of cases for each verdict.
    pub summary: BTreeMap<Verdict, usize>,
    /// The number of results that were taken out: see [`withhold`](Self::withhold).
    #[serde(default)]
    pub withheld: usize,
    /// Entries of the file of expected failures whose cases pass.
    pub stale: Vec<String>,
    /// The results, in the order of the specification.
    pub cases: Vec<CaseResult>,
}

/// The peer of a report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// Its name in reports.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// The product of its open.
    pub product: Option<String>,
    /// The version of its open.
    pub version: Option<String>,
    /// The address, or the command.
    pub address: String,
    /// The layers below AMQP: `tcp`, `tls`, `tls, certificate not verified`, `ws over tcp`.
    pub transport: String,
}

/// The end of the transport of a server whose certificate was not verified.
const UNVERIFIED: &str = "certificate not verified";

/// The number of characters of a peer's name that are shown: a page repeats it for each case.
const LONGEST_NAME: usize = 200;

impl Peer {
    /// The name in one line, cut to 200 characters, and that the certificate was not verified: every report says so.
    pub fn title(&self) -> String {
        let mut name = one_line(&self.name);
        if let Some((end, _)) = name.char_indices().nth(LONGEST_NAME) {
            name.truncate(end);
            name.push('…');
        }
        if self.transport.ends_with(UNVERIFIED) { format!("{name} ({UNVERIFIED})") } else { name }
    }
}

impl Report {
    /// The report of a run. The target's secrets are masked in it, and each text is one line.
    pub fn new(target: &Target, sheet: &Sheet, options: &Options, cases: Vec<CaseResult>, stale: Vec<String>) -> Self {
        let address = match target {
            Target::Server(server) => format!("{}:{}", server.hostname, server.address.port()),
            Target::Client(client) if client.command.is_empty() => format!("client at {}", client.listen),
            Target::Client(client) => run::masked(&client.command).join(" "),
        };
        let product =
            [sheet.product.clone(), sheet.version.clone()].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let name = match &options.peer_name {
            Some(name) => name.clone(),
            None if product.is_empty() => address.clone(),
            None => product,
        };
        let mut report = Self {
            schema: SCHEMA,
            tool: String::from(env!("CARGO_PKG_VERSION")),
            peer: Peer {
                name,
                role: target.role(),
                product: sheet.product.clone(),
                version: sheet.version.clone(),
                address,
                transport: target.transport(),
            },
            level: options.selection.level,
            robustness: options.selection.robustness,
            slow: options.selection.slow,
            interrupted: false,
            sheet: sheet.clone(),
            summary: summary(&cases),
            withheld: 0,
            stale,
            cases,
        };
        let secrets = target.secrets();
        report.each_foreign(&mut |text| *text = one_line(&secrets.text(text)));
        report.cases.iter_mut().for_each(|case| secrets.hide(&mut case.wire));
        report
    }

    /// Reads a report from JSON, which may be anybody's: each text becomes one line, and the summary that of the results.
    ///
    /// # Errors
    ///
    /// If it is not a report, or one of a schema that this version does not know.
    pub fn from_json(json: &[u8]) -> Result<Self, ReportError> {
        #[derive(Deserialize)]
        struct Schema {
            schema: u32,
        }
        let Schema { schema } = serde_json::from_slice(json)?;
        if schema != SCHEMA {
            return Err(ReportError::Schema(schema));
        }
        let mut report: Self = serde_json::from_slice(json)?;
        report.each_text(&mut |text| *text = one_line(text));
        // The results are what counts.
        report.summary = summary(&report.cases);
        Ok(report)
    }

    /// Takes out the results that say how a peer can be stopped, for a report that others may read.
    pub fn withhold(&mut self) {
        let before = self.cases.len();
        self.cases.retain(|case| !matches!(case.outcome.verdict, Verdict::Hung | Verdict::Crashed));
        self.withheld = self.withheld.saturating_add(before.saturating_sub(self.cases.len()));
        self.summary = summary(&self.cases);
    }

    /// Does the same for reports that are read side by side: the cases are taken out of all reports of the role, so that
    /// a gap does not tell which peer it is.
    pub fn withhold_all(reports: &mut [Self]) {
        let ids: BTreeSet<(Role, String)> = reports
            .iter()
            .flat_map(|report| &report.cases)
            .filter(|case| matches!(case.outcome.verdict, Verdict::Hung | Verdict::Crashed))
            .map(|case| (case.role, case.id.clone()))
            .collect();
        for report in reports {
            report.withhold();
            report.cases.retain(|case| !ids.contains(&(case.role, case.id.clone())));
            report.summary = summary(&report.cases);
        }
    }

    /// The number of cases with this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.summary.get(&verdict).copied().unwrap_or_default()
    }

    /// The results that make the run fail: those that are at least this bad, and not expected.
    pub fn unexpected(&self, fail_on: FailOn) -> impl Iterator<Item = &CaseResult> {
        self.cases.iter().filter(move |case| fail_on.includes(case.outcome.verdict) && case.expected.is_none())
    }
}

fn summary(cases: &[CaseResult]) -> BTreeMap<Verdict, usize> {
    let mut summary = BTreeMap::new();
    for case in cases {
        let count: &mut usize = summary.entry(case.outcome.verdict).or_default();
        *count = count.saturating_add(1);
    }
    summary
}

/// A report that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// It is not a report.
    #[error("it is not a report (JSON)")]
    Json(#[from] serde_json::Error),
    /// It is of another version of the schema.
    #[error("its schema is {0}, and this version of the tool reads schema {SCHEMA}")]
    Schema(u32),
}

/// What fails, a line for each case.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.peer.title())?;
        for case in self.unexpected(FailOn::Warn) {
            writeln!(f, "{} {}: {}", case.outcome.verdict, one_line(&case.id), one_line(&case.outcome.reason))?;
        }
        Ok(())
    }
}
