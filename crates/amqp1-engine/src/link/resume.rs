//! Links that are suspended, and those that go on (§2.6.13, §3.4.6).

use super::{Buffered, End, Link, LinkMut, ReceivingEnd, SendingEnd};
use crate::{
    connection::message_of,
    delivery::{Assembly, OutgoingDelivery},
    event::{Event, IncomingDelivery, Settled, Settlement},
    metadata::Kept,
    resume::{
        ReceivedSoFar, Remote, SentSoFar, Step, Suspended, SuspendedReceiver, SuspendedSender, fill_unsettled, fitting,
        from_value, octets_before, plan,
    },
    store::DeliveryKey,
};
use alloc::{boxed::Box, collections::BTreeSet};
use amqp1_codec::{
    Encode, EncodeStyle, EncodedMessage,
    definitions::{Role, SenderSettleMode},
    messaging::DeliveryState,
    performative::{Attach, Unsettled},
};

/// How many deliveries of links that ended are remembered for each session.
const LOST: usize = 4096;

impl Link {
    /// T-2.6.3-6: an end that knows of unsettled deliveries says so when it attaches.
    pub(crate) fn fill_unsettled(&mut self, max: usize, style: EncodeStyle) {
        match &self.end {
            End::Sending(SendingEnd { resume: Some(sender), .. }) => {
                fill_unsettled(&mut self.local, sender.entries(), max, style);
            }
            End::Receiving(ReceivingEnd { resume: Some(receiver), .. }) => {
                fill_unsettled(&mut self.local, receiver.entries(), max, style);
            }
            _ => {}
        }
    }
}

impl LinkMut<'_> {
    /// Gathers what this end leaves.
    pub(crate) fn suspend(&mut self, keeps: bool) -> Option<Suspended> {
        match self.link.role() {
            Role::Sender => self.suspend_sender(keeps).map(Suspended::Sender),
            Role::Receiver => self.suspend_receiver(keeps).map(Suspended::Receiver),
        }
    }

    /// Gathers what a sending end leaves. What is not kept is reported as lost.
    fn suspend_sender(&mut self, keeps: bool) -> Option<SuspendedSender> {
        let Link { local, unsettled, end: End::Sending(end), .. } = &mut *self.link else { return None };
        let mut suspended = end.resume.take().map(|suspended| *suspended).unwrap_or_default();
        suspended.next_tag = end.next_tag;
        end.queued = 0;
        let (queue, unsettled) = (core::mem::take(&mut end.queue), core::mem::take(unsettled));
        self.outbox.count(end);
        let (resource, session, name) = (self.postings.is_resource(), &mut *self.session, &local.name);
        let mut begun = alloc::vec::Vec::new();
        let mut lost = alloc::vec::Vec::new();
        for id in unsettled.keys() {
            let mut retained = session.sent.get_mut(id).and_then(|delivery| delivery.retained.take());
            let Some(retained) = retained.take_if(|_| keeps) else {
                self.outbox.discarded.retained(retained);
                let Some(delivery) = session.sent.remove(id) else { continue };
                if resource && delivery.provisional.is_none() {
                    session.lost.insert(id);
                    if session.lost.len() > LOST {
                        session.lost.pop_first();
                    }
                }
                lost.push((delivery.token, Settlement::Lost { sent: true }));
                continue;
            };
            // It stays among the session's: the peer may still settle it by its id.
            let Some(delivery) = session.sent.get(id) else { continue };
            session.suspended.entry(name.clone()).or_default().push((id, delivery.token));
            begun.push(SentSoFar {
                tag: retained.tag,
                token: delivery.token,
                message_format: retained.message_format,
                settled: false,
                begun: true,
                state: retained.state,
                message: retained.parts.map(EncodedMessage::from_parts),
            });
        }
        // Deliveries that waited for the next endpoint go before those that this one has not sent.
        for (at, delivery) in begun.into_iter().enumerate() {
            suspended.deliveries.insert(at, delivery);
        }
        for mut delivery in queue {
            self.outbox.discarded.retained(delivery.retained.take());
            let lasts = !delivery.open && !delivery.is_transactional();
            match (delivery.id, delivery.origin) {
                // The next endpoint plans it again.
                (None, None) if delivery.aborted => self.outbox.discarded.payloads(delivery.parts),
                // One whose sending has begun stood among the unsettled ones, unless nothing is to be heard of it.
                (Some(_), _) if matches!(delivery.report, Some(Settlement::Sent)) => {
                    lost.push((delivery.token, Settlement::Lost { sent: true }));
                    self.outbox.discarded.payloads(delivery.parts);
                }
                (Some(_), _) => {
                    lost.extend(delivery.report.map(|report| (delivery.token, report)));
                    self.outbox.discarded.payloads(delivery.parts);
                }
                (None, Some(origin)) if keeps => {
                    suspended.deliveries.push_back(*origin);
                    self.outbox.discarded.payloads(delivery.parts);
                }
                (None, None) if keeps && lasts => suspended.deliveries.push_back(SentSoFar {
                    tag: delivery.tag,
                    token: delivery.token,
                    message_format: delivery.message_format,
                    settled: delivery.settled,
                    begun: false,
                    state: None,
                    message: Some(EncodedMessage::from_parts(delivery.parts)),
                }),
                (None, origin) => {
                    let sent = origin.as_ref().is_some_and(|origin| origin.begun);
                    lost.push((delivery.token, Settlement::Lost { sent }));
                    self.outbox.discarded.payloads(delivery.parts);
                    self.outbox.discarded.message(origin.and_then(|origin| origin.message));
                }
            }
        }
        if !keeps {
            let rest = core::mem::take(&mut suspended.deliveries);
            lost.extend(rest.iter().map(|rest| (rest.token, Settlement::Lost { sent: rest.begun })));
            self.outbox.discarded.suspended(rest);
        }
        for (token, settlement) in lost {
            self.outbox.settled.push_back(Settled { link: self.id, token, settlement });
        }
        keeps.then_some(suspended)
    }

    /// Gathers what a receiving end leaves.
    fn suspend_receiver(&mut self, keeps: bool) -> Option<SuspendedReceiver> {
        let Link { unsettled, end: End::Receiving(end), .. } = &mut *self.link else { return None };
        let mut suspended = end.resume.take().map(|suspended| *suspended).unwrap_or_default();
        let buffered: BTreeSet<_> = end.buffered.iter().map(|buffered| buffered.delivery.key.0).collect();
        let unsettled = core::mem::take(unsettled);
        for id in unsettled.keys() {
            let Some(delivery) = self.session.received.remove(id) else { continue };
            let Some(held) = delivery.held.filter(|_| keeps) else { continue };
            let received = ReceivedSoFar {
                message_format: held.message_format,
                parts: held.parts,
                whole: true,
                taken: !buffered.contains(&id),
                outcome: held.state.filter(DeliveryState::is_outcome),
            };
            suspended.deliveries.insert(delivery.tag, received);
        }
        let lasts = |half: &Assembly| !half.settled && !half.ignored && !half.streamed && !half.transactional;
        if let Some(half) = end.assembly.take().filter(|half| keeps && lasts(half)) {
            let received = ReceivedSoFar {
                message_format: half.message_format,
                parts: half.parts.into_vec(),
                whole: false,
                taken: false,
                outcome: None,
            };
            suspended.deliveries.insert(half.tag, received);
        }
        keeps.then_some(suspended)
    }

    /// Both ends have attached: what they know of unsettled deliveries is compared. The deliveries of these tokens were
    /// settled between the endpoints; `max` is the size of our largest transfer.
    pub(crate) fn compare_unsettled(&mut self, settled: &BTreeSet<u64>, max: usize) {
        let kept = self.link.remote.as_ref().and_then(|remote| remote.kept.as_ref());
        let Some(mut attach) = kept.and_then(|kept| kept.decode::<Attach>(self.config.decode_limits())) else { return };
        let incomplete = attach.incomplete_unsettled;
        let theirs = attach.unsettled.take();
        if theirs.is_some() {
            // The application has no use for it, and it may be large.
            self.keep_again(&attach);
        }
        let theirs = theirs.unwrap_or_default();
        // §2.7.3: with an incomplete map on either side nothing new is sent, also by a sender that resumes nothing.
        let reducing = incomplete || self.link.local.incomplete_unsettled;
        // The application has no use for either map, and they may be large.
        self.link.local.unsettled = None;
        match &mut self.link.end {
            End::Sending(end) => {
                end.reducing = reducing;
                self.resume_sender(&theirs, incomplete, settled, max);
            }
            End::Receiving(_) => self.resume_receiver(&theirs, incomplete),
        }
        self.check_reduced();
    }

    /// Keeps what is left of the peer's attach.
    fn keep_again(&mut self, attach: &Attach) {
        self.link.forget_remote();
        let octets = attach.to_octets();
        let kept = self.charge(octets.len()).map(|charge| Kept::new(octets, charge));
        if let Some(remote) = &mut self.link.remote {
            remote.kept = kept;
        }
    }

    fn resume_sender(&mut self, theirs: &Unsettled, incomplete: bool, settled: &BTreeSet<u64>, max: usize) {
        let (style, mode) = (self.config.style, self.link.sender_settle_mode());
        let Some(end) = self.link.sending_mut() else { return };
        let Some(suspended) = end.resume.take().map(|suspended| *suspended) else { return };
        let reducing = end.reducing;
        // §2.7.5: what the mode demands of every transfer that does not abort.
        let settles = |asked: bool| match mode {
            SenderSettleMode::Settled => true,
            SenderSettleMode::Unsettled => false,
            SenderSettleMode::Mixed => asked,
        };
        let limits = self.config.decode_limits();
        let mut rest = SuspendedSender { next_tag: suspended.next_tag, ..SuspendedSender::new() };
        let mut reports = alloc::vec::Vec::new();
        let (settled, unsettled): (alloc::vec::Vec<_>, alloc::vec::Vec<_>) =
            suspended.deliveries.into_iter().partition(|delivery| settled.contains(&delivery.token));
        self.outbox.discarded.suspended(settled);
        for delivery in unsettled {
            let state = theirs.get(&delivery.tag).filter(|_| delivery.begun).map(|state| from_value(state, limits));
            if state.is_none() && incomplete && delivery.begun {
                // Its absence says nothing (§2.6.13).
                rest.deliveries.push_back(delivery);
                continue;
            }
            let remote = state.as_ref().map_or(Remote::Absent, |state| Remote::There(state.as_ref()));
            let step = plan(delivery.state.as_ref(), remote);
            match step {
                Step::Forget(state) => {
                    reports.push((delivery.token, Settlement::Outcome(Some(state))));
                    self.outbox.discarded.message(delivery.message);
                }
                Step::SendAnew | Step::AbortAndSendAnew => {
                    let origin = delivery.clone();
                    if step == Step::AbortAndSendAnew {
                        end.queue.push_back(abort(&delivery));
                    }
                    let settled = settles(delivery.settled);
                    let again = SentSoFar { begun: false, state: None, settled, ..delivery };
                    match again.message {
                        None => reports.push((again.token, Settlement::Lost { sent: true })),
                        Some(_) if reducing => rest.deliveries.push_back(again),
                        Some(_) => {
                            let mut again = send(again);
                            again.origin = Some(Box::new(origin));
                            end.queue.push_back(again);
                        }
                    }
                }
                Step::ResumeWhole | Step::ResumeFrom(_) => {
                    let from = if let Step::ResumeFrom(position) = step { Some(position) } else { None };
                    let mut resumed = resume(delivery, from.map(DeliveryState::Received));
                    if settles(false) && !resumed.aborted {
                        resumed.settle(Settlement::Sent);
                    }
                    end.queue.push_back(resumed);
                }
                Step::Abort => {
                    let mut given_up = abort(&delivery);
                    given_up.report = Some(Settlement::Outcome(delivery.state.clone()));
                    given_up.origin = Some(Box::new(delivery));
                    end.queue.push_back(given_up);
                }
                Step::Settle(_) | Step::Overrule(_) => {
                    let agreed = matches!(step, Step::Settle(_));
                    let (Step::Settle(state) | Step::Overrule(state)) = step else { continue };
                    // Where it must not be settled with the transfer, the receiver settles with this outcome.
                    let mut decided = decided(&delivery, fitting(state.clone(), max, style));
                    if settles(agreed) {
                        decided.settle(Settlement::Outcome(Some(state)));
                    }
                    decided.origin = Some(Box::new(delivery));
                    end.queue.push_back(decided);
                }
            }
        }
        end.queued = end.queue.iter().fold(0, |sum, delivery| sum.saturating_add(delivery.left));
        end.resume = (!rest.is_empty()).then(|| Box::new(rest));
        self.outbox.count(end);
        for (token, settlement) in reports {
            self.outbox.settled.push_back(Settled { link: self.id, token, settlement });
        }
        self.wake();
    }

    /// T-2.6.13-2: what the sender does not know any more is settled.
    fn resume_receiver(&mut self, theirs: &Unsettled, incomplete: bool) {
        let limits = self.config.decode_limits();
        let Some(end) = self.link.receiving_mut() else { return };
        let Some(mut suspended) = end.resume.take() else { return };
        let mut settled = alloc::vec::Vec::new();
        if !incomplete {
            suspended.deliveries.retain(|tag, delivery| {
                let known = theirs.get(tag).is_some();
                if !known && delivery.whole && !delivery.taken {
                    settled.push((*tag, delivery.clone()));
                }
                known
            });
        }
        end.resume = (!suspended.is_empty()).then_some(suspended);
        for (tag, delivery) in settled {
            // The application has not taken it: it exists only here.
            let message = message_of(delivery.message_format, delivery.parts, limits);
            let delivery = IncomingDelivery {
                key: DeliveryKey(0),
                tag,
                message_format: delivery.message_format,
                settled: true,
                resumed: true,
                state: None,
                message,
            };
            if end.buffered.is_empty() {
                self.outbox.events.push_back(Event::Receivable(self.id));
            }
            end.buffered.push_back(Buffered { delivery, state: None });
        }
    }
}

/// The message as a delivery of its own.
fn send(delivery: SentSoFar) -> OutgoingDelivery {
    let mut outgoing = OutgoingDelivery::new(delivery.token, delivery.tag, delivery.message_format);
    outgoing.settled = delivery.settled;
    outgoing.report = delivery.settled.then_some(Settlement::Sent);
    fill(&mut outgoing, &delivery, 0);
    outgoing.origin = Some(Box::new(delivery));
    outgoing
}

/// Goes on where the receiver stands.
fn resume(delivery: SentSoFar, state: Option<DeliveryState>) -> OutgoingDelivery {
    let mut outgoing = OutgoingDelivery::new(delivery.token, delivery.tag, delivery.message_format);
    let parts = delivery.message.clone().map(EncodedMessage::into_parts).unwrap_or_default();
    let skip = match &state {
        Some(DeliveryState::Received(position)) => octets_before(&parts, position),
        _ => Some(0),
    };
    let Some(skip) = skip.filter(|_| delivery.message.is_some()) else {
        // There is nothing to go on with, or the receiver claims what was never sent.
        outgoing = abort(&delivery);
        outgoing.report = Some(Settlement::Lost { sent: true });
        outgoing.origin = Some(Box::new(delivery));
        return outgoing;
    };
    outgoing.resume = true;
    outgoing.state = state;
    fill(&mut outgoing, &delivery, skip);
    outgoing.origin = Some(Box::new(delivery));
    outgoing
}

/// The message without its first octets.
fn fill(outgoing: &mut OutgoingDelivery, delivery: &SentSoFar, mut skip: usize) {
    let parts = delivery.message.clone().map(EncodedMessage::into_parts).unwrap_or_default();
    outgoing.retained = (!delivery.settled).then(|| {
        let (tag, message_format, state) = (delivery.tag, delivery.message_format, delivery.state.clone());
        Box::new(crate::resume::Retained { tag, message_format, parts: Some(parts.clone()), state })
    });
    for mut part in parts {
        let skipped = part.split_to(skip.min(part.len()));
        skip = skip.saturating_sub(skipped.len());
        if !part.is_empty() {
            outgoing.left = outgoing.left.saturating_add(part.len());
            outgoing.parts.push(part);
        }
    }
}

/// Tells the receiver to forget what it has.
fn abort(delivery: &SentSoFar) -> OutgoingDelivery {
    let mut outgoing = OutgoingDelivery::new(delivery.token, delivery.tag, delivery.message_format);
    outgoing.resume = true;
    outgoing.aborted = true;
    outgoing
}

/// Names an outcome, without the message.
fn decided(delivery: &SentSoFar, state: DeliveryState) -> OutgoingDelivery {
    let mut outgoing = OutgoingDelivery::new(delivery.token, delivery.tag, delivery.message_format);
    outgoing.resume = true;
    let (tag, message_format) = (delivery.tag, delivery.message_format);
    let parts = delivery.message.clone().map(EncodedMessage::into_parts);
    let retained = crate::resume::Retained { tag, message_format, parts, state: Some(state.clone()) };
    outgoing.retained = Some(Box::new(retained));
    outgoing.state = Some(state);
    outgoing
}
