//! The result of one case.

use amqp1_codec::frame::FrameErrorKind;
use amqp1_script::{Got, Unexpected, Why};
use serde::{Deserialize, Serialize};
use std::{fmt, io};

/// The result of one case, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The peer does what the rule asks.
    Pass,
    /// The peer refuses, but ends more than the text names: the session instead of the link, for instance.
    PassWider,
    /// The text is silent, and the observation is recorded.
    Info,
    /// The peer does not offer the feature.
    Skip,
    /// The case could not be reached: its set-up or its positive twin fails.
    Unreachable,
    /// The peer does not follow a recommendation (SHOULD).
    Warn,
    /// The peer breaks the rule.
    Fail,
    /// After the case the peer answers no new connection in time.
    Hung,
    /// After the case the peer accepts no connection at all, or its process has died.
    Crashed,
}

impl Verdict {
    /// Every verdict, from best to worst.
    pub const ALL: [Self; 9] = [
        Self::Pass,
        Self::PassWider,
        Self::Info,
        Self::Skip,
        Self::Unreachable,
        Self::Warn,
        Self::Fail,
        Self::Hung,
        Self::Crashed,
    ];

    /// The name that reports show.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::PassWider => "pass-wider",
            Self::Info => "info",
            Self::Skip => "skip",
            Self::Unreachable => "unreachable",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Hung => "hung",
            Self::Crashed => "crashed",
        }
    }

    /// Returns `true` if the case has judged the peer, so that it could have failed.
    pub const fn is_judgement(self) -> bool {
        !matches!(self, Self::Info | Self::Skip | Self::Unreachable)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A verdict and its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The reason in one line; a remark, or empty, where the verdict is [`Verdict::Pass`].
    pub reason: String,
}

impl Outcome {
    /// A verdict with its reason.
    pub fn new(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self { verdict, reason: reason.into() }
    }

    /// The peer does what the rule asks.
    pub fn pass() -> Self {
        Self::new(Verdict::Pass, "")
    }

    /// The peer does what the rule asks; `remark` says how.
    pub fn pass_with(remark: impl Into<String>) -> Self {
        Self::new(Verdict::Pass, remark)
    }

    /// The peer breaks the rule.
    pub fn fail(reason: impl Into<String>) -> Self {
        Self::new(Verdict::Fail, reason)
    }

    /// The peer does not follow a recommendation.
    pub fn warn(reason: impl Into<String>) -> Self {
        Self::new(Verdict::Warn, reason)
    }

    /// The text is silent; `reason` is the observation.
    pub fn info(reason: impl Into<String>) -> Self {
        Self::new(Verdict::Info, reason)
    }

    /// The peer does not offer the feature.
    pub fn skip(reason: impl Into<String>) -> Self {
        Self::new(Verdict::Skip, reason)
    }
}

/// The end of a case before its last line.
///
/// Cases use `?` on it: a step of the set-up gives [`Stop::SetUp`], and an [`Unexpected`] of the check itself a failure.
#[derive(Debug)]
pub enum Stop {
    /// The state in which the rule can be checked was not reached.
    SetUp(String),
    /// The peer has refused the login.
    Refused(String),
    /// The verdict is known.
    Known(Outcome),
    /// No connection could be made or accepted.
    NoConnection(io::Error),
}

impl From<Unexpected> for Stop {
    fn from(unexpected: Unexpected) -> Self {
        Self::Known(Outcome::fail(instead(&unexpected)))
    }
}

/// What came instead of what was expected. Octets that are no frame are the peer's fault: the tool reads by the
/// definitions of the specification.
fn instead(unexpected: &Unexpected) -> String {
    let Unexpected { wanted, got, .. } = unexpected;
    match &**got {
        Got::Undecodable { why: Why::Frame(error), octets } => {
            let why = match &error.kind {
                FrameErrorKind::Body(error) => format!("{error} (§1)"),
                _ => format!("{error} (§2.3)"),
            };
            format!("expected {wanted}, but the peer sent {} octets that are malformed: {why}", octets.len())
        }
        got => format!("expected {wanted}, got {got}"),
    }
}

impl From<Outcome> for Stop {
    fn from(outcome: Outcome) -> Self {
        Self::Known(outcome)
    }
}

impl Stop {
    /// The set-up did not succeed, for this reason.
    pub fn set_up(unexpected: &Unexpected) -> Self {
        Self::SetUp(instead(unexpected))
    }

    /// The same in a set-up, whose failure is not what the case judges.
    #[must_use]
    pub fn in_set_up(self) -> Self {
        match self {
            Self::Known(outcome) if outcome.verdict == Verdict::Fail => Self::SetUp(outcome.reason),
            other => other,
        }
    }

    /// The outcome of a case that stops here.
    pub fn into_outcome(self) -> Outcome {
        match self {
            Self::SetUp(reason) | Self::Refused(reason) => {
                Outcome::new(Verdict::Unreachable, format!("set-up: {reason}"))
            }
            Self::Known(outcome) => outcome,
            Self::NoConnection(error) => Outcome::new(Verdict::Unreachable, format!("no connection: {error}")),
        }
    }
}
