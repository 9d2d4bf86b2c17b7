//! A whole conversation with frames that are written by hand, in a choice of encodings.

use super::support::MALFORMED;
use crate::{
    client::ClientTrial,
    judge::Refused,
    octets::{self, Body, Item, Style},
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::{
    definitions::Role,
    messaging::DeliveryState,
    performative::{Attach, Begin, Disposition, Flow, Performative, TargetArchetype, Transfer},
};
use amqp1_script::{AmqpFrame, Got, Scope};

/// The number with which the tool's transfers begin, so that it shows whether the client reads numbers right.
const FIRST: u32 = 7;
/// The handle of the tool's first link.
const HANDLE: u32 = 3;

/// Serves the client's links, on which it sends or receives one message, in this style. Passes if the client plays its
/// scenario to the end.
pub(super) fn converses(trial: &mut ClientTrial<'_>, style: &Style) -> Result<Outcome, Stop> {
    converses_about(trial, style, &octets::vector("msg-value"))
}

/// The same with a message of the case's own, where the client receives.
pub(super) fn converses_about(trial: &mut ClientTrial<'_>, style: &Style, message: &[u8]) -> Result<Outcome, Stop> {
    plays(trial, style, message, &Body::open("amqp-conformance", None).encode(style))
}

/// The same after an open with this body.
pub(super) fn converses_after(trial: &mut ClientTrial<'_>, open: &[u8]) -> Result<Outcome, Stop> {
    plays(trial, &Style::COMPACT, &octets::vector("msg-value"), open)
}

fn plays(trial: &mut ClientTrial<'_>, style: &Style, message: &[u8], open: &[u8]) -> Result<Outcome, Stop> {
    let mut server = Server::new(super::support::opening(trial)?, style, message);
    server.connection.raw(octets::frame(0, open));
    server.serve()
}

/// Answers the client's open with this body, and goes on as if it were lawful. Passes if the client refuses it, and fails
/// once it sends or settles a message.
pub(super) fn refuses_open(trial: &mut ClientTrial<'_>, open: &[u8]) -> Result<Outcome, Stop> {
    let mut server = Server::new(super::support::opening(trial)?, &Style::COMPACT, &[]);
    server.refusal = Some((Refused::by(Scope::Connection).with(&MALFORMED), trial.is_strict()));
    server.connection.raw(octets::frame(0, open));
    server.serve()
}

/// The same with a begin, in which the remote channel is put first.
pub(super) fn refuses_begin(trial: &mut ClientTrial<'_>, body: impl FnOnce(u16) -> Vec<u8>) -> Result<Outcome, Stop> {
    let mut server = Server::new(super::support::opening(trial)?, &Style::COMPACT, &[]);
    server.refusal = Some((Refused::at_any_scope().with(&MALFORMED), trial.is_strict()));
    server.write(0, &Body::open("amqp-conformance", None));
    let begin = server.connection.expect::<Begin>().map_err(|unexpected| Stop::set_up(&unexpected))?;
    server.sessions.push((begin.channel, begin.next_outgoing_id.0));
    server.connection.raw(octets::frame(0, &body(begin.channel)));
    server.serve()
}

struct Server<'a> {
    connection: Connection,
    style: Style,
    message: &'a [u8],
    links: Vec<RawLink>,
    /// The client's channels and next-outgoing-ids; the tool's channels are their indexes.
    sessions: Vec<(u16, u32)>,
    /// Whether a message was settled.
    is_served: bool,
    /// The refusal that is wanted instead of a message, and whether it is judged strictly.
    refusal: Option<(Refused, bool)>,
}

struct RawLink {
    channel: u16,
    remote_channel: u16,
    handle: u32,
    remote_handle: u32,
    /// Whether the message was sent on it.
    is_sent: bool,
}

impl<'a> Server<'a> {
    fn new(connection: Connection, style: &Style, message: &'a [u8]) -> Self {
        let (sessions, links) = (Vec::new(), Vec::new());
        Self { connection, style: *style, message, links, sessions, is_served: false, refusal: None }
    }

    fn write(&mut self, channel: u16, body: &Body) {
        self.connection.raw(octets::frame(channel, &body.encode(&self.style)));
    }

    fn serve(mut self) -> Result<Outcome, Stop> {
        let deadline = self.connection.now().saturating_add(self.connection.patience());
        loop {
            let got = self.connection.next_within(deadline.saturating_sub(self.connection.now()));
            if let Some((refused, is_strict)) = &self.refusal {
                if let Some(outcome) = refused.judge_one(&got, *is_strict) {
                    return Ok(outcome);
                }
                if got.name() == "close" {
                    return Ok(refused.judge_silent_close(*is_strict));
                }
                if matches!(got.name(), "transfer" | "disposition" | "detach") {
                    return Ok(Outcome::fail(format!("expected a refusal, got {got}")));
                }
            }
            let Got::Frame(AmqpFrame { channel, body: Some(body), .. }) = &got else {
                if got.name() == "empty" {
                    continue;
                }
                return Err(self.connection.unexpected("the rest of the scenario", got).into());
            };
            if let Some(refusal) = amqp1_script::Refusal::of(&got) {
                return Ok(Outcome::fail(format!("{} with {}", got.name(), refusal.error.condition)));
            }
            let verdict = match body {
                Performative::Begin(begin) => {
                    self.sessions.push((*channel, begin.next_outgoing_id.0));
                    self.write(self.channel(*channel), &Body::begin(Some(*channel), FIRST));
                    None
                }
                Performative::Attach(attach) => {
                    self.attach(*channel, attach);
                    None
                }
                Performative::Flow(flow) => self.flow(*channel, flow),
                Performative::Transfer(transfer) => {
                    self.transfer(*channel, transfer);
                    None
                }
                Performative::Disposition(disposition) => self.disposition(*channel, disposition),
                Performative::Detach(detach) => {
                    let link = self.link(*channel, detach.handle).map(|link| (link.channel, link.handle));
                    if let Some((channel, handle)) = link {
                        self.write(channel, &Body::detach(handle));
                    }
                    None
                }
                Performative::End(_) => {
                    self.write(self.channel(*channel), &Body::end());
                    None
                }
                Performative::Close(_) => {
                    self.write(0, &Body::close());
                    self.connection.finish();
                    return Ok(match self.is_served {
                        true => Outcome::pass(),
                        false => Outcome::fail("the client closed before a message was settled"),
                    });
                }
                Performative::Open(_) => Some(Outcome::fail("the client opened twice")),
            };
            if let Some(outcome) = verdict {
                return Ok(outcome);
            }
        }
    }

    /// The tool's channel of the session that the client has last begun on this one.
    fn channel(&self, remote: u16) -> u16 {
        let index = self.sessions.iter().rposition(|(channel, _)| *channel == remote).unwrap_or_default();
        u16::try_from(index).unwrap_or_default()
    }

    fn link(&mut self, channel: u16, handle: u32) -> Option<&mut RawLink> {
        self.links.iter_mut().find(|link| link.remote_channel == channel && link.remote_handle == handle)
    }

    fn attach(&mut self, channel: u16, attach: &Attach) {
        let handle = HANDLE.saturating_add(u32::try_from(self.links.len()).unwrap_or_default());
        let mine = self.channel(channel);
        let source = attach.source.as_ref().and_then(|source| source.address.as_deref());
        let target = match &attach.target {
            Some(TargetArchetype::Target(target)) => target.address.as_deref(),
            _ => None,
        };
        self.write(mine, &Body::attach(&attach.name, handle, attach.role == Role::Sender, source, target));
        self.links.push(RawLink {
            channel: mine,
            remote_channel: channel,
            handle,
            remote_handle: attach.handle,
            is_sent: false,
        });
        if attach.role == Role::Sender {
            let count = attach.initial_delivery_count.unwrap_or_default().0;
            // The client has sent nothing on the session, since it had no credit.
            let next = self.sessions.iter().rev().find(|(remote, _)| *remote == channel).map_or(0, |(_, next)| *next);
            let flow = Body::flow(next, FIRST, handle, 10).with(5, Item::Uint(count));
            self.write(mine, &flow);
        }
    }

    fn flow(&mut self, channel: u16, flow: &Flow) -> Option<Outcome> {
        let credit = flow.link_credit.unwrap_or_default();
        let link = self.link(channel, flow.handle?).filter(|link| credit > 0 && !link.is_sent)?;
        link.is_sent = true;
        let (mine, handle) = (link.channel, link.handle);
        if let Some(id) = flow.next_incoming_id.filter(|id| id.0 != FIRST) {
            return Some(Outcome::fail(format!("the client's next-incoming-id is {}, not {FIRST}", id.0)));
        }
        let transfer = Body::transfer(handle, FIRST, b"tag", false).encode(&self.style);
        self.connection.raw(octets::frame(mine, &[&transfer, self.message].concat()));
        None
    }

    fn transfer(&mut self, channel: u16, transfer: &Transfer) {
        let Some(mine) = self.link(channel, transfer.handle).map(|link| link.channel) else { return };
        if let (Some(id), false) = (transfer.delivery_id, transfer.more) {
            self.is_served = true;
            if transfer.settled != Some(true) {
                self.write(mine, &Body::accepted(true, id.0));
            }
        }
    }

    fn disposition(&mut self, channel: u16, disposition: &Disposition) -> Option<Outcome> {
        if disposition.role == Role::Sender {
            return None;
        }
        if disposition.first.0 != FIRST || disposition.state != Some(DeliveryState::Accepted) {
            return Some(Outcome::fail(format!("the client's disposition is {disposition:?}")));
        }
        self.is_served = true;
        let mine = self.links.iter().find(|link| link.remote_channel == channel).map(|link| link.channel)?;
        if !disposition.settled {
            self.write(mine, &Body::accepted(false, FIRST));
        }
        None
    }
}
