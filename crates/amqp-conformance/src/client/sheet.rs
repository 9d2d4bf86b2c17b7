//! The capability sheet of a client: it plays each scenario once, up to its first link.

use super::{Attaching, ClientTarget, ClientTrial, Scenario, receives_from_node, sends_to_coordinator, sends_to_node};
use crate::{case::Need, server::Sheet, verdict::Stop};
use amqp1_codec::{
    definitions::{ReceiverSettleMode, Role, SenderSettleMode},
    frame::ProtocolHeader,
    messaging::TerminusDurability,
    performative::{Attach, Open},
    sasl::{SaslCode, SaslInit},
};
use amqp1_script::frames;
use std::{collections::BTreeSet, iter};

/// The capabilities of a client.
///
/// # Errors
///
/// If the command cannot be started, or reaches no scenario's first step. A client that connects in no scenario, and does not
/// end, is waited for in the first alone.
pub fn sheet_of(target: &ClientTarget) -> Result<Sheet, Stop> {
    let mut found = Found::default();
    let mut error = None;
    let links = LINKS.iter().map(|(scenario, is_wanted)| (*scenario, Some(*is_wanted)));
    for (scenario, is_wanted) in iter::once((Scenario::Idle, None)).chain(links) {
        let mut trial = ClientTrial::start(target, scenario, 1, false).map_err(Stop::NoConnection)?;
        let step = match is_wanted {
            None => found.open(&mut trial),
            Some(is_wanted) => found.link(&mut trial, scenario, is_wanted),
        };
        if let Err(stop) = step {
            error.get_or_insert_with(|| of_scenario(stop, scenario));
            // A command that runs and never connects would take its whole time with each of the others too.
            if found.sheet.scenarios.is_empty() && trial.is_silent() {
                break;
            }
        }
    }
    match error {
        Some(stop) if found.sheet.scenarios.is_empty() => Err(stop),
        _ => Ok(found.into_sheet()),
    }
}

/// The same, with the scenario that was played.
fn of_scenario(stop: Stop, scenario: Scenario) -> Stop {
    match stop {
        Stop::SetUp(reason) => Stop::SetUp(format!("scenario `{}`: {reason}", scenario.name())),
        other => other,
    }
}

type IsWanted = fn(&Attach) -> bool;

/// The link by which a scenario is known.
const LINKS: &[(Scenario, IsWanted)] = &[
    (Scenario::Send, sends_to_node),
    (Scenario::Receive, receives_from_node),
    (Scenario::Request, receives_from_node),
    (Scenario::Transaction, sends_to_coordinator),
];

#[derive(Default)]
struct Found {
    sheet: Sheet,
    sender_modes: BTreeSet<&'static str>,
    receiver_modes: BTreeSet<&'static str>,
}

impl Found {
    /// The login and the open, of the scenario `idle`.
    fn open(&mut self, trial: &mut ClientTrial<'_>) -> Result<(), Stop> {
        let set_up = |unexpected| Stop::set_up(&unexpected);
        let mut connection = trial.connected()?;
        let header = connection.expect_any_header().map_err(set_up)?;
        connection.header(header);
        if header == ProtocolHeader::SASL {
            connection.sasl(frames::mechanisms(&["ANONYMOUS", "PLAIN"]));
            let init = connection.expect::<SaslInit>().map_err(set_up)?;
            connection.sasl(frames::outcome(SaslCode::Ok));
            connection.expect_header(ProtocolHeader::AMQP).map_err(set_up)?;
            connection.header(ProtocolHeader::AMQP);
            self.sheet.features.push(Need::Sasl);
            if init.mechanism.as_str() == "PLAIN" {
                self.sheet.features.push(Need::Plain);
            }
            self.sheet.mechanisms.push(init.mechanism.to_string());
        }
        if trial.has_web_socket() {
            self.sheet.features.push(Need::WebSocket);
        }
        let open = connection.expect::<Open>().map_err(set_up)?.body;
        let Sheet { features, mechanisms, .. } = std::mem::take(&mut self.sheet);
        self.sheet = Sheet { features, mechanisms, ..Sheet::of_open(&open) };
        self.sheet.scenarios.push(String::from(Scenario::Idle.name()));
        Ok(())
    }

    /// The link of another scenario.
    fn link(&mut self, trial: &mut ClientTrial<'_>, scenario: Scenario, is_wanted: IsWanted) -> Result<(), Stop> {
        let Attaching { attach, session, .. } = trial.link_where(is_wanted)?;
        self.sheet.scenarios.push(String::from(scenario.name()));
        self.sheet.handle_max = Some(session.begin.handle_max);
        let source = attach.source.as_deref();
        if scenario == Scenario::Transaction {
            self.sheet.features.push(Need::Coordinator);
        } else if attach.role == Role::Sender {
            self.sender_modes.insert(match attach.snd_settle_mode {
                SenderSettleMode::Unsettled => "unsettled",
                SenderSettleMode::Settled => "settled",
                SenderSettleMode::Mixed => "mixed",
            });
        } else {
            self.receiver_modes.insert(match attach.rcv_settle_mode {
                ReceiverSettleMode::First => "first",
                ReceiverSettleMode::Second => "second",
            });
            if attach.rcv_settle_mode == ReceiverSettleMode::Second {
                self.sheet.features.push(Need::SettleSecond);
            }
        }
        if scenario == Scenario::Request && source.is_some_and(|source| source.dynamic) {
            self.sheet.features.push(Need::DynamicSource);
        }
        if source.is_some_and(|source| source.durable != TerminusDurability::None) {
            self.sheet.durability = Some(String::from("asks for a durable source"));
        }
        Ok(())
    }

    fn into_sheet(self) -> Sheet {
        let mut sheet = self.sheet;
        sheet.sender_settle_modes = self.sender_modes.into_iter().map(String::from).collect();
        sheet.receiver_settle_modes = self.receiver_modes.into_iter().map(String::from).collect();
        // The tool is the server here, and has these.
        sheet.features.extend([Need::Sessions, Need::Links, Need::Queue]);
        sheet
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::time::Duration;

    fn reason_against(script: &str, patience: Duration) -> String {
        let target = ClientTarget { patience, starting: patience, ..ClientTarget::new(["sh", "-c", script]) };
        sheet_of(&target).expect_err("it does not connect").into_outcome().reason
    }

    #[test]
    fn a_driver_that_ends_at_once_is_unreachable_with_its_last_words() {
        let script = "echo of no interest; printf 'no such file:\\n\\t\\033[1mdriver.js\\n' >&2; exit 7";
        assert_eq!(
            reason_against(script, Duration::from_secs(60)),
            "set-up: scenario `idle`: the client ended with exit status: 7 and did not connect; its standard error ends \
             with: no such file: | \\u{1b}[1mdriver.js"
        );
    }

    #[test]
    fn a_driver_that_never_connects_is_waited_for_in_one_scenario_alone() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let other = folder.path().join("other");
        let script = format!("[ $AMQP_SCENARIO = idle ] && exec sleep 300; touch '{}'", other.display());
        let reason = reason_against(&script, Duration::from_millis(500));
        assert_eq!(reason, "set-up: scenario `idle`: the client did not connect within 500ms");
        assert!(!other.exists(), "another scenario was played");
    }
}
