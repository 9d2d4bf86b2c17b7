//! Limits of frames, channels and handles (§2.4.1, §2.7.1).

use super::{AnyTrial, FRAMING, cases, in_flight, opening::begin_of};
use crate::{
    judge::closes_in_peace,
    server::Opened,
    verdict::{Outcome, Stop},
};
use amqp1_codec::performative::{Begin, Open};
use amqp1_script::{AmqpFrame, Got, frames};

cases! {
    "T-2.7.1-6" like BEGIN => refuses_frame_above_limit():
        "A frame larger than the announced max-frame-size closes the connection (§2.7.1).",
        "a begin of one octet more than max-frame-size", "close with amqp:connection:framing-error";
    "T-2.7.1-8" as Request like BEGIN => keeps_to_channel_max():
        "Channels above the partner's channel-max are not used (§2.7.1).",
        "an open with channel-max 0", "frames on channel 0 alone";
    "T-2.7.1-9" like BEGIN => refuses_channel_above_max():
        "A channel above the announced channel-max closes the connection (§2.7.1).",
        "a begin on the channel after the last", "close with amqp:connection:framing-error";
    "T-2.8.19-1" => keeps_to_constants():
        "The version is 1.0.0, and max-frame-size is at least 512 (§2.8.19).",
        "a header and an open", "the header 1.0.0, and an open with a max-frame-size of at least 512";
}

/// The largest frame that a case sends.
const LARGEST: u32 = 8 * 1024 * 1024;

fn refuses_frame_above_limit(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Opened { mut connection, open } = trial.opened_plainly()?;
    let Some(size) = open.max_frame_size.checked_add(1).filter(|size| *size <= LARGEST) else {
        return Ok(Outcome::skip(format!("its max-frame-size is {}", open.max_frame_size)));
    };
    let begin: Begin = trial.begin_for(&mut connection)?;
    let frame = frames::encode(0, begin_of(begin, usize::try_from(size).unwrap_or(usize::MAX)), b"");
    connection.raw(frame);
    Ok(FRAMING.after(in_flight(trial)).judge(&mut connection, trial.is_strict()))
}

fn keeps_to_channel_max(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = Open { channel_max: 0, ..trial.own_open() };
    let Opened { mut connection, .. } = trial.opened_by(open)?;
    let session = trial.begins(&mut connection, 0, frames::begin())?;
    if session.remote_channel != 0 {
        return Ok(Outcome::fail(format!("a session on channel {}", session.remote_channel)));
    }
    connection.send(0, frames::close());
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        match connection.next_within(deadline.saturating_sub(connection.now())) {
            Got::Frame(frame @ AmqpFrame { channel: 1.., .. }) => {
                return Ok(Outcome::fail(format!("a frame on channel {}: {frame}", frame.channel)));
            }
            got if got.name() == "close" => return Ok(Outcome::pass()),
            Got::Frame(_) => {}
            got => return Ok(Outcome::fail(format!("expected close, got {got}"))),
        }
    }
}

fn refuses_channel_above_max(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Opened { mut connection, open } = trial.opened_plainly()?;
    let Some(channel) = open.channel_max.checked_add(1) else {
        return Ok(Outcome::skip("its channel-max is the largest channel"));
    };
    let begin = trial.begin_for(&mut connection)?;
    connection.send(channel, begin);
    Ok(FRAMING.after(in_flight(trial)).judge(&mut connection, trial.is_strict()))
}

fn keeps_to_constants(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let mut connection = trial.headed()?;
    connection.send(0, trial.own_open());
    let open = connection.expect::<Open>()?;
    if open.max_frame_size < 512 {
        return Ok(Outcome::fail(format!("max-frame-size {}", open.max_frame_size)));
    }
    Ok(closes_in_peace(&mut connection))
}
