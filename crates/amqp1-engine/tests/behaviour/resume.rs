//! Links that outlive their endpoints (§2.6.13, §3.4.6).

use amqp1_codec::{
    DeliveryTag, EncodedMessage, Message, SequenceNo, Value,
    definitions::{ErrorCondition, ReceiverSettleMode, Role},
    messaging::{DeliveryState, Modified, Properties, Received},
    performative::{Attach, Detach, Disposition, Performative, Transfer, Unsettled},
};
use amqp1_engine::{
    AttachReply, ConnectionConfig, Credit, Detached, Event, LinkId, LinkNames, ReceivedSoFar, ReceiverConfig,
    SendError, SendOptions, SenderConfig, SentSoFar, Settlement, Suspended, SuspendedReceiver, SuspendedSender,
};
use amqp1_testkit::*;
use bytes::Bytes;
use std::collections::BTreeMap;

use DeliveryState::{Accepted, Released};

fn at(section_number: u32, section_offset: u64) -> DeliveryState {
    DeliveryState::Received(Received { section_number, section_offset })
}

fn value(state: Option<&DeliveryState>) -> Value {
    use amqp1_codec::{Decode, Encode, Reader};
    state.map_or(Value::Null, |state| Value::decode(&mut Reader::new(&state.to_octets())).unwrap())
}

pub(crate) fn tag(number: u8) -> DeliveryTag {
    DeliveryTag::new(&[number]).unwrap()
}

/// A message of four sections, of which the last three are longer than the offsets of the worked example.
fn long_message(number: u8) -> EncodedMessage {
    let properties = Properties { subject: Some(format!("{number:0>1000}").into()), ..Properties::default() };
    let sections = [body(number.into(), 3000), body(7, 3000), body(8, 3000)];
    let [a, b, c] = sections;
    Message::builder().properties(properties).data(a).data(b).data(c).build()
}

fn octets(message: EncodedMessage) -> Bytes {
    message.into_parts().concat().into()
}

/// What both ends say in the worked example of §3.4.6, by tag: the sender's state, and the receiver's if it has an entry.
pub(crate) fn worked_example() -> Vec<(Option<DeliveryState>, Option<Option<DeliveryState>>)> {
    vec![
        (None, None),
        (None, Some(Some(at(3, 0)))),
        (None, Some(Some(Accepted))),
        (None, Some(None)),
        (Some(at(0, 200)), None),
        (Some(at(1, 150)), Some(Some(at(2, 0)))),
        (Some(at(0, 500)), Some(Some(at(0, 100)))),
        (Some(at(3, 5)), Some(Some(Accepted))),
        (Some(at(2, 0)), Some(None)),
        (Some(Accepted), None),
        (Some(Accepted), Some(Some(at(1, 2000)))),
        (Some(Accepted), Some(Some(Accepted))),
        (Some(Accepted), Some(Some(Released))),
        (Some(Accepted), Some(None)),
    ]
}

pub(crate) fn unsettled_map(states: impl Iterator<Item = (u8, Option<DeliveryState>)>) -> Option<Unsettled> {
    Some(states.map(|(number, state)| (tag(number), value(state.as_ref()))).collect())
}

/// What a sending end has kept of the worked example.
pub(crate) fn suspended_sender() -> SuspendedSender {
    let mut suspended = SuspendedSender::new();
    for (number, (state, _)) in (1..).zip(worked_example()) {
        suspended.deliveries.push_back(SentSoFar {
            tag: tag(number),
            token: number.into(),
            message_format: 0x100 + u32::from(number),
            settled: false,
            begun: true,
            state,
            message: Some(long_message(number)),
        });
    }
    suspended
}

/// The transfers of a delivery put together: the first one, whether one was aborted or settled, and the payload.
#[derive(Debug)]
struct Sent {
    first: Transfer,
    aborted: bool,
    settled: bool,
    payload: Vec<u8>,
}

fn deliveries(frames: Vec<(u16, Performative, Bytes)>) -> Vec<Sent> {
    let mut sent: Vec<Sent> = Vec::new();
    for (_, body, payload) in frames {
        let Performative::Transfer(transfer) = body else { continue };
        if transfer.delivery_tag.is_some() {
            sent.push(Sent { first: transfer.clone(), aborted: false, settled: false, payload: Vec::new() });
        }
        let delivery = sent.last_mut().expect("a delivery has begun");
        delivery.aborted |= transfer.aborted;
        delivery.settled |= transfer.settled == Some(true);
        delivery.payload.extend_from_slice(&payload);
    }
    sent
}

/// The engine sends. Also M-3.4.6-1 to M-3.4.6-12, M-3.4.6-14, M-3.4.1-1, T-2.6.13-1, T-2.6.13-2, T-2.6.13-3, T-2.6.13-5,
/// T-2.6.3-6, T-2.7.3-11, T-2.7.3-12, T-2.7.5-15, T-2.7.5-16, T-2.8.11-1 and M-3.4.1-2.
#[test]
fn m_3_4_6_13_the_sender_of_the_worked_example_does_what_each_pair_of_states_asks_for() {
    let (mut peer, session) = Peer::client_with_session();
    let tx = peer.end.attach_sender(session, SenderConfig { resume: Some(suspended_sender()), ..sender("l") }).unwrap();
    let [(_, Performative::Attach(ours), _)] = &peer.read()[..] else { panic!("an attach") };
    assert_eq!(ours.unsettled, unsettled_map((1..).zip(worked_example().into_iter().map(|(sender, _)| sender))));
    let theirs = (1..).zip(worked_example()).filter_map(|(number, (_, receiver))| Some((number, receiver?)));
    let answer = Attach { unsettled: unsettled_map(theirs), ..attach("l", 0, Role::Receiver) };
    peer.send(0, answer);
    assert!(peer.end.attached(tx) && peer.names().is_empty(), "without credit nothing is resumed");
    peer.send(0, credit(0, 100));
    let sent = deliveries(peer.read());
    let whole = |number| octets(long_message(number));
    let from = |number, state: DeliveryState| {
        let DeliveryState::Received(position) = &state else { panic!("{state:?}") };
        let whole = whole(number);
        // Section 0 holds the properties, the others 3008 octets each.
        let properties = whole.len() - 3 * 3008;
        let sections = [0, properties, properties + 3008, properties + 2 * 3008];
        whole.slice(sections[position.section_number as usize] + position.section_offset as usize..)
    };
    let no_payload = Bytes::new();
    // Tag, resume, aborted, settled, state, payload.
    let expected = [
        (1, false, false, false, None, whole(1)),
        (2, true, false, false, Some(at(3, 0)), from(2, at(3, 0))),
        (3, true, false, true, Some(Accepted), no_payload.clone()),
        (4, true, false, false, None, whole(4)),
        (5, false, false, false, None, whole(5)),
        (6, true, false, false, Some(at(2, 0)), from(6, at(2, 0))),
        (7, true, true, false, None, no_payload.clone()),
        (7, false, false, false, None, whole(7)),
        (8, true, false, true, Some(Accepted), no_payload.clone()),
        (9, true, true, false, None, no_payload.clone()),
        (9, false, false, false, None, whole(9)),
        (11, true, true, false, None, no_payload.clone()),
        (12, true, false, true, Some(Accepted), no_payload.clone()),
        (13, true, false, false, Some(Accepted), no_payload.clone()),
        (14, true, true, false, None, no_payload),
    ];
    assert_eq!(sent.len(), expected.len(), "{sent:?}");
    for (sent, (number, resume, aborted, settled, state, payload)) in sent.iter().zip(expected) {
        let first = &sent.first;
        assert_eq!(first.delivery_tag, Some(tag(number)));
        assert_eq!(first.message_format, Some(0x100 + u32::from(number)));
        assert_eq!((first.resume, sent.aborted, sent.settled), (resume, aborted, settled), "tag {number}");
        assert_eq!(first.state, state, "tag {number}");
        assert!(sent.payload == payload, "tag {number}: {} octets, not {}", sent.payload.len(), payload.len());
    }
    // What is decided is told.
    let mut outcomes = peer.end.settlements();
    outcomes.sort_unstable_by_key(|(token, _)| *token);
    let decided = |token| (token, Settlement::Outcome(Some(Accepted)));
    assert_eq!(outcomes, [3, 8, 10, 11, 12, 14].map(decided));
    // Tag 13: the receiver settles with our outcome. The others are settled as ever.
    let of_13 = sent.iter().find(|sent| sent.first.delivery_tag == Some(tag(13))).unwrap().first.delivery_id.unwrap();
    let settles = Disposition {
        role: Role::Receiver,
        first: of_13,
        settled: true,
        state: Some(Accepted),
        ..Disposition::default()
    };
    peer.send(0, settles.clone());
    assert_eq!(peer.end.settlements().last(), Some(&decided(13)));
    peer.send(0, Disposition { first: SequenceNo(0), last: Some(SequenceNo(14)), ..settles });
    let mut tokens: Vec<_> = peer.end.settlements().into_iter().map(|(token, _)| token).collect();
    tokens.sort_unstable();
    assert_eq!(tokens, (1..=14).collect::<Vec<_>>());
}

/// What a receiving end has kept of the worked example.
pub(crate) fn suspended_receiver() -> SuspendedReceiver {
    let mut suspended = SuspendedReceiver::new();
    for (number, (_, state)) in (1..).zip(worked_example()) {
        let Some(state) = state else { continue };
        let whole = octets(long_message(number));
        let properties = whole.len() - 3 * 3008;
        let held = match &state {
            Some(DeliveryState::Received(position)) => {
                let start = [0, properties, properties + 3008, properties + 2 * 3008][position.section_number as usize];
                start + position.section_offset as usize
            }
            Some(_) => whole.len(),
            None => 0,
        };
        let received = ReceivedSoFar {
            message_format: 0,
            parts: vec![whole.slice(..held / 2), whole.slice(held / 2..held)],
            whole: held == whole.len(),
            taken: held == whole.len(),
            outcome: state.filter(DeliveryState::is_outcome),
        };
        suspended.deliveries.insert(tag(number), received);
    }
    suspended
}

/// A server whose receiving end goes on with what it has kept, opposite a sender with this map.
fn resumed_receiver(mode: ReceiverSettleMode) -> (Peer, LinkId) {
    resumed_receiver_with(mode, |_| {})
}

/// As [`resumed_receiver`], answered with this change.
fn resumed_receiver_with(mode: ReceiverSettleMode, change: impl FnOnce(&mut AttachReply)) -> (Peer, LinkId) {
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    let theirs = (1..).zip(worked_example().into_iter().map(|(sender, _)| sender));
    let unsettled = unsettled_map(theirs);
    peer.send(0, Attach { unsettled, rcv_settle_mode: mode, ..attach("l", 0, Role::Sender) });
    let rx = peer.end.offered_links()[0];
    let offered = peer.end.remote_attach(rx).unwrap();
    let mut reply =
        AttachReply { resume_receiver: Some(suspended_receiver()), resumable: true, ..AttachReply::echo(&offered) };
    change(&mut reply);
    peer.end.accept_link(rx, reply).unwrap();
    let frames = peer.read();
    let Performative::Attach(ours) = &frames[0].1 else { panic!("{frames:?}") };
    // M-3.4.6-15: of tags 4, 9 and 14 nothing is held, so they are not named.
    let named: Vec<_> = ours.unsettled.as_ref().unwrap().iter().map(|(tag, state)| (tag, state.clone())).collect();
    let states =
        (1..).zip(worked_example()).filter_map(|(number, (_, state))| Some((tag(number), value(Some(&state??)))));
    assert_eq!(named, states.collect::<Vec<_>>());
    (peer, rx)
}

fn resuming(number: u8, id: u32) -> Transfer {
    Transfer { delivery_tag: Some(tag(number)), resume: true, ..transfer(0, id) }
}

fn dispositions(frames: Vec<(u16, Performative, Bytes)>) -> Vec<Disposition> {
    let bodies = frames.into_iter().filter_map(|(_, body, _)| match body {
        Performative::Disposition(disposition) => Some(disposition),
        _ => None,
    });
    bodies.collect()
}

/// The engine receives. Also M-3.4.6-15, M-3.4.6-13, M-3.4.1-2 and T-2.6.13-5: what it holds it has once.
#[test]
fn m_3_4_6_17_the_receiver_of_the_worked_example_ignores_what_it_has_and_keeps_what_it_lacks() {
    let (mut peer, rx) = resumed_receiver(ReceiverSettleMode::First);
    let got = |peer: &mut Peer| {
        let taken: Vec<_> = peer.end.take_all(rx);
        taken
            .into_iter()
            .map(|delivery| (delivery.tag, delivery.resumed, octets(delivery.message.to_encoded())))
            .collect::<Vec<_>>()
    };
    let whole = |number| octets(long_message(number));
    let properties = whole(2).len() - 3 * 3008;
    // Tag 2 holds sections 0 to 2. The sender may begin anywhere before that.
    for (id, (state, start)) in
        [(None, 0), (Some(at(1, 10)), properties + 10), (Some(at(3, 0)), properties + 2 * 3008)].into_iter().enumerate()
    {
        let (mut peer, _) = resumed_receiver(ReceiverSettleMode::First);
        peer.send_payload(0, Transfer { state, more: true, ..resuming(2, id as u32) }, &whole(2)[start..start + 20]);
        peer.send_payload(0, Transfer { handle: 0, ..Transfer::default() }, &whole(2)[start + 20..]);
        assert_eq!(got(&mut peer), [(tag(2), true, whole(2))]);
    }
    // Tag 6 holds two sections.
    peer.send_payload(0, Transfer { state: Some(at(1, 150)), ..resuming(6, 1) }, &whole(6)[properties + 150..]);
    assert_eq!(got(&mut peer), [(tag(6), true, whole(6))]);
    // Tags 3, 8 and 12: the sender agrees and settles.
    for (number, id) in [(3, 2), (8, 3), (12, 4)] {
        peer.send(0, Transfer { settled: Some(true), state: Some(Accepted), ..resuming(number, id) });
    }
    // Tags 7 and 11: what is held is void, and 7 comes anew.
    for (number, id) in [(7, 5), (11, 6)] {
        peer.send(0, Transfer { aborted: true, ..resuming(number, id) });
    }
    peer.send_payload(0, Transfer { resume: false, ..resuming(7, 7) }, &whole(7));
    assert_eq!(got(&mut peer), [(tag(7), false, whole(7))]);
    assert!(dispositions(peer.read()).is_empty());
    // Tag 13: the sender's outcome counts.
    peer.send(0, Transfer { settled: Some(false), state: Some(Accepted), ..resuming(13, 8) });
    let [says] = &dispositions(peer.read())[..] else { panic!("a disposition") };
    assert_eq!((says.first, says.settled, &says.state), (SequenceNo(8), true, &Some(Accepted)));
    assert!(got(&mut peer).is_empty() && peer.end.detached(rx).is_none());
    // So does every other one that is not the receiver's.
    let modified = DeliveryState::Modified(Box::new(Modified { delivery_failed: true, ..Modified::default() }));
    let rejected = DeliveryState::rejected(error(ErrorCondition::INVALID_FIELD));
    for (outcome, mode) in [Accepted, DeliveryState::Rejected(None), rejected, modified]
        .into_iter()
        .flat_map(|outcome| [ReceiverSettleMode::First, ReceiverSettleMode::Second].map(|mode| (outcome.clone(), mode)))
    {
        let (mut peer, _) = resumed_receiver(mode);
        peer.send(0, Transfer { settled: Some(false), state: Some(outcome.clone()), ..resuming(13, 0) });
        let [says] = &dispositions(peer.read())[..] else { panic!("{outcome:?}: a disposition") };
        assert_eq!((says.first, says.settled, &says.state), (SequenceNo(0), true, &Some(outcome)), "{mode:?}");
    }
}

/// The part that was held before counts towards the message, whether it comes again or not.
#[test]
fn t_2_7_3_16_what_is_held_of_a_resumed_message_counts_towards_its_size() {
    let whole = octets(long_message(2));
    let size = whole.len() as u64;
    let properties = whole.len() - 3 * 3008;
    for start in [0, properties + 10, properties + 2 * 3008] {
        let state = match start {
            0 => at(0, 0),
            _ if start == properties + 10 => at(1, 10),
            _ => at(3, 0),
        };
        for (max, fits) in [(size, true), (size - 1, false)] {
            let mode = ReceiverSettleMode::First;
            let (mut peer, rx) = resumed_receiver_with(mode, |reply| reply.max_message_size = Some(max));
            peer.send_payload(0, Transfer { state: Some(state.clone()), ..resuming(2, 0) }, &whole[start..]);
            let refused = (!fits).then_some(("detach", ErrorCondition::MESSAGE_SIZE_EXCEEDED));
            assert_eq!(peer.refusal(), refused, "from {start}");
            assert_eq!(peer.end.take_all(rx).len(), usize::from(fits), "from {start}");
        }
    }
}

/// Also T-2.6.13-1.
#[test]
fn t_2_7_5_14_what_is_resumed_and_not_known_is_ignored() {
    let (mut peer, rx) = resumed_receiver(ReceiverSettleMode::First);
    peer.send_payload(0, Transfer { more: true, ..resuming(77, 0) }, HELLO);
    peer.send_payload(0, Transfer { handle: 0, ..Transfer::default() }, HELLO);
    assert!(peer.end.take_all(rx).is_empty() && dispositions(peer.read()).is_empty());
    assert!(peer.end.detached(rx).is_none());
}

#[test]
fn an_outcome_that_the_sender_does_not_know_yet_is_said_again() {
    for (mode, settled) in [(ReceiverSettleMode::First, true), (ReceiverSettleMode::Second, false)] {
        let (mut peer, _) = resumed_receiver(mode);
        peer.send(0, resuming(3, 0));
        let [says] = &dispositions(peer.read())[..] else { panic!("a disposition") };
        assert_eq!((says.first, says.settled, &says.state), (SequenceNo(0), settled, &Some(Accepted)), "{mode:?}");
    }
}

#[test]
fn what_is_resumed_beyond_what_was_received_detaches_the_link() {
    let (mut peer, _) = resumed_receiver(ReceiverSettleMode::First);
    peer.send_payload(0, Transfer { state: Some(at(3, 5)), ..resuming(2, 0) }, HELLO);
    assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::INVALID_FIELD)));
}

/// Both ends of a link, and what they have kept of it.
pub(crate) struct Resumable {
    pub(crate) pair: Pair,
    mode: ReceiverSettleMode,
    pub(crate) sender: Option<SuspendedSender>,
    receiver: Option<SuspendedReceiver>,
    /// Bodies that the application has taken for good, by tag.
    pub(crate) taken: BTreeMap<DeliveryTag, Bytes>,
    twice: usize,
    pub(crate) outcomes: Vec<(u64, Settlement)>,
}

impl Resumable {
    pub(crate) fn new(mode: ReceiverSettleMode) -> Self {
        let pair = Self::connection();
        let (taken, outcomes) = Default::default();
        Self { pair, mode, sender: None, receiver: None, taken, twice: 0, outcomes }
    }

    fn connection() -> Pair {
        let (mut client, mut server) = Pair::configs();
        client.max_frame_size = 512;
        server.max_frame_size = 512;
        let mut pair = Pair::open_with(client, server);
        pair.server.accept.links = None;
        pair
    }

    /// Attaches the link on the connection that is there.
    pub(crate) fn attach(&mut self) -> (LinkId, Option<LinkId>) {
        let session = self.pair.client.begin(Default::default()).unwrap();
        let config =
            SenderConfig { resumable: true, resume: self.sender.take(), rcv_settle_mode: self.mode, ..sender("l") };
        let tx = self.pair.client.attach_sender(session, config).unwrap();
        self.pair.drive();
        let rx = self.pair.server.offered_links().first().copied();
        if let Some(rx) = rx {
            if let Some(offered) = self.pair.server.remote_attach(rx) {
                let resume_receiver =
                    self.receiver.take().or_else(|| offered.unsettled.is_some().then(SuspendedReceiver::new));
                let reply = AttachReply { resumable: true, resume_receiver, ..AttachReply::echo(&offered) };
                self.pair.server.accept_link(rx, reply).unwrap();
            }
        }
        self.pair.drive();
        (tx, rx)
    }

    /// Takes and accepts what is there.
    pub(crate) fn take(&mut self, rx: Option<LinkId>) {
        let Some(rx) = rx else { return };
        for _ in 0..20 {
            for delivery in self.pair.server.take_all(rx) {
                let body = data(&delivery.message);
                // What was taken before and not stated comes again, and says so.
                let before = self.taken.insert(delivery.tag, body);
                self.twice += usize::from(before.is_some() && !delivery.resumed);
                if !delivery.settled {
                    self.pair.server.dispose(rx, delivery.key, Accepted).unwrap();
                }
            }
            self.pair.drive();
        }
    }

    /// The transport has gone.
    pub(crate) fn lose(&mut self, tx: LinkId, rx: Option<LinkId>) {
        let now = self.pair.now;
        for end in [&mut self.pair.client, &mut self.pair.server] {
            end.engine.handle_eof(now);
            end.look();
        }
        self.outcomes.extend(self.pair.client.settlements());
        match self.pair.client.detached(tx).expect("the link is over").suspended {
            Some(Suspended::Sender(suspended)) => self.sender = Some(suspended),
            other => panic!("{other:?}"),
        }
        match rx.and_then(|rx| self.pair.server.detached(rx)).and_then(|detached| detached.suspended) {
            Some(Suspended::Receiver(suspended)) => self.receiver = Some(suspended),
            Some(other) => panic!("{other:?}"),
            None => {}
        }
        self.pair = Self::connection();
    }
}

/// Three messages of several frames, over a transport that breaks at one octet or another; then again over one that
/// does not. Also T-2.6.3-6, T-2.6.13-3, T-2.7.3-11 and M-3.4.6-2.
#[test]
fn t_2_6_13_5_a_link_that_is_cut_anywhere_is_resumed_and_nothing_is_lost() {
    for mode in [ReceiverSettleMode::First, ReceiverSettleMode::Second] {
        let mut resumed_twice = 0;
        let (mut cuts, mut resumed) = (0, 0);
        for (up, down) in (0..6000).step_by(7).map(|cut| (Some(cut), None)).chain((0..900).map(|cut| (None, Some(cut))))
        {
            let mut link = Resumable::new(mode);
            link.pair.up.cut_after = up;
            link.pair.down.cut_after = down;
            let (tx, rx) = link.attach();
            // Where the transport is cut before there is credit none is taken.
            let sent = [0, 1, 2].map(|token| link.pair.client.send(tx, message(token, 1500), unsettled(token as u64)));
            let taken = sent.iter().filter(|sent| sent.is_ok()).count();
            assert!([0, 3].contains(&taken), "{sent:?}");
            link.pair.drive();
            link.take(rx);
            if !link.pair.up.is_cut() && !link.pair.down.is_cut() {
                continue;
            }
            cuts += 1;
            link.lose(tx, rx);
            let (tx, rx) = link.attach();
            link.take(rx);
            link.outcomes.extend(link.pair.client.settlements());
            if taken == 0 {
                assert!(link.outcomes.is_empty() && link.taken.is_empty());
                continue;
            }
            resumed += 1;
            let mut outcomes = core::mem::take(&mut link.outcomes);
            outcomes.sort_unstable_by_key(|(token, _)| *token);
            let accepted = |token| (token, Settlement::Outcome(Some(Accepted)));
            assert_eq!(outcomes, [0, 1, 2].map(accepted), "{mode:?} {up:?} {down:?}");
            let bodies: Vec<_> = link.taken.values().cloned().collect();
            assert_eq!(bodies, [0, 1, 2].map(|token| body(token, 1500)), "{mode:?} {up:?} {down:?}");
            resumed_twice += link.twice;
            let left = link.pair.client.detached(tx);
            assert!(left.is_none(), "{left:?}");
        }
        assert!(cuts > 500 && resumed > 400, "{resumed} of {cuts}");
        match mode {
            // The receiver has settled, and its word was lost: at least once.
            ReceiverSettleMode::First => assert!(resumed_twice > 0),
            ReceiverSettleMode::Second => assert_eq!(resumed_twice, 0, "exactly once"),
        }
    }
}

/// Also T-2.6.4-1 and T-2.5.2-3.
#[test]
fn t_2_6_4_3_a_detached_link_that_is_not_closed_is_suspended_and_one_that_is_closed_is_not() {
    for closed in [false, true] {
        let mut pair = Pair::open();
        let (session, _) = pair.session();
        let config = SenderConfig { resumable: true, ..sender("l") };
        let tx = pair.client.attach_sender(session, config).unwrap();
        pair.drive();
        pair.client.send(tx, message(1, 10), unsettled(1)).unwrap();
        pair.drive();
        pair.client.detach(tx, closed, None).unwrap();
        pair.drive();
        let detached = pair.client.detached(tx).unwrap();
        match detached.suspended {
            Some(Suspended::Sender(suspended)) if !closed => assert_eq!(suspended.deliveries[0].token, 1),
            None if closed => assert_eq!(pair.client.settlements(), [(1, Settlement::Lost { sent: true })]),
            other => panic!("{other:?}"),
        }
        // Attached anew without what was kept, it says nothing of it.
        let tx = pair.client.attach_sender(session, sender("l")).unwrap();
        pair.drive();
        assert!(pair.client.attached(tx));
        let attaches = frames(&pair.client.written).into_iter().filter_map(|(_, body, _)| match body {
            Some(Performative::Attach(attach)) => Some(attach.unsettled),
            _ => None,
        });
        assert_eq!(attaches.collect::<Vec<_>>(), [None, None]);
    }
}

/// Also T-2.7.3-11: a map that is there, and empty, on a resumption of nothing.
#[test]
fn t_2_6_13_2_what_the_sender_has_forgotten_is_settled() {
    let mut link = Resumable::new(ReceiverSettleMode::Second);
    let (tx, rx) = link.attach();
    let rx = rx.unwrap();
    link.pair.client.send(tx, message(1, 10), unsettled(1)).unwrap();
    link.pair.client.send(tx, message(2, 10), unsettled(2)).unwrap();
    link.pair.drive();
    let first = link.pair.server.recv(rx).unwrap();
    link.lose(tx, Some(rx));
    link.sender = Some(SuspendedSender::new());
    let (_, rx) = link.attach();
    // One was taken; the other exists only here.
    let [delivery] = &link.pair.server.take_all(rx.unwrap())[..] else { panic!("one delivery") };
    assert!(delivery.settled && delivery.resumed && delivery.tag != first.tag);
    let attach = frames(&link.pair.client.written).into_iter().find_map(|(_, body, _)| match body {
        Some(Performative::Attach(attach)) => Some(attach.unsettled),
        _ => None,
    });
    assert_eq!(attach, Some(Some(Unsettled::new())));
}

/// Neither end has a map when nothing is resumed: not at first, and not when the link is attached again without it.
#[test]
fn t_2_7_3_11_unsettled_is_null_unless_a_link_is_resumed() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    for resumable in [false, true] {
        let name = if resumable { "resumable" } else { "plain" };
        for _ in 0..2 {
            let tx = pair.client.attach_sender(session, SenderConfig { resumable, ..sender(name) }).unwrap();
            let config = ReceiverConfig { resumable, ..receiver(name, Credit::Manual(1)) };
            let rx = pair.client.attach_receiver(session, config).unwrap();
            pair.drive();
            pair.client.send(tx, message(1, 10), unsettled(1)).unwrap();
            pair.drive();
            for link in [tx, rx] {
                pair.client.detach(link, false, None).unwrap();
            }
            pair.drive();
        }
    }
    for end in [&pair.client, &pair.server] {
        let maps = frames(&end.written).into_iter().filter_map(|(_, body, _)| match body {
            Some(Performative::Attach(attach)) => Some(attach.unsettled),
            _ => None,
        });
        assert_eq!(maps.collect::<Vec<_>>(), [const { None }; 8]);
    }
}

/// Also T-2.6.13-4, T-2.7.3-14.
#[test]
fn t_2_7_3_13_a_map_that_does_not_fit_is_sent_in_parts_over_several_attaches() {
    const COUNT: u64 = 200;
    let mut link = Resumable::new(ReceiverSettleMode::Second);
    let (tx, rx) = link.attach();
    for token in 0..COUNT {
        let tag = DeliveryTag::new(format!("a tag of {token:>20}").as_bytes()).unwrap();
        let options = SendOptions { tag: Some(tag), ..unsettled(token) };
        link.pair.client.send(tx, message(token as usize, 20), options).unwrap();
    }
    link.pair.drive();
    let deliveries = link.pair.server.take_all(rx.unwrap());
    assert_eq!(deliveries.len() as u64, COUNT);
    link.lose(tx, rx);
    let mut rounds = 0;
    let last = loop {
        let (tx, rx) = link.attach();
        rounds += 1;
        let incomplete = frames(&link.pair.client.written).into_iter().find_map(|(_, body, _)| match body {
            Some(Performative::Attach(attach)) => Some(attach.incomplete_unsettled),
            _ => None,
        });
        let sent = link.pair.client.send(tx, message(0, 1), unsettled(COUNT));
        link.take(rx);
        if incomplete != Some(true) && sent.is_ok() {
            break (tx, rx);
        }
        assert_eq!(sent, Err(SendError::Reattach));
        let told = link.pair.client.count(|event| matches!(event, Event::Reattach(id) if *id == tx));
        assert_eq!(told, 1, "round {rounds}");
        assert!(rounds < 100, "no end");
        link.pair.client.detach(tx, false, None).unwrap();
        link.pair.drive();
        link.lose(tx, rx);
    };
    assert!(rounds > 3, "{rounds}");
    link.take(last.1);
    link.outcomes.extend(link.pair.client.settlements());
    let mut tokens: Vec<_> = link.outcomes.iter().map(|(token, _)| *token).collect();
    tokens.sort_unstable();
    assert_eq!(tokens, (0..=COUNT).collect::<Vec<_>>());
    assert!(link.outcomes.iter().all(|(_, outcome)| *outcome == Settlement::Outcome(Some(Accepted))));
    assert_eq!(link.twice, 0);
}

/// What was sent of so many deliveries that an attach in a frame of 600 octets cannot name them all.
fn more_than_a_map_holds() -> SuspendedSender {
    let mut suspended = SuspendedSender::new();
    for number in 0..60u64 {
        suspended.deliveries.push_back(SentSoFar {
            tag: DeliveryTag::new(format!("{number:>30}").as_bytes()).unwrap(),
            token: number,
            message_format: 0,
            settled: false,
            begun: true,
            state: None,
            message: Some(message(number as usize, 20)),
        });
    }
    suspended
}

/// Also T-2.7.3-13 and T-2.6.13-4. The receiver's map is whole, and names one delivery of the sender's, or none.
#[test]
fn t_2_7_3_14_a_sender_whose_own_map_is_incomplete_sends_nothing_new_though_the_receivers_is_whole() {
    for (asks, known) in [(true, true), (true, false), (false, true), (false, false)] {
        let first = more_than_a_map_holds().deliveries[0].tag;
        let theirs: Unsettled =
            if known { [(first, value(Some(&Accepted)))].into_iter().collect() } else { Unsettled::new() };
        let theirs = Attach { unsettled: Some(theirs), ..attach("l", 0, Role::Receiver) };
        let mut peer = Peer::fresh();
        peer.raw(&amqp1_codec::frame::ProtocolHeader::AMQP.encode());
        let open =
            amqp1_codec::performative::Open { container_id: "peer".into(), max_frame_size: 600, ..Default::default() };
        peer.send(0, open);
        let kept = Some(more_than_a_map_holds());
        let tx = if asks {
            let session = peer.end.begin(amqp1_engine::SessionConfig::default()).unwrap();
            peer.send(0, amqp1_codec::performative::Begin { remote_channel: Some(0), ..begin() });
            let tx =
                peer.end.attach_sender(session, SenderConfig { resume: kept, resumable: true, ..sender("l") }).unwrap();
            peer.flush();
            peer.send(0, theirs);
            tx
        } else {
            peer.send(0, begin());
            peer.end.accept.links = None;
            peer.send(0, theirs);
            let tx = peer.end.offered_links()[0];
            let offered = peer.end.remote_attach(tx).unwrap();
            let reply = AttachReply { resume_sender: kept, resumable: true, ..AttachReply::echo(&offered) };
            peer.end.accept_link(tx, reply).unwrap();
            tx
        };
        let frames = peer.read();
        let ours = frames.iter().find_map(|(_, body, _)| match body {
            Performative::Attach(attach) => Some((attach.incomplete_unsettled, attach.unsettled.clone().unwrap())),
            _ => None,
        });
        let (incomplete, map) = ours.unwrap();
        assert!(incomplete && (1..60).contains(&map.iter().count()), "{map:?}");
        peer.send(0, credit(0, 100));
        // What the receiver knows is sorted out, and nothing else leaves.
        let transfers: Vec<_> = deliveries(peer.read()).into_iter().map(|sent| sent.first).collect();
        assert!(transfers.iter().all(|transfer| transfer.resume && transfer.delivery_tag == Some(first)));
        assert_eq!(transfers.len(), usize::from(known), "asks: {asks}");
        assert_eq!(peer.end.send(tx, message(1, 1), unsettled(100)), Err(SendError::Reattach));
        assert_eq!(peer.end.begin_delivery(tx, unsettled(100)), Err(SendError::Reattach));
        assert_eq!(peer.end.count(|event| matches!(event, Event::Reattach(id) if *id == tx)), 1);
        // All others are kept for the next attach.
        peer.end.detach(tx, false, None).unwrap();
        peer.send(0, Detach::default());
        assert_eq!(deliveries(peer.read()).len(), 0);
        let Some(Suspended::Sender(rest)) = peer.end.detached(tx).unwrap().suspended else { panic!("kept") };
        assert_eq!(rest.deliveries.len(), 60 - usize::from(known));
    }
}

#[test]
fn t_2_7_3_15_a_new_delivery_while_the_receivers_map_is_incomplete_detaches_the_link() {
    for new in [
        transfer(0, 0),
        Transfer { settled: Some(true), ..transfer(0, 0) },
        Transfer { more: true, ..transfer(0, 0) },
        Transfer { aborted: true, ..transfer(0, 0) },
    ] {
        let mut peer = with_incomplete_map();
        peer.send_payload(0, new.clone(), HELLO);
        assert_eq!(peer.refusal(), Some(("detach", ErrorCondition::ILLEGAL_STATE)), "{new:?}");
    }
}

/// An engine that receives on a link, and has told only a part of what it has not settled.
fn with_incomplete_map() -> Peer {
    let mut suspended = SuspendedReceiver::new();
    for number in 0..200 {
        let parts = vec![octets(message(1, 20))];
        let received = ReceivedSoFar { message_format: 0, parts, whole: true, taken: true, outcome: None };
        suspended.deliveries.insert(DeliveryTag::new(format!("{number:>30}").as_bytes()).unwrap(), received);
    }
    let mut peer = Peer::fresh();
    peer.raw(&amqp1_codec::frame::ProtocolHeader::AMQP.encode());
    let open =
        amqp1_codec::performative::Open { container_id: "peer".into(), max_frame_size: 600, ..Default::default() };
    peer.send(0, open);
    peer.send(0, begin());
    peer.end.accept.links = None;
    peer.send(
        0,
        Attach { unsettled: Some(Unsettled::new()), incomplete_unsettled: true, ..attach("l", 0, Role::Sender) },
    );
    let rx = peer.end.offered_links()[0];
    let offered = peer.end.remote_attach(rx).unwrap();
    let reply = AttachReply { resume_receiver: Some(suspended), resumable: true, ..AttachReply::echo(&offered) };
    peer.end.accept_link(rx, reply).unwrap();
    let frames = peer.read();
    let ours = frames
        .iter()
        .find_map(|(_, body, _)| if let Performative::Attach(attach) = body { Some(attach) } else { None });
    assert!(ours.unwrap().incomplete_unsettled);
    peer
}

#[test]
fn what_was_decided_while_there_was_no_link_is_told_when_there_is_one() {
    let mut link = Resumable::new(ReceiverSettleMode::Second);
    let (tx, rx) = link.attach();
    link.pair.client.send(tx, message(1, 10), unsettled(1)).unwrap();
    link.pair.drive();
    let delivery = link.pair.server.recv(rx.unwrap()).unwrap();
    link.lose(tx, rx);
    let suspended = link.receiver.as_mut().unwrap();
    assert!(suspended.dispose(&delivery.tag, Released));
    assert!(!suspended.dispose(&delivery.tag, Accepted), "a state that is final stays");
    let (_, rx) = link.attach();
    link.take(rx);
    assert!(link.taken.is_empty());
    assert_eq!(link.pair.client.settlements(), [(1, Settlement::Outcome(Some(Released)))]);
}

#[test]
fn m_3_4_6_16_the_senders_map_names_no_outcome_while_the_message_may_be_wanted() {
    let mut link = Resumable::new(ReceiverSettleMode::Second);
    let (tx, rx) = link.attach();
    for token in 0..3 {
        link.pair.client.send(tx, message(1, 10), unsettled(token)).unwrap();
    }
    link.pair.drive();
    // One is accepted, and the sender has not heard of it.
    let delivery = link.pair.server.recv(rx.unwrap()).unwrap();
    link.pair.server.dispose(rx.unwrap(), delivery.key, Accepted).unwrap();
    link.lose(tx, rx);
    link.attach();
    let map = frames(&link.pair.client.written).into_iter().find_map(|(_, body, _)| match body {
        Some(Performative::Attach(attach)) => attach.unsettled,
        _ => None,
    });
    let states: Vec<_> = map.unwrap().iter().map(|(_, state)| state.clone()).collect();
    assert_eq!(states, [Value::Null, Value::Null, Value::Null]);
}

#[test]
fn deliveries_that_had_not_left_go_with_the_next_endpoint() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let config = SenderConfig { resumable: true, ..sender("l") };
    let tx = pair.client.attach_sender(session, config.clone()).unwrap();
    pair.drive();
    // Nothing is written any more.
    for token in 0..3 {
        pair.client
            .send(tx, message(token, 10), if token == 1 { settled(1) } else { unsettled(token as u64) })
            .unwrap();
    }
    pair.client.engine.handle_eof(pair.now);
    pair.client.look();
    assert!(pair.client.settled.is_empty());
    let Some(Suspended::Sender(suspended)) = pair.client.detached(tx).unwrap().suspended else { panic!("suspended") };
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let tx = pair.client.attach_sender(session, SenderConfig { resume: Some(suspended), ..config }).unwrap();
    pair.drive();
    let rx = pair.server.offered("l", Role::Receiver);
    let bodies: Vec<_> = pair.server.take_all(rx).iter().map(|delivery| data(&delivery.message)).collect();
    assert_eq!(bodies, [0, 1, 2].map(|token| body(token, 10)));
    assert_eq!(pair.client.settlements(), [(1, Settlement::Sent)]);
    assert!(pair.client.detached(tx).is_none());
}

/// Also T-2.5.1-8: it is attached to one session at a time. The link that has stolen it can be stolen too.
#[test]
fn t_2_6_1_2_a_link_that_is_attached_again_is_stolen_where_the_acceptor_says_so() {
    for names in [LinkNames::Free, LinkNames::Steal] {
        let (client, server) = Pair::configs();
        let mut pair = Pair::open_with(client, ConnectionConfig { link_names: names, ..server });
        let (one, _) = pair.session();
        let (two, _) = pair.session();
        let config = SenderConfig { resumable: true, ..sender("l") };
        let old = pair.client.attach_sender(one, config).unwrap();
        pair.drive();
        // The same name in the other direction is another link.
        let config = ReceiverConfig { name: "l".into(), ..receiver("l", Credit::Manual(1)) };
        let other = pair.client.attach_receiver(one, config).unwrap();
        pair.drive();
        pair.client.send(old, message(1, 10), unsettled(1)).unwrap();
        pair.drive();
        let new = pair.client.attach_sender(two, sender("l")).unwrap();
        pair.drive();
        assert!(pair.client.attached(new) && pair.client.detached(other).is_none());
        let detached = pair.client.detached(old);
        match names {
            LinkNames::Free => assert!(detached.is_none()),
            LinkNames::Steal => {
                let detached = detached.unwrap();
                assert_eq!(detached.error.unwrap().condition, ErrorCondition::STOLEN);
                assert!(!detached.closed && matches!(detached.suspended, Some(Suspended::Sender(_))));
                let third = pair.client.attach_sender(one, sender("l")).unwrap();
                pair.drive();
                let condition = pair.client.detached(new).unwrap().error.unwrap().condition;
                assert_eq!(condition, ErrorCondition::STOLEN);
                assert!(pair.client.attached(third) && pair.client.detached(third).is_none());
            }
        }
    }
}

/// In both directions, and whichever end attached it first.
#[test]
fn t_2_6_1_2_links_of_either_role_and_from_either_end_are_stolen() {
    let (client, server) = Pair::configs();
    let mut pair = Pair::open_with(client, ConnectionConfig { link_names: LinkNames::Steal, ..server });
    let (one, seen) = pair.session();
    let (two, _) = pair.session();
    let stolen = |detached: Option<Detached>| {
        let detached = detached.expect("stolen");
        assert_eq!(
            (detached.error.map(|error| error.condition), detached.closed),
            (Some(ErrorCondition::STOLEN), false)
        );
    };
    let old = pair.client.attach_receiver(one, receiver("r", Credit::Manual(1))).unwrap();
    pair.drive();
    let new = pair.client.attach_receiver(two, receiver("r", Credit::Manual(1))).unwrap();
    pair.drive();
    stolen(pair.client.detached(old));
    assert!(pair.client.attached(new) && pair.client.detached(new).is_none());
    // The end that steals has attached these itself.
    let old = pair.server.attach_sender(seen, sender("s")).unwrap();
    pair.drive();
    let new = pair.client.attach_receiver(two, receiver("s", Credit::Manual(1))).unwrap();
    pair.drive();
    stolen(pair.server.detached(old));
    assert!(pair.client.attached(new) && pair.client.detached(new).is_none());
    let old = pair.server.attach_receiver(seen, receiver("t", Credit::Manual(1))).unwrap();
    pair.drive();
    let new = pair.client.attach_sender(two, sender("t")).unwrap();
    pair.drive();
    stolen(pair.server.detached(old));
    assert!(pair.client.attached(new) && pair.client.detached(new).is_none());
}

#[test]
fn t_2_6_3_7_a_recovering_attach_may_be_answered_without_a_terminus() {
    for role in [Role::Sender, Role::Receiver] {
        let mut pair = Pair::open();
        pair.server.accept.links = None;
        let (session, _) = pair.session();
        let ours = match role {
            Role::Sender => {
                let resume = Some(SuspendedSender::new());
                pair.client.attach_sender(session, SenderConfig { resume, target: None, ..sender("l") })
            }
            Role::Receiver => {
                let resume = Some(SuspendedReceiver::new());
                let config = ReceiverConfig { resume, source: None, ..receiver("l", Credit::Manual(1)) };
                pair.client.attach_receiver(session, config)
            }
        };
        let ours = ours.unwrap();
        pair.drive();
        let theirs = pair.server.offered("l", role.opposite());
        let offered = pair.server.remote_attach(theirs).unwrap();
        let recovers = if role == Role::Sender { offered.target.is_none() } else { offered.source.is_none() };
        assert!(recovers && offered.unsettled.is_some(), "{role:?}");
        let before = pair.server.written.len();
        pair.server.reject_link(theirs, error(ErrorCondition::NOT_FOUND)).unwrap();
        pair.drive();
        assert_eq!(pair.client.detached(ours).unwrap().error.unwrap().condition, ErrorCondition::NOT_FOUND, "{role:?}");
        assert_eq!(pair.client.count(|event| matches!(event, Event::LinkAttached(_))), 0, "{role:?}");
        let written = frames(&pair.server.written[before..]).into_iter().filter_map(|(_, body, _)| body);
        let written: Vec<_> = written.collect();
        let [Performative::Attach(answer), Performative::Detach(_)] = &written[..] else { panic!("{written:?}") };
        assert!(answer.target.is_none() && answer.source.is_none(), "{answer:?}");
    }
}

/// A transaction ends with the connection of its control link, and what was posted in it is undone (§4.3). Were it kept, it
/// would be sent again, or handed out by a receiver that resumes, outside of any transaction.
#[test]
fn what_belongs_to_a_transaction_ends_with_its_endpoint_and_does_not_come_again() {
    for acquired in [false, true] {
        let mut link = Resumable::new(ReceiverSettleMode::First);
        let (tx, rx) = link.attach();
        let posted = |token| {
            let state = DeliveryState::Transactional(Box::default());
            SendOptions { state: Some(state), acquired, ..unsettled(token) }
        };
        let client = &mut link.pair.client;
        client.send(tx, message(1, 10), posted(1)).unwrap();
        client.send(tx, message(2, 10), unsettled(2)).unwrap();
        link.pair.drive();
        // Something is half sent, and something has not left.
        link.pair.client.begin_delivery(tx, posted(3)).unwrap();
        link.pair.client.write(tx, Bytes::from(vec![0; 2000])).unwrap();
        link.pair.drive();
        link.lose(tx, rx);
        let kept = |deliveries: Vec<DeliveryTag>| assert_eq!(deliveries.len(), 1, "{acquired} {deliveries:?}");
        kept(link.sender.as_ref().unwrap().deliveries.iter().map(|delivery| delivery.tag).collect());
        kept(link.receiver.as_ref().unwrap().deliveries.keys().copied().collect());
        assert_eq!(link.outcomes, [(1, Settlement::Lost { sent: true }), (3, Settlement::Lost { sent: true })]);
        let (tx, rx) = link.attach();
        link.take(rx);
        assert_eq!(link.taken.len(), 1, "{acquired}");
        let client = &mut link.pair.client;
        client.send(tx, message(4, 10), posted(4)).unwrap();
        client.send(tx, message(5, 10), SendOptions { settled: true, ..posted(5) }).unwrap();
        link.outcomes.clear();
        link.lose(tx, rx);
        let lost = |token| (token, Settlement::Lost { sent: false });
        assert_eq!(link.outcomes, [(2, Settlement::Outcome(Some(Accepted))), lost(4), lost(5)]);
        assert!(link.sender.as_ref().unwrap().is_empty());
    }
}

/// What was settled between two endpoints is known to the third one, where the second one was answered without a terminus.
#[test]
fn what_was_settled_is_not_sent_again_after_an_endpoint_that_was_refused() {
    let mut peer = Peer::with_session();
    peer.end.accept.links = None;
    let kept = |peer: &Peer, id| match peer.end.detached(id).unwrap().suspended.clone() {
        Some(Suspended::Sender(kept)) => Some(kept),
        other => panic!("{other:?}"),
    };
    let detach = |handle| Detach { handle, closed: false, error: None };
    peer.send(0, attach("l", 0, Role::Receiver));
    let first = *peer.end.offered_links().last().unwrap();
    let echo = AttachReply::echo(&peer.end.remote_attach(first).unwrap());
    let echo = AttachReply { resumable: true, ..echo };
    peer.end.accept_link(first, echo.clone()).unwrap();
    peer.send(0, credit(0, 10));
    (0..2).for_each(|token| peer.end.send(first, message(1, 1), unsettled(token)).unwrap());
    peer.read();
    peer.send(0, detach(0));
    let settles = Disposition {
        role: Role::Receiver,
        first: SequenceNo(0),
        last: None,
        settled: true,
        state: Some(Accepted),
        batchable: false,
    };
    peer.send(0, settles);
    let resume_sender = kept(&peer, first);
    peer.send(0, attach("l", 1, Role::Receiver));
    let second = *peer.end.offered_links().last().unwrap();
    let refused = AttachReply { source: None, target: None, resume_sender, ..echo.clone() };
    peer.end.accept_link(second, refused).unwrap();
    peer.send(0, detach(1));
    let resume_sender = kept(&peer, second);
    peer.send(0, attach("l", 2, Role::Receiver));
    let third = *peer.end.offered_links().last().unwrap();
    peer.read();
    peer.end.accept_link(third, AttachReply { resume_sender, ..echo }).unwrap();
    peer.send(0, credit(2, 10));
    assert_eq!(peer.names(), ["attach", "transfer"]);
}
