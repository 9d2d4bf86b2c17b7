//! Hosts, capabilities, and the limits to which a client keeps (§2.4.1, §2.5.6, §2.7.1, §2.7.2).

use crate::{
    case::{Case, Check, Severity},
    client::{Accepted, ClientTrial, Scenario, receives_from_node, twins},
    either::{AnyTrial, Linked, linked},
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::{
    SequenceNo, Symbol,
    frame::ProtocolHeader,
    performative::{Begin, Flow, Open, Performative},
    sasl::{SaslCode, SaslInit},
};
use amqp1_script::{AmqpFrame, Got, Received, Refusal, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.4.1-4",
        rule: "After both opens each peer keeps to its partner's limits (§2.4.1).",
        sends: "an open with max-frame-size 512 and channel-max 0, and a session, links and credit for what is asked",
        wants: "frames of at most 512 octets, on channel 0",
        twin: Some(&twins::REQUEST),
        check: Check::Client(Scenario::Request, |trial| keeps_to_limits(trial, 0)),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.7.1-3",
        severity: Severity::Should,
        rule: "open.hostname is null, or what sasl-init.hostname says (§2.7.1).",
        sends: "SASL and an open",
        wants: "no other hostname in open than in sasl-init",
        check: Check::Client(Scenario::Idle, hostnames_agree),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.7.1-5",
        rule: "No frame is larger than the partner's max-frame-size (§2.7.1).",
        sends: "an open with max-frame-size 512, and a session, links and credit for a transaction",
        wants: "frames of at most 512 octets",
        twin: Some(&twins::TRANSACTION),
        check: Check::Client(Scenario::Transaction, |trial| keeps_to_limits(trial, u16::MAX)),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.7.1-13",
        rule: "A capability that a peer does not desire is not used (§2.7.1).",
        sends: "an open that offers ANONYMOUS-RELAY",
        wants: "no link to a null address, unless the client desires that capability",
        twin: Some(&twins::ATTACH_SENDER),
        check: Check::Client(Scenario::Send, does_not_use_what_it_does_not_desire),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.7.2-2",
        rule: "Handles above the partner's handle-max are not used (§2.7.2).",
        sends: "begins with handle-max 0",
        wants: "at most one link on a session, with handle 0",
        twin: Some(&twins::BEGIN),
        check: Check::Client(Scenario::Request, keeps_to_handle_max),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.5.6-4",
        rule: "flow.next-incoming-id is the partner's next-outgoing-id once its begin has come, and absent before (§2.5.6, \
               §2.7.4).",
        sends: "a begin with next-outgoing-id 77, and a flow with echo",
        wants: "a flow with next-incoming-id 77",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Client(Scenario::Receive, expects_first_transfer),
        ..Case::CLIENT
    },
];

/// Answers the client as a broker would, and looks at each frame until it closes.
fn keeps_to_limits(trial: &mut ClientTrial<'_>, channel_max: u16) -> Result<Outcome, Stop> {
    const MOST: usize = 512;
    let open = Open { max_frame_size: 512, channel_max, ..frames::open("amqp-conformance") };
    let mut attached = trial.link_after(open, |_| true)?.answered();
    let mut wrong = None;
    attached.give_credit(10);
    let closed = attached.until("close", |_, got| match got {
        Got::Frame(frame) if frame.octets.len() > MOST => {
            wrong = Some(format!("a frame of {} octets: {frame}", frame.octets.len()));
            Some(())
        }
        Got::Frame(frame) if frame.channel > channel_max => {
            wrong = Some(format!("a frame on channel {}: {frame}", frame.channel));
            Some(())
        }
        got => (got.name() == "close").then_some(()),
    });
    match (wrong, closed) {
        (Some(wrong), _) => Ok(Outcome::fail(wrong)),
        (None, Ok(())) => Ok(Outcome::pass()),
        // A client that needs more channels or larger frames may give up in an orderly way.
        (None, Err(unexpected)) if Refusal::of(&unexpected.got).is_some() => {
            Ok(Outcome::pass_with(unexpected.got.to_string()))
        }
        (None, Err(unexpected)) => Err(unexpected.into()),
    }
}

fn hostnames_agree(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    let header = connection.expect_any_header().map_err(|unexpected| Stop::set_up(&unexpected))?;
    connection.header(header);
    if header != ProtocolHeader::SASL {
        connection.expect::<Open>()?;
        return Ok(Outcome::pass_with("without SASL there is one hostname"));
    }
    connection.sasl(frames::mechanisms(&["ANONYMOUS", "PLAIN"]));
    let init = connection.expect::<SaslInit>().map_err(|unexpected| Stop::set_up(&unexpected))?;
    connection.sasl(frames::outcome(SaslCode::Ok));
    connection.expect_header(ProtocolHeader::AMQP).map_err(|unexpected| Stop::set_up(&unexpected))?;
    connection.header(ProtocolHeader::AMQP);
    let open = connection.expect::<Open>()?;
    let remark = format!("sasl-init {:?}, open {:?}", init.hostname, open.hostname);
    let agree = init.hostname.is_none() || open.hostname.is_none() || init.hostname == open.hostname;
    Ok(if agree { Outcome::pass_with(remark) } else { Outcome::warn(remark) })
}

fn does_not_use_what_it_does_not_desire(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    const RELAY: Symbol = Symbol::from_static("ANONYMOUS-RELAY");
    let offer = Open { offered_capabilities: [RELAY].into_iter().collect(), ..frames::open("amqp-conformance") };
    let Accepted { connection, open } = trial.opened_with(offer)?;
    if open.desired_capabilities.contains(&RELAY) {
        return Ok(Outcome::pass_with("the client desires ANONYMOUS-RELAY"));
    }
    let attach = first_attach(connection, 0..)?;
    let target = attach.target.as_ref().and_then(|target| target.as_target());
    match target {
        Some(target) if target.address.is_none() && !target.dynamic => {
            Ok(Outcome::fail("a link to the anonymous terminus, which the client does not desire"))
        }
        _ => Ok(Outcome::pass()),
    }
}

/// Answers begins until an attach comes.
fn first_attach(
    mut connection: Connection,
    channels: std::ops::RangeFrom<u16>,
) -> Result<Received<amqp1_codec::performative::Attach>, Stop> {
    for channel in channels {
        let got = connection.next();
        match &got {
            Got::Frame(AmqpFrame { channel: theirs, body: Some(Performative::Begin(_)), .. }) => {
                connection.send(channel, frames::begin_answering(*theirs));
            }
            Got::Frame(AmqpFrame { body: None, .. }) => {}
            _ => return Ok(amqp1_script::Body::of(got).map_err(|got| connection.unexpected("attach", got))?),
        }
    }
    Err(Stop::SetUp(String::from("the client attaches nothing")))
}

/// Each session may have one link, with handle 0. A client that needs a second one on it gives up.
fn keeps_to_handle_max(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let Accepted { mut connection, .. } = trial.opened()?;
    let mut channels = 0..;
    let (mut sessions, mut links) = (Vec::new(), Vec::new());
    loop {
        let got = connection.next();
        match &got {
            Got::Frame(AmqpFrame { channel, body: Some(Performative::Begin(_)), .. }) => {
                let own = channels.next().unwrap_or_default();
                let begin = Begin { handle_max: 0, ..frames::begin_answering(*channel) };
                connection.send(own, begin);
                sessions.push((*channel, own));
            }
            Got::Frame(AmqpFrame { channel, body: Some(Performative::Attach(attach)), .. }) => {
                if attach.handle > 0 || links.contains(channel) {
                    return Ok(Outcome::fail(format!("a link with handle {} beyond handle-max 0", attach.handle)));
                }
                links.push(*channel);
                let own = sessions.iter().find(|(theirs, _)| theirs == channel).map_or(0, |(_, own)| *own);
                connection.send(own, frames::attach_answering(attach, 0));
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Close(_)), .. }) => {
                return Ok(Outcome::pass_with("the client gives up"));
            }
            Got::Frame(AmqpFrame { channel, body: Some(Performative::Detach(detach)), .. }) => {
                let own = sessions.iter().find(|(theirs, _)| theirs == channel).map_or(0, |(_, own)| *own);
                connection.send(own, frames::detach(detach.handle));
            }
            Got::Frame(AmqpFrame { channel, body: Some(Performative::End(_)), .. }) => {
                let own = sessions.iter().find(|(theirs, _)| theirs == channel).map_or(0, |(_, own)| *own);
                connection.send(own, frames::end());
            }
            Got::Frame(_) => {}
            Got::Timeout { .. } if !links.is_empty() => {
                return Ok(Outcome::pass_with("the client has attached one link, and waits"));
            }
            _ if got.is_end() && !links.is_empty() => return Ok(Outcome::pass_with("the client leaves")),
            _ => return Ok(Outcome::fail(format!("expected an attach, got {got}"))),
        }
    }
}

fn expects_first_transfer(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let begin = Begin { next_outgoing_id: SequenceNo(77), ..frames::begin() };
    let opened = trial.opened_by(frames::open("amqp-conformance"))?;
    let Linked { mut connection, session, .. } = linked(opened, &begin, SequenceNo(0), receives_from_node)?;
    let flow = Flow {
        next_incoming_id: Some(session.begin.next_outgoing_id),
        next_outgoing_id: SequenceNo(77),
        echo: true,
        ..frames::flow()
    };
    connection.send(session.channel, flow);
    loop {
        // A client may have sent the first one before the begin had come.
        match connection.expect::<Flow>()?.next_incoming_id {
            Some(SequenceNo(77)) => return Ok(crate::judge::closes_in_peace(&mut connection)),
            Some(SequenceNo(id)) => return Ok(Outcome::fail(format!("a flow with next-incoming-id {id}"))),
            None => {}
        }
    }
}
