//! Two engines, to which operations happen, and a record of what they did.

use super::{
    Operation, Side,
    link::{Link, form, marked, state, token, why},
    operation::NEWEST,
};
use crate::{Accept, End, Judge, Pair, Pipe, Random, Stall, receiver, sender};
use amqp1_codec::{
    EncodeStyle, SequenceNo,
    definitions::{ReceiverSettleMode, SenderSettleMode},
};
use amqp1_engine::{
    ApiMisuse, AttachReply, ConnectionConfig, Credit, DrainMode, LinkId, ReceiverConfig, SendError, SendOptions,
    SenderConfig, SessionConfig, SessionId,
};
use core::time::Duration;
use std::collections::BTreeSet;

#[derive(Debug)]
pub(super) struct World {
    pub(super) pair: Pair,
    /// Sessions with the ends that have begun them.
    pub(super) sessions: Vec<(Side, SessionId)>,
    pub(super) links: Vec<Link>,
    /// The sessions, by their places, that an end was asked to end. Links may be attached until it does.
    ending: BTreeSet<usize>,
    pub(super) next_token: u64,
    /// An end has closed the connection.
    pub(super) closed: bool,
    /// The transport breaks, or has.
    pub(super) cut: bool,
}

/// What a number names, of so many.
fn choose(number: usize, of: usize) -> Option<usize> {
    if number == NEWEST { of.checked_sub(1) } else { number.checked_rem(of) }
}

fn config(name: &'static str, random: &mut Random) -> ConnectionConfig {
    let mut config = ConnectionConfig::new(name);
    config.max_frame_size = random.pick(&[512, 512, 700, 4096, 65_536]);
    config.outgoing_frame_cap = random.pick(&[512, 65_536]);
    config.style = random.pick(&[EncodeStyle::Compact, EncodeStyle::Full]);
    config.idle_timeout = random.pick(&[None, Some(60), Some(40)]).map(Duration::from_secs);
    config.channel_max = random.pick(&[15, 1023]);
    // What is on its way takes its time.
    config.close_timeout = Duration::from_secs(600);
    config
}

impl World {
    /// Two engines that have said nothing yet, with pipes between them, all by the seed.
    pub(super) fn new(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let mut pair = Pair::with(config("client", random), config("server", random));
        for end in [&mut pair.client, &mut pair.server] {
            let incoming_window = random.pick(&[1, 2, 7, 5000]);
            // Few, and more than any list attaches.
            let handle_max = random.pick(&[63, 65_535]);
            // From the start, and so that they wrap after a few.
            let mut first = || SequenceNo(random.pick(&[0, 0, 0x7fff_fffe, u32::MAX - 2]));
            let (next_outgoing_id, first_delivery_id) = (first(), first());
            end.accept.initial_delivery_count = first();
            let ids = SessionConfig { next_outgoing_id, first_delivery_id, ..SessionConfig::default() };
            end.accept.sessions = Some(SessionConfig { incoming_window, handle_max, ..ids });
            end.accept.links = Some(Credit::Window(1 + random.below(9) as u32));
            end.accept.max_message_size = random.pick(&[None, None, Some(2000)]);
            end.accept.drain_mode = random.pick(&[DrainMode::Automatic, DrainMode::APPLICATION]);
        }
        pair.limit = 1 + random.below(3000);
        (pair.up, pair.down) = (Pipe::seeded(random), Pipe::seeded(random));
        pair.hangup = true;
        pair.judge = Some(Box::new(Judge::default()));
        Self {
            pair,
            sessions: Vec::new(),
            links: Vec::new(),
            ending: BTreeSet::new(),
            next_token: 0,
            closed: false,
            cut: false,
        }
    }

    pub(super) fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.pair.client,
            Side::Server => &mut self.pair.server,
        }
    }

    /// The id of a link at one of its ends, if that end has seen it.
    pub(super) fn id(&mut self, at: usize, sending: bool) -> Option<(Side, LinkId)> {
        let link = &self.links[at];
        let side = link.side(sending);
        let (attached_by, id) = link.attached;
        if attached_by == side {
            return Some((side, id));
        }
        let names = match side {
            Side::Client => &self.pair.client.names,
            Side::Server => &self.pair.server.names,
        };
        names.get(&link.name).map(|id| (side, *id))
    }

    /// Does one operation. `None` if there is nothing that it could be done to.
    pub(super) fn apply(&mut self, operation: &Operation) -> Option<()> {
        let links = self.links.len();
        let pick = |number: usize| choose(number, links);
        match *operation {
            Operation::Begin { side, window } => {
                let config = SessionConfig { incoming_window: window, ..self.end(side).accept.sessions.clone()? };
                // Where both ends take all their channels there is none left to answer on.
                if self.live_sessions(side) >= 2 {
                    return None;
                }
                let session = match self.end(side).begin(config) {
                    Ok(session) => session,
                    Err(ApiMisuse::Closed) => return None,
                    Err(other) => panic!("{other}, with two sessions at most"),
                };
                self.sessions.push((side, session));
            }
            Operation::Attach { session, by_owner, sends, snd, second, credit } => {
                let session = choose(session, self.sessions.len())?;
                self.attach(session, by_owner, sends, (snd, second), credit)?;
            }
            Operation::Hold { side, hold } => {
                self.end(side).accept.links = (!hold).then_some(Credit::Window(3));
            }
            Operation::Answer { link, reject } => self.answer(pick(link)?, reject)?,
            Operation::Send { link, count, length, settled } => {
                for _ in 0..count {
                    self.send(pick(link)?, length, settled)?;
                }
            }
            Operation::Take { link, most } => {
                self.take(pick(link)?, most)?;
            }
            Operation::Dispose { link, first, count, backwards, outcome } => {
                self.dispose(pick(link)?, first, count, backwards, outcome)?;
            }
            Operation::SetCredit { link, credit } => {
                let at = pick(link)?;
                let (side, id) = self.id(at, false)?;
                if self.end(side).set_credit(id, credit).is_ok() {
                    self.links[at].gives(credit);
                }
            }
            Operation::Drain { link } => {
                let at = pick(link)?;
                let (side, id) = self.id(at, false)?;
                if self.end(side).drain(id).is_ok() {
                    let link = &mut self.links[at];
                    (link.draining, link.window) = (true, false);
                    link.drains += 1;
                }
            }
            Operation::AnswerDrain { link } => {
                let (side, id) = self.id(pick(link)?, true)?;
                self.end(side).answer_drain(id).ok()?;
            }
            Operation::Detach { link, by_sender, closed, error } => {
                let at = pick(link)?;
                let (side, id) = self.id(at, by_sender)?;
                self.links[at].ends(side, error);
                let _ = self.end(side).detach(id, closed, why(error));
            }
            Operation::End { session, by_owner, error } => {
                let at = choose(session, self.sessions.len())?;
                let (side, id) = self.session(at, by_owner)?;
                self.ending.insert(at);
                self.links.iter_mut().filter(|link| link.session == at).for_each(|link| link.ends(side, error));
                let _ = self.end(side).end(id, why(error));
            }
            Operation::Close { side, error } => self.close(side, error),
            Operation::Steps(count) => {
                for _ in 0..count {
                    let _ = self.pair.step() || self.pair.wait_for_arrival();
                }
            }
            Operation::Drive => self.pair.drive(),
            Operation::Sleep(duration) => self.pair.sleep(duration),
            Operation::Stall { side, lasts } => self.pipe_to(side).stall = Some(Stall { after: 0, lasts }),
            Operation::Cut { up, down } => {
                self.cut = true;
                self.links.iter_mut().for_each(|link| (link.ended, link.harsh) = (true, true));
                (self.pair.up.cut_after, self.pair.down.cut_after) = (up, down);
            }
        }
        Some(())
    }

    fn pipe_to(&mut self, side: Side) -> &mut Pipe {
        match side {
            Side::Client => &mut self.pair.down,
            Side::Server => &mut self.pair.up,
        }
    }

    pub(super) fn close(&mut self, side: Side, error: bool) {
        self.closed = true;
        self.links.iter_mut().for_each(|link| link.ends(side, error));
        let now = self.pair.now;
        self.end(side).engine.close(now, why(error));
    }

    /// How many sessions there are that an end has begun.
    fn live_sessions(&mut self, side: Side) -> usize {
        let begun: Vec<_> = self.sessions.iter().filter(|(owner, _)| *owner == side).map(|(_, id)| *id).collect();
        begun.into_iter().filter(|id| self.end(side).ended_session(*id).is_none()).count()
    }

    /// The id of a session at the end that has begun it, or at the other one, found by a link that both know.
    fn session(&mut self, at: usize, by_owner: bool) -> Option<(Side, SessionId)> {
        let (owner, id) = self.sessions[at];
        if by_owner {
            return Some((owner, id));
        }
        let known = (0..self.links.len()).filter(|link| self.links[*link].session == at).collect::<Vec<_>>();
        known.into_iter().find_map(|link| {
            let (side, id) = self.id(link, self.links[link].side(true) != owner)?;
            Some((side, self.end(side).session_of(id)?))
        })
    }

    fn attach(
        &mut self,
        session: usize,
        by_owner: bool,
        sends: bool,
        (snd, second): (SenderSettleMode, bool),
        credit: Credit,
    ) -> Option<()> {
        let (side, id) = self.session(session, by_owner)?;
        let name = format!("link {}", self.links.len());
        let (snd_settle_mode, rcv_settle_mode) =
            (snd, if second { ReceiverSettleMode::Second } else { ReceiverSettleMode::First });
        let attached = if sends {
            let name = name.as_str().into();
            let Accept { drain_mode, initial_delivery_count, .. } = self.end(side).accept;
            let config = SenderConfig { name, snd_settle_mode, rcv_settle_mode, drain_mode, ..sender("") };
            let config = SenderConfig { initial_delivery_count, ..config };
            self.end(side).attach_sender(id, config)
        } else {
            let name = name.as_str().into();
            let config = ReceiverConfig { name, snd_settle_mode, rcv_settle_mode, ..receiver("", credit) };
            self.end(side).attach_receiver(id, config)
        };
        let attached = (side, attached.ok()?);
        let ending = self.cut || self.closed || self.ending.contains(&session);
        self.links.push(Link {
            name,
            sender: if sends { side } else { side.other() },
            attached,
            session,
            snd,
            sent: Vec::new(),
            received: Vec::new(),
            held: Vec::new(),
            stated: Default::default(),
            // An end may have no room for it: then nothing can be sent on it.
            ended: ending,
            draining: false,
            drains: 0,
            harsh: ending,
            most: match credit {
                // The other end receives: no end gives more than this.
                _ if sends => Some(9),
                Credit::Window(window) => Some(window),
                Credit::Manual(_) => None,
            },
            // Where the other end receives it answers with a window.
            window: sends || matches!(credit, Credit::Window(1..)),
        });
        Some(())
    }

    /// Answers a link that waits for it, at the end that did not attach it.
    pub(super) fn answer(&mut self, at: usize, reject: bool) -> Option<()> {
        let sending = self.links[at].sender != self.links[at].attached.0;
        let (side, id) = self.id(at, sending)?;
        if reject {
            if self.end(side).reject_link(id, crate::error(super::link::OURS)).is_ok() {
                (self.links[at].ended, self.links[at].harsh) = (true, true);
            }
            return Some(());
        }
        let credit = Credit::Window(5);
        let Accept { drain_mode, initial_delivery_count, .. } = self.end(side).accept;
        let reply = AttachReply::echo(&self.end(side).remote_attach(id)?);
        let reply = AttachReply { credit, drain_mode, initial_delivery_count, ..reply };
        self.end(side).accept_link(id, reply).ok()?;
        if !sending {
            self.links[at].gives(credit);
        }
        Some(())
    }

    fn send(&mut self, at: usize, length: usize, settled: bool) -> Option<()> {
        let (side, id) = self.id(at, true)?;
        let token = self.next_token;
        let (tag, message_format) = form(token);
        let options = SendOptions { settled, token, tag, message_format, ..SendOptions::default() };
        let credit = self.end(side).credit(id);
        match self.end(side).send(id, marked(token, length), options) {
            Ok(()) => {
                assert!(credit > 0, "a message was taken without credit");
                self.next_token += 1;
                let link = &mut self.links[at];
                let settled = link.sends_settled(settled);
                link.sent.push((token, settled));
                Some(())
            }
            Err(SendError::NoCredit) => {
                assert_eq!(credit, 0, "a message was refused for want of credit");
                None
            }
            Err(SendError::SettleMode) => {
                assert!(settled && self.links[at].snd == SenderSettleMode::Unsettled);
                None
            }
            Err(SendError::TooLarge { max }) => {
                assert!(length as u64 + 20 > max);
                None
            }
            Err(SendError::Detached) => None,
            Err(other) => panic!("{other}"),
        }
    }

    /// Takes deliveries at the receiving end; whether there were any.
    pub(super) fn take(&mut self, at: usize, count: usize) -> Option<bool> {
        let (side, id) = self.id(at, false)?;
        let waiting = self.end(side).buffered(id);
        let most = self.links[at].most.unwrap_or(u32::MAX - 1) as usize;
        assert!(waiting <= most, "{waiting} deliveries wait where the window is {most}");
        let mut any = false;
        for _ in 0..count {
            let Some(delivery) = self.end(side).recv(id) else { break };
            any = true;
            let token = token(&delivery.message);
            let (tag, message_format) = form(token);
            assert_eq!(delivery.message_format, message_format, "message {token} has another format");
            assert!(tag.is_none_or(|tag| tag == delivery.tag), "message {token} has another tag");
            let link = &mut self.links[at];
            link.received.push(token);
            if !delivery.settled {
                link.held.push((token, delivery.key));
            }
        }
        Some(any)
    }

    pub(super) fn dispose(&mut self, at: usize, first: usize, count: usize, backwards: bool, number: u8) -> Option<()> {
        let (side, id) = self.id(at, false)?;
        let held = &mut self.links[at].held;
        let first = first.checked_rem(held.len())?;
        let last = held.len().min(first + count);
        let mut chosen = held[first..last].to_vec();
        if backwards {
            chosen.reverse();
        }
        let state = state(number);
        if state.is_outcome() {
            held.drain(first..last);
        }
        for (token, key) in chosen {
            let disposed = self.end(side).dispose(id, key, state.clone()).is_ok();
            if disposed && state.is_outcome() {
                self.links[at].stated.insert(token, state.clone());
            }
        }
        Some(())
    }
}
