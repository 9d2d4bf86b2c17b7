//! Virtual hosts, and the size of frames (§2.4.1, §2.7.1).

use crate::{
    case::{Case, Check, Severity},
    either::{AnyTrial, tolerated_or_refused},
    judge::closes_in_peace,
    server::{ServerTrial, twins},
    verdict::{Outcome, Stop},
};
use amqp1_codec::performative::{Open, Performative};
use amqp1_script::{AmqpFrame, Got, frames};

const FRAMES_FIT: &str = "No frame is larger than the partner's max-frame-size (§2.4.1, §2.7.1).";
const FITTING: &str = "a message in frames of at most that many octets";

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.4.1-3/received",
        severity: Severity::May,
        rule: "Before the opens are exchanged a frame has at most 512 octets; a larger one is refused or taken, since the \
               text is silent on it (§2.4.1).",
        sends: "an open of 513 octets, and a close",
        wants: "an open and a close, or a refusal",
        check: Check::Server(|trial| {
            let open = trial.open();
            let least = frames::encode(0, Open { container_id: "".into(), ..open.clone() }, b"").len();
            // The container-id of more than 255 octets has a length of four octets.
            let container_id = "c".repeat(513usize.saturating_sub(least).saturating_sub(6));
            let octets = frames::encode(0, Open { container_id: container_id.as_str().into(), ..open.clone() }, b"");
            let missing = 513usize.saturating_sub(octets.len());
            let container_id = container_id + &"c".repeat(missing);
            let octets = frames::encode(0, Open { container_id: container_id.into(), ..open }, b"");
            let mut connection = trial.opening()?;
            connection.raw(octets);
            Ok(tolerated_or_refused(&mut connection))
        }),
        ..Case::SERVER
    },
    Case {
        id: "T-2.4.1-4",
        rule: "After both opens each peer keeps to its partner's limits (§2.4.1).",
        sends: "an open with max-frame-size 512 and channel-max 0, and credit for a message of 2000 octets",
        wants: FITTING,
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(|trial| keeps_to_frame_size(trial, 512, 2000)),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.1-5/512",
        rule: FRAMES_FIT,
        sends: "an open with max-frame-size 512, and credit for a message of 10 000 octets",
        wants: FITTING,
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(|trial| keeps_to_frame_size(trial, 512, 10_000)),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.1-5/600",
        rule: FRAMES_FIT,
        sends: "an open with max-frame-size 600, and credit for a message of 10 000 octets",
        wants: FITTING,
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(|trial| keeps_to_frame_size(trial, 600, 10_000)),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.1-5/1024",
        rule: FRAMES_FIT,
        sends: "an open with max-frame-size 1024, and credit for a message of 10 000 octets",
        wants: FITTING,
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(|trial| keeps_to_frame_size(trial, 1024, 10_000)),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.1-2/absent",
        severity: Severity::Should,
        rule: "Without a hostname the server chooses one by its configuration (§2.7.1).",
        sends: "an open without hostname",
        wants: "the connection is open",
        check: Check::Server(|trial| {
            let open = Open { hostname: None, ..trial.open() };
            crate::judge::should(opens(trial, open))
        }),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.1-2/present",
        severity: Severity::Should,
        rule: "The hostname names the host to which the client connects (§2.7.1).",
        sends: "an open with the server's hostname",
        wants: "the connection is open",
        check: Check::Server(|trial| {
            let open = trial.open();
            crate::judge::should(opens(trial, open))
        }),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.1-4",
        severity: Severity::May,
        rule: "A hostname that the server does not have is refused, or served as the default one: the text is silent \
               (§2.7.1).",
        sends: "an open with hostname no.such.host.invalid, and a close",
        wants: "close, with or without an error",
        check: Check::Server(unknown_host),
        ..Case::SERVER
    },
];

/// The server sends a message of this size. The octets of it are counted, so that none is missing.
fn keeps_to_frame_size(trial: &mut ServerTrial<'_>, max_frame_size: u32, size: usize) -> Result<Outcome, Stop> {
    let open = Open { max_frame_size, channel_max: 0, ..trial.open() };
    let mut linked = trial.peer_sends(open, frames::begin(), 1, size)?;
    let credit = crate::server::credit_after(&linked.session, &linked.link, 0, 1);
    linked.connection.send(0, credit);
    let mut octets = 0usize;
    loop {
        match linked.connection.next() {
            Got::Frame(frame) if frame.octets.len() > usize::try_from(max_frame_size).unwrap_or(usize::MAX) => {
                return Ok(Outcome::fail(format!("a frame of {} octets: {frame}", frame.octets.len())));
            }
            Got::Frame(frame) if frame.channel != 0 => {
                return Ok(Outcome::fail(format!("a frame on channel {}: {frame}", frame.channel)));
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Transfer(transfer)), payload, .. }) => {
                octets = octets.saturating_add(payload.len());
                if !transfer.more {
                    break;
                }
            }
            Got::Frame(AmqpFrame { body: None | Some(Performative::Flow(_)), .. }) => {}
            got => return Ok(Outcome::fail(format!("expected a message of {size} octets, got {got}"))),
        }
    }
    drop(linked);
    trial.tidy()?;
    if octets < size {
        return Ok(Outcome::fail(format!("{octets} octets of a message of {size}")));
    }
    Ok(Outcome::pass())
}

fn opens(trial: &mut ServerTrial<'_>, open: Open) -> Result<Outcome, Stop> {
    let mut connection = trial.opening()?;
    connection.send(0, open);
    connection.expect::<Open>()?;
    Ok(closes_in_peace(&mut connection))
}

fn unknown_host(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let open = Open { hostname: Some("no.such.host.invalid".into()), ..trial.open() };
    let mut connection = trial.opening()?;
    connection.send(0, open);
    connection.send(0, frames::close());
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        match connection.next_within(deadline.saturating_sub(connection.now())) {
            Got::Frame(AmqpFrame { body: Some(Performative::Close(close)), .. }) => {
                return Ok(Outcome::pass_with(match close.error {
                    Some(error) => format!("close with {}", error.condition),
                    None => String::from("served as the default host"),
                }));
            }
            Got::Frame(_) => {}
            got => return Ok(Outcome::fail(format!("expected close, got {got}"))),
        }
    }
}
