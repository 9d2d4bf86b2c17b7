//! The text of a script.

use crate::{
    case::{Case, Check, Role},
    client::Scenario,
    run::CaseResult,
    wire::{Logs, Step, WireLog},
};
use std::{
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

/// A script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The role of the peer.
    pub role: Role,
    /// The scenario for which a client is started, and its count.
    pub scenario: Option<(Scenario, u32)>,
    /// Remarks at the beginning.
    pub remarks: Vec<String>,
    /// The lines, in the order of time.
    pub lines: Vec<Line>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A connection is opened or accepted.
    Connect(usize),
    /// Octets are written.
    Send(usize, Octets),
    /// Something with this name is waited for.
    Expect(usize, String),
    /// Writing is finished.
    Finish(usize),
    /// The connection is left.
    Leave(usize),
    /// A pause.
    Wait(Duration),
}

/// Octets, in which the password of the login may occur.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Octets {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Octets(Vec<u8>),
    /// The place of a password of this length.
    Password(usize),
}

/// A script that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// The first line is missing.
    #[error("the first line must be `{HEAD}`")]
    Head,
    /// No line says which role the peer has.
    #[error("the line with the role is missing")]
    Role,
    /// The pauses are longer than those of any case.
    #[error("its pauses take longer than {} s together", PAUSES.as_secs())]
    Pauses,
    /// A line cannot be read.
    #[error("line {number} cannot be read: {text:?}")]
    Line {
        /// The number of the line, from 1.
        number: usize,
        /// The line, up to 80 characters.
        text: String,
    },
}

const HEAD: &str = "amqp-conformance-script 1";
/// The longest time of all pauses together: a slow case takes four times as long as `--timeout` allows others.
pub(super) const PAUSES: Duration = Duration::from_secs(3600);
/// The pause from which on it is repeated.
const PAUSE: Duration = Duration::from_millis(100);

impl Octets {
    /// These octets, without the password.
    pub fn new(octets: &[u8], password: Option<&str>) -> Self {
        let mut parts = Vec::new();
        let mut rest = octets;
        if let Some(password) = password.map(str::as_bytes).filter(|password| !password.is_empty()) {
            while let Some(at) = rest.windows(password.len()).position(|window| window == password) {
                let (before, after) = rest.split_at_checked(at).unwrap_or((rest, &[]));
                if !before.is_empty() {
                    parts.push(Part::Octets(before.to_vec()));
                }
                parts.push(Part::Password(password.len()));
                rest = after.get(password.len()..).unwrap_or_default();
            }
        }
        if !rest.is_empty() {
            parts.push(Part::Octets(rest.to_vec()));
        }
        Self { parts }
    }

    /// The octets with this password; `None` if one of another length is wanted, since lengths stand before it.
    pub fn with(&self, password: Option<&str>) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        for part in &self.parts {
            match part {
                Part::Octets(octets) => all.extend_from_slice(octets),
                Part::Password(length) => {
                    all.extend_from_slice(password.filter(|password| password.len() == *length)?.as_bytes());
                }
            }
        }
        Some(all)
    }
}

impl Script {
    /// The script of a case that has run.
    pub fn new(case: &Case, result: &CaseResult, logs: &Logs, password: Option<&str>) -> Self {
        let scenario = match case.check {
            Check::Client(scenario, _) => Some((scenario, logs.count().max(1))),
            Check::Server(_) => None,
        };
        let remarks = vec![
            format!("{}: {}", case.id, case.rule),
            format!("sends {}; wants {}", case.sends, case.wants),
            format!("{}: {}", result.outcome.verdict, result.outcome.reason),
        ];
        Self { role: case.role(), scenario, remarks, lines: lines(&logs.read(WireLog::steps), password) }
    }
}

/// The steps of all connections in the order of time.
fn lines(connections: &[Vec<(Instant, Step)>], password: Option<&str>) -> Vec<Line> {
    let numbered = connections.iter().zip(1usize..);
    let mut steps: Vec<(Instant, usize, &Step)> =
        numbered.flat_map(|(steps, number)| steps.iter().map(move |(at, step)| (*at, number, step))).collect();
    // Steps of the same connection are in their order already, and stay in it.
    steps.sort_by_key(|(at, _, _)| *at);
    let mut lines = Vec::new();
    let (mut connected, mut last) = (0, None::<Instant>);
    for (at, number, step) in steps {
        let pause = last.map_or(Duration::ZERO, |last| at.saturating_duration_since(last));
        last = Some(at);
        if number > connected {
            lines.extend((connected..number).map(|before| Line::Connect(before.saturating_add(1))));
            connected = number;
        }
        if pause >= PAUSE && !matches!(step, Step::Got(_)) {
            lines.push(Line::Wait(pause));
        }
        lines.push(match step {
            Step::Sent(octets) => Line::Send(number, Octets::new(octets, password)),
            Step::Got(name) => Line::Expect(number, name.clone()),
            Step::Finished => Line::Finish(number),
            Step::Left => Line::Leave(number),
            Step::Lost(_) => continue,
        });
    }
    lines
}

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Octets(octets) => octets.iter().try_for_each(|octet| write!(f, "{octet:02x}")),
            Part::Password(length) => write!(f, "{{password:{length}}}"),
        })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(number) => write!(f, "{number} connect"),
            Self::Send(number, octets) => write!(f, "{number} send {octets}"),
            Self::Expect(number, name) => write!(f, "{number} expect {name}"),
            Self::Finish(number) => write!(f, "{number} finish"),
            Self::Leave(number) => write!(f, "{number} leave"),
            Self::Wait(pause) => write!(f, "wait {}", pause.as_millis()),
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        for remark in &self.remarks {
            writeln!(f, "# {}", crate::report::one_line(remark))?;
        }
        match self.scenario {
            Some((scenario, count)) => writeln!(f, "role {} {} {count}", self.role, scenario.name())?,
            None => writeln!(f, "role {}", self.role)?,
        }
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Octets {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("{password:") {
                let (length, after) = after.split_once('}').ok_or(())?;
                parts.push(Part::Password(length.parse().map_err(|_| ())?));
                rest = after;
            } else {
                let (hex, after) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
                parts.push(Part::Octets(octets(hex).ok_or(())?));
                rest = after;
            }
        }
        Ok(Self { parts })
    }
}

/// Octets from hexadecimal digits; spaces are passed over.
fn octets(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = hex
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16))
        .map(|digit| u8::try_from(digit?).ok())
        .collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

impl FromStr for Line {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (first, rest) = text.split_once(' ').ok_or(())?;
        if first == "wait" {
            return rest.parse().map(|milliseconds| Self::Wait(Duration::from_millis(milliseconds))).map_err(|_| ());
        }
        let number = first.parse().ok().filter(|number| (1..=1024).contains(number)).ok_or(())?;
        match rest.split_once(' ').unwrap_or((rest, "")) {
            ("connect", "") => Ok(Self::Connect(number)),
            ("send", octets) => octets.parse().map(|octets| Self::Send(number, octets)),
            ("expect", name) if !name.trim().is_empty() => Ok(Self::Expect(number, String::from(name))),
            ("finish", "") => Ok(Self::Finish(number)),
            ("leave", "") => Ok(Self::Leave(number)),
            _ => Err(()),
        }
    }
}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let mut script = Self { role: Role::Server, scenario: None, remarks: Vec::new(), lines: Vec::new() };
        let mut lines = text.lines().zip(1usize..).map(|(line, number)| (line.trim(), number));
        if lines.next().is_none_or(|(head, _)| head != HEAD) {
            return Err(ScriptError::Head);
        }
        let mut has_role = false;
        for (line, number) in lines {
            let wrong = || ScriptError::Line { number, text: line.chars().take(80).collect() };
            if let Some(remark) = line.strip_prefix('#') {
                script.remarks.push(String::from(remark.trim()));
            } else if let Some(role) = line.strip_prefix("role ") {
                (script.role, script.scenario) = role_of(role).ok_or_else(wrong)?;
                has_role = true;
            } else if !line.is_empty() {
                script.lines.push(line.parse().map_err(|()| wrong())?);
            }
        }
        let pause = |line: &Line| if let Line::Wait(pause) = line { *pause } else { Duration::ZERO };
        if script.lines.iter().map(pause).fold(Duration::ZERO, Duration::saturating_add) > PAUSES {
            return Err(ScriptError::Pauses);
        }
        if has_role { Ok(script) } else { Err(ScriptError::Role) }
    }
}

fn role_of(text: &str) -> Option<(Role, Option<(Scenario, u32)>)> {
    let mut words = text.split_whitespace();
    let role = words.next()?;
    let scenario = match (role, words.next(), words.next()) {
        ("server", None, None) => None,
        ("client", Some(scenario), Some(count)) => Some((Scenario::named(scenario)?, count.parse().ok()?)),
        _ => return None,
    };
    let role = if scenario.is_some() { Role::Client } else { Role::Server };
    words.next().is_none().then_some((role, scenario))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "amqp-conformance-script 1\n# T-1: a rule\nrole client send 3\n1 connect\n1 send 41{password:6}42\n\
                        wait 250\n1 expect header\n1 finish\n1 leave\n";

    #[test]
    fn a_script_is_read_as_it_was_written() {
        let script: Script = TEXT.parse().expect("it is well formed");
        assert_eq!(script.to_string(), TEXT);
        assert_eq!(script.scenario, Some((Scenario::Send, 3)));
    }

    #[test]
    fn a_password_is_in_no_script_and_one_of_another_length_does_not_fit() {
        let octets = Octets::new(b"\0me\0sesame!", Some("sesame"));
        assert_eq!(octets.to_string(), "006d6500{password:6}21");
        assert_eq!(octets.with(Some("simsim")).as_deref(), Some(&b"\0me\0simsim!"[..]));
        assert_eq!(octets.with(Some("short")), None);
        assert_eq!(octets.with(None), None);
        assert_eq!(octets.to_string().parse(), Ok(octets));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        for line in ["1 jump", "x connect", "1 send 4", "1 send zz", "0 connect", "wait soon", "1 expect ", "1"] {
            let error = format!("{HEAD}\nrole server\n{line}\n").parse::<Script>().expect_err(line);
            assert!(matches!(error, ScriptError::Line { number: 3, .. }), "{line}: {error}");
        }
        assert_eq!("role server".parse::<Script>(), Err(ScriptError::Head));
        assert_eq!(format!("{HEAD}\n").parse::<Script>(), Err(ScriptError::Role));
    }

    #[test]
    fn the_pauses_of_a_script_are_bounded() {
        let script = |pauses: &str| format!("{HEAD}\nrole server\n{pauses}").parse::<Script>();
        assert!(script("wait 3600000\n").is_ok());
        for endless in ["wait 3600001\n", "wait 1800000\nwait 1800001\n", "wait 18446744073709551615\nwait 1\n"] {
            assert_eq!(script(endless), Err(ScriptError::Pauses), "{endless}");
        }
    }

    #[test]
    fn the_steps_of_several_connections_are_in_the_order_of_time() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let first = vec![(at(0), Step::Sent(vec![1])), (at(5), Step::Left)];
        let second =
            vec![(at(2), Step::Sent(vec![2])), (at(400), Step::Got(String::from("end"))), (at(900), Step::Left)];
        let lines: Vec<String> = lines(&[first, second], None).iter().map(ToString::to_string).collect();
        let wanted =
            ["1 connect", "1 send 01", "2 connect", "2 send 02", "1 leave", "2 expect end", "wait 500", "2 leave"];
        assert_eq!(lines, wanted);
    }
}
