//! A case: one rule, the frames that test it, and the answer that it wants.

use crate::{
    client::{ClientTrial, Scenario},
    server::ServerTrial,
    verdict::{Outcome, Stop},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The strength of a rule (RFC 2119).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// MUST, MUST NOT, or a rule that follows from the text.
    Must,
    /// SHOULD, SHOULD NOT, RECOMMENDED.
    Should,
    /// MAY, or a point on which the text is silent.
    May,
}

/// A property by which cases are selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tag {
    /// Sends what may exhaust or stop a peer that does not defend itself: only with `--robustness`.
    Hostile,
    /// Takes more than five seconds: only with `--slow`.
    Slow,
    /// Restarts the peer: only with `--restart`.
    Restart,
    /// Judged at `--level strict` alone, since practice differs from the text.
    Strict,
}

/// A feature without which a case is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// A coordinator of transactions (§4.2).
    Coordinator,
    /// Dynamic sources (§3.5.3).
    DynamicSource,
    /// Dynamic targets (§3.5.4).
    DynamicTarget,
    /// A receiver of the peer's that settles second (§2.8.3).
    SettleSecond,
    /// SASL (§5.3).
    Sasl,
    /// SASL PLAIN, with a user and a password (RFC 4616).
    Plain,
    /// SASL SCRAM-SHA-1, SCRAM-SHA-256 or SCRAM-SHA-512, with a user and a password.
    Scram,
    /// The anonymous terminus.
    AnonymousRelay,
    /// A sender of the peer's that gives an unsettled map when a link is attached again (§2.6.13).
    Resume,
    /// TLS below AMQP: `--tls`.
    Tls,
    /// A node that keeps what it is sent for another receiver: a queue.
    Queue,
    /// Sources that copy (§3.5.7).
    Browse,
    /// The selector filter of the Apache registry.
    Selector,
    /// More than one session on a connection: `channel-max` above 0.
    Sessions,
    /// More than one link on a session: `handle-max` above 0.
    Links,
    /// A claims-based security node, `$cbs`.
    Cbs,
    /// A management node, `$management`.
    Management,
    /// The policy that a container has one connection.
    SoleConnection,
    /// WebSocket below AMQP: `--ws`.
    WebSocket,
}

impl Need {
    /// The feature in a few words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Coordinator => "a coordinator of transactions",
            Self::DynamicSource => "dynamic sources",
            Self::DynamicTarget => "dynamic targets",
            Self::SettleSecond => "receivers that settle second",
            Self::Sasl => "SASL",
            Self::Plain => "SASL PLAIN with a user of ours",
            Self::Scram => "SASL SCRAM with a user of ours",
            Self::AnonymousRelay => "the anonymous terminus",
            Self::Resume => "unsettled maps of links that are attached again",
            Self::Tls => "TLS",
            Self::Queue => "a queue",
            Self::Browse => "sources that copy",
            Self::Selector => "selector filters",
            Self::Sessions => "more than one session",
            Self::Links => "more than one link",
            Self::Cbs => "claims-based security",
            Self::Management => "a management node",
            Self::SoleConnection => "one connection for a container",
            Self::WebSocket => "WebSocket",
        }
    }
}

/// The check of a case, for a peer in this role.
#[derive(Clone, Copy)]
pub enum Check {
    /// The peer is a server: the tool connects.
    Server(fn(&mut ServerTrial<'_>) -> Result<Outcome, Stop>),
    /// The peer is a client: it is asked for this scenario, and the tool listens.
    Client(Scenario, fn(&mut ClientTrial<'_>) -> Result<Outcome, Stop>),
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(_) => f.write_str("Server"),
            Self::Client(scenario, _) => write!(f, "Client({scenario:?})"),
        }
    }
}

/// The lawful counterpart of cases that break a rule: the same set-up, and a frame without the flaw.
///
/// A peer that refuses this as well would pass the case for the wrong reason, so the case is unreachable for it. A twin
/// runs once in a run, and cases with the same set-up share it.
#[derive(Debug)]
pub struct Twin {
    /// Its name, unique in its role.
    pub name: &'static str,
    /// The check, which passes or fails.
    pub check: Check,
}

/// One rule, and how it is tested. A table of these is in each file below `server::cases` and `client::cases`.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The row of the checklist, and after a slash the variant if the row has several: `T-2.4.1-1/begin`.
    pub id: &'static str,
    /// The strength of the rule.
    pub severity: Severity,
    /// The rule in one sentence, with its section.
    pub rule: &'static str,
    /// The frames that are sent, in a few words.
    pub sends: &'static str,
    /// The answer that the rule wants, in a few words.
    pub wants: &'static str,
    /// How it is selected.
    pub tags: &'static [Tag],
    /// The features that the peer must have.
    pub needs: &'static [Need],
    /// The lawful counterpart, if the case breaks a rule.
    pub twin: Option<&'static Twin>,
    /// The check.
    pub check: Check,
}

impl Case {
    /// A MUST against a server, to be completed by `..Case::SERVER`.
    pub const SERVER: Self = Self {
        id: "",
        severity: Severity::Must,
        rule: "",
        sends: "",
        wants: "",
        tags: &[],
        needs: &[],
        twin: None,
        check: Check::Server(|_| Err(Stop::SetUp(String::from("the case has no check")))),
    };

    /// A MUST against a client, to be completed by `..Case::CLIENT`.
    pub const CLIENT: Self = Self {
        check: Check::Client(Scenario::Send, |_| Err(Stop::SetUp(String::from("the case has no check")))),
        ..Self::SERVER
    };

    /// The row of the checklist.
    pub fn row(&self) -> &'static str {
        self.id.split_once('/').map_or(self.id, |(row, _)| row)
    }

    /// The section of the specification, `"2.4.1"`; `None` for rows that do not name one.
    pub fn section(&self) -> Option<&'static str> {
        let mut parts = self.row().split('-');
        parts.next()?;
        parts.next().filter(|section| section.starts_with(|c: char| c.is_ascii_digit()))
    }

    /// Returns `true` if it has this tag.
    pub fn has(&self, tag: Tag) -> bool {
        self.tags.contains(&tag)
    }

    /// The role of the peer under test.
    pub const fn role(&self) -> Role {
        match self.check {
            Check::Server(_) => Role::Server,
            Check::Client(..) => Role::Client,
        }
    }
}

/// The role of the peer under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It accepts connections.
    Server,
    /// It connects.
    Client,
}
