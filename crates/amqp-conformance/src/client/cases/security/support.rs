//! SASL frames in octets, and how a client gives up a dialog.

use crate::{
    case::{Check, Twin},
    client::{ClientTrial, Scenario},
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::{
    frame::ProtocolHeader,
    performative::Open,
    sasl::{SaslBody, SaslInit},
};
use amqp1_script::{Got, frames};
use std::time::Duration;

/// `sasl-mechanisms` with ANONYMOUS and PLAIN.
pub(super) const MECHANISMS: &[u8] =
    b"\0\0\0\x22\x02\x01\0\0\0\x53\x40\xc0\x15\x01\xe0\x12\x02\xa3\x09ANONYMOUS\x05PLAIN";
/// `sasl-outcome` with the code ok.
pub(super) const OK: &[u8] = b"\0\0\0\x10\x02\x01\0\0\0\x53\x44\xc0\x03\x01\x50\x00";

/// The client logs in, and opens the connection.
pub(super) static LOGIN: Twin = Twin { name: "login", check: Check::Client(Scenario::Send, login) };

fn login(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = asked(trial)?;
    connection.raw(MECHANISMS);
    connection.expect::<SaslInit>()?;
    connection.raw(OK);
    opens(&mut connection)
}

/// A connection on which the SASL headers were exchanged, and no mechanism was offered.
pub(super) fn asked(trial: &mut ClientTrial<'_>) -> Result<Connection, Stop> {
    let mut connection = trial.connected()?;
    let header = connection.expect_any_header().map_err(|unexpected| Stop::set_up(&unexpected))?;
    if header != ProtocolHeader::SASL {
        return Err(Stop::SetUp(String::from("the client does not use SASL")));
    }
    connection.header(ProtocolHeader::SASL);
    Ok(connection)
}

/// The same after ANONYMOUS and PLAIN were offered, with what the client has chosen.
pub(super) fn chosen(trial: &mut ClientTrial<'_>) -> Result<(Connection, SaslInit), Stop> {
    let mut connection = asked(trial)?;
    connection.raw(MECHANISMS);
    let init = connection.expect::<SaslInit>().map_err(|unexpected| Stop::set_up(&unexpected))?;
    Ok((connection, init.body))
}

/// Passes if the client goes on to the AMQP layer.
pub(super) fn opens(connection: &mut Connection) -> Result<Outcome, Stop> {
    connection.expect_header(ProtocolHeader::AMQP)?;
    connection.header(ProtocolHeader::AMQP);
    connection.expect::<Open>()?;
    Ok(Outcome::pass())
}

/// The time in which a client that has sent too early reads what it has to refuse.
const IN_FLIGHT: Duration = Duration::from_secs(1);

/// Passes if the client ends the connection, and goes on to no other layer before that. A `sasl-init` may be in flight.
pub(super) fn gives_up(connection: &mut Connection) -> Outcome {
    let mut deadline = connection.now().saturating_add(connection.patience());
    let mut has_chosen = false;
    loop {
        match connection.next_within(deadline.saturating_sub(connection.now())) {
            Got::Sasl(SaslBody::Init(_)) if !has_chosen => {
                has_chosen = true;
                // The end follows at once where this was only in flight.
                deadline = deadline.min(connection.now().saturating_add(IN_FLIGHT));
            }
            got if got.is_end() => return Outcome::pass(),
            Got::Timeout { waited, .. } => return Outcome::fail(format!("the stream is still open after {waited:?}")),
            got => return Outcome::fail(format!("expected the end of the stream, got {got}")),
        }
    }
}

/// Sends octets after both SASL headers; the client must give up.
pub(super) fn fatal_first(trial: &mut ClientTrial<'_>, octets: &[u8]) -> Result<Outcome, Stop> {
    let mut connection = asked(trial)?;
    connection.raw(octets);
    Ok(gives_up(&mut connection))
}

/// Sends octets after the client's `sasl-init`; the client must give up.
pub(super) fn fatal_after_init(trial: &mut ClientTrial<'_>, octets: &[u8]) -> Result<Outcome, Stop> {
    let (mut connection, _) = chosen(trial)?;
    connection.raw(octets);
    Ok(gives_up(&mut connection))
}

/// A frame of this type, with this `doff` and these octets 6 and 7, around a body.
pub(super) fn frame(doff: u8, kind: u8, ignored: [u8; 2], body: &[u8]) -> Vec<u8> {
    let extended = usize::from(doff).saturating_mul(4).saturating_sub(8);
    let size = u32::try_from(body.len().saturating_add(extended).saturating_add(8)).unwrap_or(u32::MAX);
    [&size.to_be_bytes()[..], &[doff, kind], &ignored, &vec![0xee; extended], body].concat()
}

/// The body of [`MECHANISMS`].
pub(super) fn mechanisms_body() -> &'static [u8] {
    MECHANISMS.get(8..).unwrap_or_default()
}

/// `sasl-mechanisms` with these names.
pub(super) fn offering(names: &[&str]) -> Vec<u8> {
    frames::sasl(&frames::mechanisms(names)).to_vec()
}
