//! SASL frames in octets, and how a server gives up a dialog.

use crate::{
    case::{Check, Twin},
    server::{Login, ServerTrial},
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::{
    frame::ProtocolHeader,
    sasl::{SaslBody, SaslCode, SaslMechanisms, SaslOutcome},
};
use amqp1_script::{Got, frames};

/// The header of the SASL layer.
pub(super) const HEADER: &[u8] = b"AMQP\x03\x01\x00\x00";
/// The header of AMQP.
pub(super) const AMQP: &[u8] = b"AMQP\x00\x01\x00\x00";
/// A `sasl-init` for ANONYMOUS.
pub(super) const INIT: &[u8] = b"\0\0\0\x19\x02\x01\0\0\0\x53\x41\xc0\x0c\x01\xa3\x09ANONYMOUS";
/// A `sasl-init` for a mechanism that does not exist.
pub(super) const INIT_UNKNOWN: &[u8] = b"\0\0\0\x1b\x02\x01\0\0\0\x53\x41\xc0\x0e\x01\xa3\x0bX-NO-SUCH-M";
/// A `sasl-init` for PLAIN without an initial response.
pub(super) const INIT_PLAIN: &[u8] = b"\0\0\0\x15\x02\x01\0\0\0\x53\x41\xc0\x08\x01\xa3\x05PLAIN";

/// The server offers its mechanisms, and the dialog with the tool's login succeeds.
pub(super) static LOGIN: Twin = Twin { name: "login", check: Check::Server(login) };

fn login(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    if trial.target().login == Login::None {
        let mut connection = offered(trial)?;
        connection.raw(INIT);
        let outcome = connection.expect::<SaslOutcome>()?;
        return Ok(if outcome.code == SaslCode::Ok { Outcome::pass() } else { Outcome::fail("ANONYMOUS is refused") });
    }
    trial.authenticated()?;
    Ok(Outcome::pass())
}

/// A connection on which the server has offered its mechanisms.
pub(super) fn offered(trial: &mut ServerTrial<'_>) -> Result<Connection, Stop> {
    offered_with(trial).map(|(connection, _)| connection)
}

/// The same with what it has offered.
pub(super) fn offered_with(trial: &mut ServerTrial<'_>) -> Result<(Connection, SaslMechanisms), Stop> {
    let mut connection = trial.connected()?;
    connection.header(ProtocolHeader::SASL);
    connection.expect_header(ProtocolHeader::SASL).map_err(|unexpected| Stop::set_up(&unexpected))?;
    let mechanisms = connection.expect::<SaslMechanisms>().map_err(|unexpected| Stop::set_up(&unexpected))?;
    Ok((connection, mechanisms.body))
}

/// The name of a mechanism that the server offers.
pub(super) fn offers(trial: &mut ServerTrial<'_>, name: &str) -> Result<Connection, Stop> {
    let (connection, offered) = offered_with(trial)?;
    if offered.sasl_server_mechanisms.iter().any(|mechanism| mechanism.as_str() == name) {
        Ok(connection)
    } else {
        Err(Outcome::skip(format!("the server does not offer {name}")).into())
    }
}

/// Passes if the server gives up: it says that the login has failed, or the stream ends.
///
/// Both ends must shut down their outgoing stream when the layer terminates (§5.1), and the text does not say which of
/// them begins. So a server that has told the outcome may wait for the tool's end.
pub(super) fn gives_up(connection: &mut Connection) -> Outcome {
    gives_up_after(None, connection)
}

/// The same for a server that has told this outcome already.
pub(super) fn gives_up_after(mut said: Option<SaslCode>, connection: &mut Connection) -> Outcome {
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        match connection.next_within(deadline.saturating_sub(connection.now())) {
            Got::Header(ProtocolHeader::SASL) | Got::Sasl(SaslBody::Mechanisms(_)) if said.is_none() => {}
            Got::Sasl(SaslBody::Outcome(outcome)) if said.is_none() && outcome.code != SaslCode::Ok => {
                said = Some(outcome.code);
            }
            got if got.is_end() => {
                let remark =
                    said.map_or_else(|| String::from("the end without an outcome"), |code| format!("outcome {code:?}"));
                return Outcome::pass_with(remark);
            }
            Got::Timeout { waited, .. } => {
                return match said {
                    Some(code) => ends_after_ours(connection, code),
                    None => Outcome::fail(format!("neither an outcome nor the end within {waited:?}")),
                };
            }
            got => return Outcome::fail(format!("expected the end of the dialog, got {got}")),
        }
    }
}

/// Passes if the server ends the stream once the tool has.
fn ends_after_ours(connection: &mut Connection, code: SaslCode) -> Outcome {
    connection.finish();
    match connection.next() {
        got if got.is_end() => Outcome::pass_with(format!("outcome {code:?}, and the end after the tool's")),
        Got::Timeout { waited, .. } => {
            Outcome::fail(format!("outcome {code:?}, and the stream is still open {waited:?} after the tool's end"))
        }
        got => Outcome::fail(format!("expected the end of the dialog, got {got}")),
    }
}

/// Passes if the dialog succeeds that [`init_body`] has begun.
pub(super) fn logs_in(trial: &ServerTrial<'_>, connection: &mut Connection) -> Result<Outcome, Stop> {
    succeeds_by(&trial.target().login, connection)
}

/// Passes if the dialog that these octets end succeeds.
pub(super) fn succeeds(connection: &mut Connection) -> Result<Outcome, Stop> {
    succeeds_by(&Login::Anonymous, connection)
}

fn succeeds_by(login: &Login, connection: &mut Connection) -> Result<Outcome, Stop> {
    let outcome = login.outcome(connection)?;
    if outcome.code == SaslCode::Ok {
        Ok(Outcome::pass())
    } else {
        Ok(Outcome::fail(format!("outcome {:?}", outcome.code)))
    }
}

/// A frame of this type, with this `doff` and these octets 6 and 7, around a body.
pub(super) fn frame(doff: u8, kind: u8, ignored: [u8; 2], body: &[u8]) -> Vec<u8> {
    let extended = usize::from(doff).saturating_mul(4).saturating_sub(8);
    let size = u32::try_from(body.len().saturating_add(extended).saturating_add(8)).unwrap_or(u32::MAX);
    [&size.to_be_bytes()[..], &[doff, kind], &ignored, &vec![0xee; extended], body].concat()
}

/// The `sasl-init` of the tool's login, or ANONYMOUS, as a body without its frame header.
pub(super) fn init_body(trial: &ServerTrial<'_>) -> Vec<u8> {
    let init = trial.target().login.init().unwrap_or_else(frames::anonymous);
    frames::sasl(&SaslBody::Init(init)).get(8..).unwrap_or_default().to_vec()
}
