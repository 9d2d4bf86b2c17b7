//! Judges what a peer makes of octets on a connection that is open.

use super::AnyTrial;
use crate::{
    judge::{Refused, closes_in_peace},
    server::Opened,
    verdict::{Outcome, Stop, Verdict},
    wire::Connection,
};
use amqp1_codec::{
    definitions::ErrorCondition,
    performative::{Open, Performative},
};
use amqp1_script::{AmqpFrame, Got, Refusal, Scope, frames};

static FRAMING_ERROR: [ErrorCondition; 1] = [ErrorCondition::FRAMING_ERROR];
/// The refusal of a frame whose header is broken.
pub(crate) static FRAMING: Refused = Refused::by(Scope::Connection).with(&FRAMING_ERROR);
/// The refusal of a frame that ends the connection, for which the text names no condition.
pub(crate) static CLOSED: Refused = Refused::by(Scope::Connection);

/// Sends octets on a connection that is open, which the peer must refuse.
pub(crate) fn refuses(trial: &mut impl AnyTrial, octets: &[u8], refused: Refused) -> Result<Outcome, Stop> {
    let Opened { mut connection, .. } = trial.opened_plainly()?;
    connection.raw(octets);
    Ok(refused.after(in_flight(trial)).judge(&mut connection, trial.is_strict()))
}

/// Sends octets on a connection that is open, of which the text leaves open whether the peer passes over them or refuses
/// them. It must not fall silent.
pub(crate) fn answers_or_refuses(trial: &mut impl AnyTrial, octets: &[u8]) -> Result<Outcome, Stop> {
    let Opened { mut connection, .. } = trial.opened_plainly()?;
    connection.raw(octets);
    Ok(tolerated_or_refused(&mut connection))
}

/// Closes the connection: the peer must answer it, or have refused or dropped the connection.
pub(crate) fn tolerated_or_refused(connection: &mut Connection) -> Outcome {
    connection.send(0, frames::close());
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        if let Some(refusal) = Refusal::of(&got) {
            return Outcome::pass_with(format!("refused with {}", refusal.error.condition));
        }
        match got {
            got if got.is_end() => return Outcome::new(Verdict::PassWider, "dropped without close"),
            got if got.name() == "close" => return Outcome::pass_with("passed over"),
            Got::Frame(_) => {}
            got => return Outcome::fail(format!("expected close, got {got}")),
        }
    }
}

/// Sends octets in place of the tool's open, which the peer must refuse.
pub(crate) fn refuses_at_first(trial: &mut impl AnyTrial, octets: &[u8]) -> Result<Outcome, Stop> {
    let mut connection = trial.opening()?;
    connection.raw(octets);
    Ok(CLOSED.after(in_flight(trial)).judge(&mut connection, trial.is_strict()))
}

/// Passes if the peer keeps the connection: a close is answered by one without an error.
pub(crate) fn accepts(trial: &mut impl AnyTrial, octets: &[u8]) -> Result<Outcome, Stop> {
    let Opened { mut connection, .. } = trial.opened_plainly()?;
    connection.raw(octets);
    Ok(closes_in_peace(&mut connection))
}

/// The frames that a peer of this trial may have sent before it has read what a case sends.
pub(crate) fn in_flight<T: AnyTrial>(_trial: &T) -> &'static [&'static str] {
    T::IN_FLIGHT
}

/// An attach on channel 0: an error where no session was begun on it (§2.5.1).
pub(crate) const UNMAPPED: &[u8] = b"\0\0\0\x13\x02\0\0\0\0\x53\x12\xc0\x06\x03\xa1\x01l\x43\x41";

/// A connection that the peer has closed with an error, since it got [`UNMAPPED`]. The tool has not closed it.
pub(crate) fn closed_for_error(trial: &mut impl AnyTrial, open: Open) -> Result<Connection, Stop> {
    let Opened { mut connection, .. } = trial.opened_by(open)?;
    trial.has_opened(&mut connection)?;
    connection.raw(UNMAPPED);
    match until_close(&mut connection) {
        Ok(_) => Ok(connection),
        Err(got) => Err(Stop::SetUp(format!("expected close with an error, got {got}"))),
    }
}

/// Passes over frames until the peer's close comes. Returns its channel.
pub(crate) fn until_close(connection: &mut Connection) -> Result<u16, Box<Got>> {
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        match connection.next_within(deadline.saturating_sub(connection.now())) {
            Got::Frame(AmqpFrame { channel, body: Some(Performative::Close(_)), .. }) => return Ok(channel),
            Got::Frame(_) => {}
            got => return Err(Box::new(got)),
        }
    }
}

/// Waits for the peer's close and answers it, or has it dropped: it must give up the connection in some way.
pub(crate) fn is_given_up(connection: &mut Connection) -> Outcome {
    match until_close(connection) {
        Ok(_) => Outcome::pass(),
        Err(got) if got.is_end() => Outcome::new(Verdict::PassWider, "dropped without close"),
        Err(got) => Outcome::fail(format!("expected close, got {got}")),
    }
}

/// Both ends have written close: nothing but the end of the stream may come (§2.4.3).
pub(crate) fn nothing_follows(connection: &mut Connection) -> Result<Outcome, Stop> {
    connection.finish();
    match connection.next() {
        Got::Eof { unfinished } if unfinished.is_empty() => Ok(Outcome::pass()),
        // Octets that the tool wrote after the peer had stopped reading reset the connection.
        Got::Reset { unfinished } if unfinished.is_empty() => Ok(Outcome::pass_with("the connection was reset")),
        got => Ok(Outcome::fail(format!("expected the end after close, got {got}"))),
    }
}
