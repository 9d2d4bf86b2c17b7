//! Windows of the session in which the server sends (§2.5.6).

use crate::{
    case::{Case, Check},
    either::{AnyTrial, Linked},
    server::{Opened, ServerTrial, twins},
    verdict::{Outcome, Stop},
};
use amqp1_codec::performative::{Attach, Begin, Flow, Open, Performative, Transfer};
use amqp1_script::{AmqpFrame, Got, Skip, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.5.6-4",
        rule: "Where flow.next-incoming-id is absent, the initial next-outgoing-id is used in its place (§2.5.6).",
        sends: "in one write: begin, attach, and a flow with credit and without next-incoming-id",
        wants: "the message that is in the queue",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(flow_before_begin),
        ..Case::SERVER
    },
    Case {
        id: "T-2.5.6-7",
        rule: "The windows count transfers, not messages (§2.5.6).",
        sends: "an incoming-window of 2, max-frame-size 512, and credit for a message of 3000 octets",
        wants: "two transfers of the message, and the others once the window has grown",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(|trial| {
            let open = Open { max_frame_size: 512, ..trial.open() };
            let begin = Begin { incoming_window: 2, ..frames::begin() };
            let linked = trial.peer_sends(open, begin, 1, 3000)?;
            stops_at_window(trial, linked, 0)
        }),
        ..Case::SERVER
    },
    Case {
        id: "T-2.5.6-8/exhausted",
        rule: "A window that is less than what was sent meanwhile is used up: it does not wrap to a large one (§2.5.6).",
        sends: "an incoming-window of 2, and after two of five messages a flow with the next-incoming-id from before them \
                and an incoming-window of 1",
        wants: "no third message until the window has grown",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(|trial| {
            let (open, begin) = (trial.open(), Begin { incoming_window: 2, ..frames::begin() });
            let linked = trial.peer_sends(open, begin, 5, 20)?;
            stops_at_window(trial, linked, 1)
        }),
        ..Case::SERVER
    },
];

fn flow_before_begin(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.purge()?;
    trial.fill(&[frames::message("waits")])?;
    let Opened { mut connection, .. } = trial.opened()?;
    let flow = Flow { delivery_count: None, next_incoming_id: None, ..frames::credit(0, 1) };
    let attach = frames::attach_receiver("early", 0, trial.node());
    let frames =
        [frames::encode(0, frames::begin(), b""), frames::encode(0, attach, b""), frames::encode(0, flow, b"")];
    connection.raw(frames.concat());
    connection.expect::<Begin>()?;
    connection.expect_skipping::<Attach>(Skip::FLOWS)?;
    connection.expect_skipping::<Transfer>(Skip::FLOWS)?;
    drop(connection);
    trial.tidy()?;
    Ok(Outcome::pass())
}

/// Takes the two transfers for which there is a window. Then a flow as it was before them, with this window, must bring
/// nothing, and a larger one the next transfer.
fn stops_at_window(trial: &mut ServerTrial<'_>, linked: Linked, stale: u32) -> Result<Outcome, Stop> {
    let Linked { mut connection, session, link, .. } = linked;
    let flow = |received: u32, incoming_window: u32, echo: bool| Flow {
        next_incoming_id: Some(session.begin.next_outgoing_id.plus(received)),
        incoming_window,
        echo,
        handle: Some(0),
        delivery_count: link.attach.initial_delivery_count,
        link_credit: Some(100),
        ..frames::flow()
    };
    connection.send(0, flow(0, 2, false));
    for _ in 0..2 {
        connection.expect_skipping::<Transfer>(Skip::CHATTER)?;
    }
    connection.send(0, flow(if stale == 0 { 2 } else { 0 }, stale, true));
    let deadline = connection.now().saturating_add(connection.patience() / 5);
    loop {
        match connection.next_within(deadline.saturating_sub(connection.now())) {
            // It does not answer echo, but does not go on either.
            Got::Timeout { .. } => break,
            got if got.name() == "transfer" => return Ok(Outcome::fail("a third transfer within a window of two")),
            Got::Frame(AmqpFrame { body: Some(Performative::Flow(flow)), .. })
                if flow.next_outgoing_id == session.begin.next_outgoing_id.plus(2) =>
            {
                break;
            }
            Got::Frame(AmqpFrame { body: None | Some(Performative::Flow(_)), .. }) => {}
            got => return Ok(Outcome::fail(format!("expected a flow in answer to echo, got {got}"))),
        }
    }
    connection.send(0, flow(2, 100, false));
    connection.expect_skipping::<Transfer>(Skip::CHATTER)?;
    drop(connection);
    trial.tidy()?;
    Ok(Outcome::pass())
}
