//! The windows of a session (§2.5.6).

use super::{AnyTrial, Linked, cases, outcome_name};
use crate::{
    case::Tag,
    judge::closes_in_peace,
    server::Begun,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    SequenceNo,
    definitions::{ErrorCondition, Role},
    performative::{Begin, Disposition, Flow, Performative, Transfer},
};
use amqp1_script::{AmqpFrame, Got, Received, Refusal, Scope, Skip, frames};

/// The number of transfers before the serial numbers wrap.
const BEFORE_WRAP: u32 = 0xffff_fffe;

cases! {
    "T-2.5.6-1/received" as Receive like ATTACH_RECEIVER => takes_message_from(BEFORE_WRAP):
        "next-outgoing-id begins at any number and counts by serial number arithmetic (§2.5.6).",
        "a begin with next-outgoing-id 0xfffffffe, and a message in four transfers", "the message is accepted";
    "T-2.5.6-1/sent" as Send like ATTACH_SENDER => counts_its_transfers():
        "next-outgoing-id is incremented for each transfer that is sent (§2.5.6).",
        "credit for one message, and a flow with echo after it", "a flow whose next-outgoing-id has counted each transfer";
    "T-2.5.6-2/counted" as Receive like ATTACH_RECEIVER => counts_transfers(0):
        "next-incoming-id is incremented for each transfer that is received (§2.5.6).",
        "three transfers, and a flow with echo", "a flow with next-incoming-id 3";
    "T-2.5.6-2/ahead" like BEGIN => refuses_or_ignores_id_ahead():
        "flow.next-incoming-id is not ahead of what the partner has sent: an error or without effect, since the text is \
         silent (§2.5.6, derived).",
        "a flow whose next-incoming-id is ahead by 10, and an end", "an error, or an end without one";
    "T-2.5.6-3" as Send like ATTACH_SENDER => keeps_to_window():
        "A sender keeps to its partner's incoming-window (§2.5.6).",
        "more credit than the incoming-window allows, and later a larger window",
        "transfers within the window, and the next one after it has grown";
    "T-2.5.6-5" as Receive like ATTACH_RECEIVER => refuses_beyond_window():
        "Transfers beyond the announced incoming-window end the session, unless the window has grown meanwhile (§2.5.6, \
         derived).",
        "1000 transfers more than the incoming-window of the begin, in one write, and a flow with echo",
        "end with amqp:session:window-violation, or flows that allow them";
    "T-2.5.6-6/rewound" as Receive like ATTACH_RECEIVER => refuses_or_follows_rewound_id():
        "next-incoming-id is taken from the flow's next-outgoing-id (§2.5.6).",
        "three transfers, and a flow whose next-outgoing-id was not counted", "an error, or that number is taken",
        tags: &[Tag::Strict];
    "T-2.5.6-6/taken" as Receive like ATTACH_RECEIVER => counts_transfers(77):
        "next-incoming-id is taken from the flow's next-outgoing-id (§2.5.6).",
        "a begin with next-outgoing-id 77, three transfers, and a flow with next-outgoing-id 80",
        "a flow with next-incoming-id 80";
    "T-2.5.6-7/received" as Receive like ATTACH_RECEIVER => counts_transfers(1000):
        "The windows and ids count transfers, not messages (§2.5.6).",
        "a begin with next-outgoing-id 1000, three transfers of one message, and a flow with echo",
        "a flow with next-incoming-id 1003";
    "T-2.5.6-8/ids" as Receive like ATTACH_RECEIVER => counts_transfers(BEFORE_WRAP):
        "Windows and ids are computed modulo 2^32 (§2.5.6).",
        "a begin with next-outgoing-id 0xfffffffe, three transfers, and a flow with echo", "a flow with next-incoming-id 1";
}

fn begin_from(next_outgoing_id: u32) -> Begin {
    Begin { next_outgoing_id: SequenceNo(next_outgoing_id), ..frames::begin() }
}

/// The number of transfers in which a message is sent.
const PARTS: u32 = 4;

/// Sends some of the four transfers of a message.
fn send_parts(linked: &mut Linked, which: std::ops::RangeInclusive<u32>) {
    let message = frames::message("in four transfers");
    let size = message.len().div_ceil(4);
    let parts = message.chunks(size).zip(1..).filter(|(_, number)| which.contains(number));
    for (part, number) in parts {
        let first = frames::transfer(linked.link.handle, 0);
        let transfer = if number == 1 { first } else { Transfer { handle: first.handle, ..Transfer::default() } };
        let transfer = Transfer { more: number < PARTS, ..transfer };
        linked.connection.send_with(linked.session.channel, transfer, part);
    }
}

/// Waits for the disposition of the delivery that was sent.
fn expect_disposition(linked: &mut Linked) -> Result<Received<Disposition>, Stop> {
    let is_receivers = |disposition: &Received<Disposition>| disposition.role == Role::Receiver;
    let wanted = "a disposition of the delivery";
    Ok(linked.connection.expect_where(Skip::FLOWS, wanted, is_receivers)?)
}

fn takes_message_from(trial: &mut impl AnyTrial, next_outgoing_id: u32) -> Result<Outcome, Stop> {
    let open = trial.own_open();
    let mut linked = trial.peer_receives(open, begin_from(next_outgoing_id))?;
    send_parts(&mut linked, 1..=PARTS);
    let disposition = expect_disposition(&mut linked)?;
    trial.tidy()?;
    Ok(Outcome::pass_with(outcome_name(disposition.state.as_ref())))
}

/// A flow of the session, after these transfers.
fn session_flow(linked: &Linked, sent_from: u32, sent: u32, received: u32) -> Flow {
    Flow {
        next_incoming_id: Some(linked.session.begin.next_outgoing_id.plus(received)),
        next_outgoing_id: SequenceNo(sent_from).plus(sent),
        echo: true,
        ..frames::flow()
    }
}

/// Waits for a flow; those that were sent before the last frame came are passed over if `is_right` is false for them.
fn echoed(linked: &mut Linked, is_right: impl Fn(&Flow) -> bool) -> Result<Outcome, Stop> {
    let deadline = linked.connection.now().saturating_add(linked.connection.patience());
    let mut last = None;
    loop {
        let got = linked.connection.next_within(deadline.saturating_sub(linked.connection.now()));
        match got {
            Got::Frame(AmqpFrame { body: Some(Performative::Flow(flow)), .. }) => {
                if is_right(&flow) {
                    return Ok(closes_in_peace(&mut linked.connection));
                }
                last = Some(flow);
            }
            Got::Frame(AmqpFrame { body: None | Some(Performative::Disposition(_)), .. }) => {}
            // That breaks a rule of its own (T-2.7.4-7).
            Got::Timeout { .. } if last.is_none() => {
                return Err(Stop::SetUp(String::from("the peer does not answer a flow with echo")));
            }
            got => {
                let flow = last.map_or_else(String::new, |flow| format!("; its last flow was {flow:?}"));
                return Ok(Outcome::fail(format!("expected a flow that has counted, got {got}{flow}")));
            }
        }
    }
}

fn counts_transfers(trial: &mut impl AnyTrial, from: u32) -> Result<Outcome, Stop> {
    let open = trial.own_open();
    let mut linked = trial.peer_receives(open, begin_from(from))?;
    // A client that has the whole message may end its session before it has read the flow.
    send_parts(&mut linked, 1..=3);
    let flow = session_flow(&linked, from, 3, 0);
    linked.connection.send(linked.session.channel, flow);
    let outcome = echoed(&mut linked, |flow| flow.next_incoming_id == Some(SequenceNo(from).plus(3)))?;
    trial.tidy()?;
    Ok(outcome)
}

fn refuses_or_follows_rewound_id(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = trial.own_open();
    let mut linked = trial.peer_receives(open, begin_from(0))?;
    send_parts(&mut linked, 1..=3);
    let flow = session_flow(&linked, 0, 0, 0);
    linked.connection.send(linked.session.channel, flow);
    let deadline = linked.connection.now().saturating_add(linked.connection.patience());
    let outcome = loop {
        let got = linked.connection.next_within(deadline.saturating_sub(linked.connection.now()));
        if let Some(refusal) = Refusal::of(&got) {
            break Outcome::pass_with(format!("refused with {}", refusal.error.condition));
        }
        match got {
            Got::Frame(AmqpFrame { body: Some(Performative::Flow(flow)), .. })
                if flow.next_incoming_id == Some(SequenceNo(0)) =>
            {
                break Outcome::pass_with("the number is taken as it stands");
            }
            Got::Frame(_) => {}
            got => break Outcome::fail(format!("expected an error, or a flow with next-incoming-id 0, got {got}")),
        }
    };
    trial.tidy()?;
    Ok(outcome)
}

fn refuses_or_ignores_id_ahead(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Begun { mut connection, session, .. } = trial.begun_plainly()?;
    let ahead = session.begin.next_outgoing_id.plus(10);
    connection.send(0, Flow { next_incoming_id: Some(ahead), ..frames::flow() });
    connection.send(0, frames::end());
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        if let Some(Refusal { scope: Scope::Session | Scope::Connection, error, .. }) = Refusal::of(&got) {
            return Ok(Outcome::pass_with(format!("refused with {}", error.condition)));
        }
        match got {
            got if got.name() == "end" && !got.is_end() => return Ok(Outcome::pass_with("ignored")),
            Got::Frame(_) => {}
            got => return Ok(Outcome::fail(format!("expected end, got {got}"))),
        }
    }
}

fn counts_its_transfers(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = trial.own_open();
    let mut linked = trial.peer_sends(open, frames::begin(), 1, 100)?;
    let credit = Flow {
        delivery_count: linked.link.attach.initial_delivery_count,
        ..Flow { echo: false, ..session_flow(&linked, 0, 0, 0) }
    };
    let credit = Flow { handle: Some(linked.link.handle), link_credit: Some(1), ..credit };
    linked.connection.send(linked.session.channel, credit);
    let mut transfers = 0u32;
    loop {
        transfers = transfers.saturating_add(1);
        let transfer = linked.connection.expect_skipping::<Transfer>(Skip::CHATTER)?;
        if !transfer.more {
            break;
        }
    }
    let flow = session_flow(&linked, 0, 0, transfers);
    linked.connection.send(linked.session.channel, flow);
    let next = linked.session.begin.next_outgoing_id.plus(transfers);
    let outcome = echoed(&mut linked, |flow| flow.next_outgoing_id == next)?;
    trial.tidy()?;
    Ok(outcome)
}

fn keeps_to_window(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let window = trial.small_window();
    let begin = Begin { incoming_window: window, ..frames::begin() };
    let open = trial.own_open();
    let mut linked = trial.peer_sends(open, begin, 5, 20)?;
    let (channel, handle) = (linked.session.channel, linked.link.handle);
    let flow = |linked: &Linked, received: u32, incoming_window: u32| Flow {
        incoming_window,
        handle: Some(handle),
        delivery_count: linked.link.attach.initial_delivery_count.map(|count| count.plus(received)),
        link_credit: Some(100u32.saturating_sub(received)),
        ..session_flow(linked, 0, 0, received)
    };
    let first = Flow { echo: false, ..flow(&linked, 0, window) };
    linked.connection.send(channel, first);
    for _ in 0..window {
        linked.connection.expect_skipping::<Transfer>(Skip::CHATTER)?;
    }
    // The answer shows that the peer has read this; a transfer before it is one too many.
    let barrier = flow(&linked, window, 0);
    linked.connection.send(channel, barrier);
    let next = linked.session.begin.next_outgoing_id.plus(window);
    let is_answer = |got: &Got| {
        matches!(got, Got::Frame(AmqpFrame { body: Some(Performative::Flow(flow)), .. })
        if flow.next_outgoing_id == next)
    };
    let deadline = linked.connection.now().saturating_add(linked.connection.patience() / 5);
    loop {
        match linked.connection.next_within(deadline.saturating_sub(linked.connection.now())) {
            // It does not answer echo, but does not go on either.
            Got::Timeout { .. } => break,
            got if got.name() == "transfer" => {
                return Ok(Outcome::fail(format!("a transfer beyond the incoming-window of {window}")));
            }
            got if is_answer(&got) => break,
            Got::Frame(_) => {}
            got => return Ok(Outcome::fail(format!("expected a flow in answer to echo, got {got}"))),
        }
    }
    let wider = flow(&linked, window, 100);
    linked.connection.send(channel, wider);
    linked.connection.expect_skipping::<Transfer>(Skip::CHATTER)?;
    drop(linked);
    trial.tidy()?;
    Ok(Outcome::pass())
}

/// The largest window that is exceeded.
const LARGEST_WINDOW: u32 = 20_000;

fn refuses_beyond_window(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = trial.own_open();
    let mut linked = trial.peer_receives(open, begin_from(0))?;
    let window = linked.session.begin.incoming_window;
    if window > LARGEST_WINDOW {
        return Ok(Outcome::skip(format!("its incoming-window is {window}")));
    }
    let count = window.saturating_add(1000);
    let mut octets = super::robustness::pieces(&linked, 0..count);
    octets.extend_from_slice(&frames::encode(linked.session.channel, session_flow(&linked, 0, count, 0), b""));
    linked.connection.raw(&octets);
    let deadline = linked.connection.now().saturating_add(linked.connection.patience());
    let mut allowed = window;
    let outcome = loop {
        let got = linked.connection.next_within(deadline.saturating_sub(linked.connection.now()));
        if let Some(Refusal { error, .. }) = Refusal::of(&got) {
            let is_named = error.condition == ErrorCondition::WINDOW_VIOLATION;
            let remark = format!("refused with {}", error.condition);
            break if is_named || !trial.is_strict() { Outcome::pass_with(remark) } else { Outcome::fail(remark) };
        }
        match got {
            got if got.is_end() => break Outcome::new(crate::Verdict::PassWider, "dropped without close"),
            Got::Frame(AmqpFrame { body: Some(Performative::Flow(flow)), .. }) => {
                let next = flow.next_incoming_id.unwrap_or_default();
                allowed = allowed.max(next.0.saturating_add(flow.incoming_window));
                if next == SequenceNo(count) && allowed >= count {
                    break Outcome::pass_with(format!("its window has grown to {allowed} transfers"));
                }
            }
            Got::Frame(_) => {}
            got => break Outcome::fail(format!("{count} transfers within a window of {allowed}, then {got}")),
        }
    };
    drop(linked);
    trial.tidy()?;
    Ok(outcome)
}
