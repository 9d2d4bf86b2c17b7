//! The acceptor's end of a control link: declares are answered, discharges are handed over.

use super::{
    TxnId,
    coordinator::{Coordinator, Retirement},
};
use crate::{
    handle::{counted::LinkHandle, permit::ReceiptId, requests::CoordinatorRequest},
    state::{
        aside::Aside,
        engine::{Arrival, Received},
        ids::LinkKey,
        shared::{Shared, State},
        transaction::{
            errors,
            table::{ControlState, RollbackCause, Transactions, Work},
        },
    },
    types::error::{Error, ErrorKind},
};
use amqp1_broker::transaction::{Coordinator as Rules, Discharging, Refusal, Request};
use amqp1_codec::{
    definitions::{AmqpError, ErrorCondition},
    messaging::{DeliveryState, Source},
    performative::TargetArchetype,
};
use amqp1_engine::{Credit, EventsEnd, Instant};
use std::{
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

/// How many declares and discharges a controller may send ahead.
const CREDIT: u32 = 100;

/// The largest message of a control link, in octets: a declare or a discharge.
const MAX_MESSAGE: u64 = 16 * 1024;

/// A control link (§4.1) that was accepted with [`CoordinatorRequest::coordinate`](crate::acceptor::CoordinatorRequest::coordinate).
///
/// Declares are answered while [`next`](Self::next) is awaited. Dropped, the link is closed and its transactions are rolled
/// back.
pub struct ControlLink<W> {
    handle: Arc<LinkHandle>,
    coordinator: Coordinator<W>,
}

/// The end of a transaction.
#[derive(Debug)]
pub enum Discharge<W> {
    /// The controller wants it committed: do its work, then [`confirm`](Commit::confirm) it.
    Commit(Commit<W>),
    /// It was rolled back: its work is not to be done.
    RolledBack(RolledBack<W>),
}

/// A transaction that was rolled back.
#[derive(Debug)]
#[non_exhaustive]
pub struct RolledBack<W> {
    /// Its name.
    pub transaction: TxnId,
    /// The work that was given to [`Coordinator::post`], in that order.
    pub work: Vec<W>,
    /// Why.
    pub cause: RollbackCause,
}

/// A transaction that the controller wants committed. All that it holds is done, or nothing.
///
/// Dropped without an answer, it is rolled back.
#[must_use = "a commit that is dropped is rolled back"]
pub struct Commit<W> {
    shared: Arc<Shared>,
    control: LinkKey,
    delivery: Received,
    discharging: Option<Discharging<Work>>,
    work: Vec<W>,
    retirements: Vec<Retirement>,
}

impl<W> fmt::Debug for ControlLink<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlLink").field("link", &self.handle).finish_non_exhaustive()
    }
}

impl<W> fmt::Debug for Commit<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let txn = self.discharging.as_ref().map(|discharging| &discharging.txn);
        f.debug_struct("Commit").field("transaction", &txn).field("work", &self.work.len()).finish_non_exhaustive()
    }
}

/// Events of the control link for the application.
enum Next {
    Commit(Received, Discharging<Work>, Vec<(LinkKey, u64, DeliveryState)>),
    RolledBack(TxnId, Vec<u64>, RollbackCause),
    Over,
}

impl<W> ControlLink<W> {
    pub(super) fn new(handle: Arc<LinkHandle>, coordinator: Coordinator<W>) -> Self {
        let id = handle.id;
        // Of a connection that is broken, `next` says that it is over.
        let _ = handle.shared.command(|state, aside| {
            if let Some(table) = state.table() {
                table.controls.insert(id, ControlState::default());
            }
            // A link that is over has no transactions.
            state.control_link_ended_before(id, aside);
        });
        Self { handle, coordinator }
    }

    /// Waits for the next transaction that ends; `None` when the link is over and each of its transactions was handed out.
    /// One commit is handed out at a time.
    ///
    /// A discharge waits until every message that was posted before it is [taken](Coordinator::post) or refused.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no transaction is lost.
    pub async fn next(&mut self) -> Option<Discharge<W>> {
        let inner = &self.coordinator.inner;
        let next = poll_fn(|cx| poll(&self.handle, cx)).await;
        Some(match next {
            Next::Over => return None,
            Next::RolledBack(transaction, posted, cause) => {
                Discharge::RolledBack(RolledBack { transaction, work: inner.take(&posted), cause })
            }
            Next::Commit(delivery, discharging, retired) => {
                let shared = inner.shared.clone();
                let posted: Vec<_> = discharging.work.iter().filter_map(posted).collect();
                let receipt = |token| shared.look(|state| ReceiptId::of(state, token));
                let transaction = &discharging.txn;
                let retirement = |(_, token, outcome)| {
                    Some(Retirement { receipt: receipt(token)?, outcome, transaction: transaction.clone() })
                };
                let retirements = retired.into_iter().filter_map(retirement).collect();
                let work = inner.take(&posted);
                let control = self.handle.id;
                Discharge::Commit(Commit {
                    shared,
                    control,
                    delivery,
                    discharging: Some(discharging),
                    work,
                    retirements,
                })
            }
        })
    }

    /// Closes the control link with an error: its transactions are rolled back, and the controller is told why.
    pub fn close_with(self, error: impl Into<AmqpError>) {
        let (id, error) = (self.handle.id, error.into());
        // Where the connection is over, so is the link.
        let _ = self.handle.shared.command(|state, aside| state.end_control_link(id, error, aside));
    }
}

fn posted(work: &Work) -> Option<u64> {
    if let Work::Posted(number, _) = work { Some(*number) } else { None }
}

impl<W> Drop for ControlLink<W> {
    fn drop(&mut self) {
        let id = self.handle.id;
        let undone = self.handle.shared.command(|state, aside| {
            state.control_link_ended(id, aside);
            state.table().and_then(|table| table.controls.remove(&id))
        });
        // The application's values are dropped when the lock is released.
        for undone in undone.ok().flatten().into_iter().flat_map(|control| control.rolled_back) {
            drop(self.coordinator.inner.take(&undone.posted));
        }
    }
}

fn poll(link: &LinkHandle, cx: &Context<'_>) -> Poll<Next> {
    let (id, shared) = (link.id, &link.shared);
    let now = shared.now();
    let polled = shared.poll(cx, |state, aside| state.poll_control(id, now, aside));
    polled.map(|polled| polled.unwrap_or(Next::Over))
}

impl State {
    /// Events that wait for the application of a control link.
    fn poll_control(&mut self, id: LinkKey, now: Instant, aside: &mut Aside<'_>) -> Poll<Next> {
        loop {
            let dead = self.is_dead();
            if dead {
                self.control_link_ended(id, aside);
            }
            let Some(control) = self.table().and_then(|table| table.controls.get_mut(&id)) else {
                return Poll::Ready(Next::Over);
            };
            if let Some(undone) = control.rolled_back.pop_front() {
                return Poll::Ready(Next::RolledBack(undone.txn, undone.posted, undone.cause));
            }
            let committing = control.committing;
            let over = self.links.get(&id).is_none_or(|link| link.detached.is_some());
            if over || dead {
                return Poll::Ready(Next::Over);
            }
            let next = if committing { None } else { self.next_request(id) };
            let Some((arrival, end)) = next else {
                if let Some(link) = self.links.get_mut(&id) {
                    aside.store(&mut link.receiver);
                }
                return Poll::Pending;
            };
            let discharge = Rules::<Work>::discharge_of(&arrival.delivery);
            if discharge.is_some() && !self.engine.has_polled(end) {
                // Work that came before it may not be known yet.
                self.hold(id, (arrival, end), aside);
                return Poll::Pending;
            }
            if let Some((txn, false)) = discharge {
                if self.engine.is_half_posted(&txn) {
                    // §4.4.1
                    let text = "a message that is posted within the transaction is not whole";
                    let error = AmqpError::new(ErrorCondition::TRANSACTION_ROLLBACK, text);
                    self.end_control_link(id, error, aside);
                    continue;
                }
                if self.engine.undecided_postings(&txn) > 0 {
                    self.hold(id, (arrival, end), aside);
                    return Poll::Pending;
                }
            }
            if let Some(next) = self.serve_control(id, &arrival, now, aside) {
                return Poll::Ready(next);
            }
        }
    }

    /// The next message of a control link, and what is to be known before it.
    fn next_request(&mut self, id: LinkKey) -> Option<(Arrival, EventsEnd)> {
        let held = self.table().and_then(|table| table.controls.get_mut(&id)?.held.take());
        held.or_else(|| {
            let arrival = self.engine.recv(id)?;
            Some((arrival, self.engine.events_end()))
        })
    }

    /// A discharge waits.
    fn hold(&mut self, id: LinkKey, held: (Arrival, EventsEnd), aside: &mut Aside<'_>) {
        if let Some(control) = self.table().and_then(|table| table.controls.get_mut(&id)) {
            control.held = Some(held);
        }
        if let Some(link) = self.links.get_mut(&id) {
            aside.store(&mut link.receiver);
        }
    }

    /// Answers a declare or a rollback; what a commit asks for is handed over.
    fn serve_control(&mut self, id: LinkKey, arrival: &Arrival, now: Instant, aside: &mut Aside<'_>) -> Option<Next> {
        let source = self.remote_attach(id).and_then(|attach| attach.source);
        let link = self.engine.link_id(id)?;
        let request = self.table()?.rules.handle(link, source.as_deref(), &arrival.delivery, now);
        match request {
            Ok(Request::Declared(_, state)) => self.answer_control(id, arrival.name(), Ok(state), aside),
            Ok(Request::Discharge(discharging)) if discharging.commits() => {
                let table = self.table()?;
                let retired = table.commit_begins(&discharging.txn, &discharging.work);
                if let Some(control) = table.controls.get_mut(&id) {
                    control.committing = true;
                }
                return Some(Next::Commit(arrival.name(), discharging, retired));
            }
            Ok(Request::Discharge(discharging)) => {
                let cause = match &discharging.spoilt {
                    Some(error) if !discharging.fail => RollbackCause::Failed(error.clone()),
                    _ => RollbackCause::Controller,
                };
                let answer = discharging.answer(source.as_deref(), Ok(()));
                self.roll_back(id, discharging.txn, discharging.work, cause, aside);
                self.answer_control(id, arrival.name(), answer, aside);
            }
            Err(refusal) => self.answer_control(id, arrival.name(), Err(refusal), aside),
        }
        None
    }

    fn answer_control(
        &mut self,
        id: LinkKey,
        delivery: Received,
        answer: Result<DeliveryState, Refusal>,
        aside: &mut Aside<'_>,
    ) {
        match answer {
            Err(Refusal { error, detach: true }) => self.end_control_link(id, error, aside),
            answer => {
                let state = answer.unwrap_or_else(|refusal| refusal.state());
                self.answer_discharge(id, delivery, state);
            }
        }
    }

    /// A control link that is over when it is accepted has no transactions.
    fn control_link_ended_before(&mut self, id: LinkKey, aside: &mut Aside<'_>) {
        if self.links.get(&id).is_none_or(|link| link.detached.is_some()) {
            self.control_link_ended(id, aside);
        }
    }
}

impl<W> Commit<W> {
    /// The transaction.
    pub fn transaction(&self) -> Option<&TxnId> {
        self.discharging.as_ref().map(|discharging| &discharging.txn)
    }

    /// The work that was given to [`Coordinator::post`], in that order.
    pub fn work(&self) -> &[W] {
        &self.work
    }

    /// Takes what was given to [`Coordinator::post`] out, to do it.
    pub fn take_work(&mut self) -> Vec<W> {
        std::mem::take(&mut self.work)
    }

    /// The deliveries that are retired, with their outcomes. Their [receipts](crate::Receipt) have these outcomes once the
    /// commit is confirmed, so that a resource need not look at them here unless it does all of the work in one step: one
    /// that writes it to a journal, for example.
    pub fn retirements(&self) -> &[Retirement] {
        &self.retirements
    }

    /// The work is done: deliveries that were retired are settled with their outcomes, and the controller is told.
    ///
    /// # Errors
    ///
    /// If the control link has ended meanwhile, so that the controller is not told. The transaction is committed all the
    /// same.
    pub fn confirm(mut self) -> Result<(), Error> {
        self.answer(Ok(()))
    }

    /// The work cannot be done: the transaction is rolled back, and the controller is told with
    /// `amqp:transaction:rollback` and this reason.
    ///
    /// # Errors
    ///
    /// If the control link has ended meanwhile.
    pub fn refuse(mut self, why: impl Into<AmqpError>) -> Result<(), Error> {
        self.answer(Err(why.into()))
    }

    fn answer(&mut self, done: Result<(), AmqpError>) -> Result<(), Error> {
        let Some(discharging) = self.discharging.take() else { return Ok(()) };
        let (id, delivery) = (self.control, self.delivery);
        self.shared.command(|state, aside| {
            let committed = done.is_ok();
            if committed {
                state.apply(&discharging.txn, &discharging.work, aside);
            } else {
                state.undo(&discharging.txn, &discharging.work, aside);
            }
            if let Some(control) = state.table().and_then(|table| table.controls.get_mut(&id)) {
                control.committing = false;
            }
            state.wake_control(id, aside);
            if state.is_dead() || state.links.get(&id).is_none_or(|link| link.detached.is_some()) {
                return Err(errors::unanswerable(state.link_failure(id), committed));
            }
            let source = state.remote_attach(id).and_then(|attach| attach.source);
            let answer = discharging.answer(source.as_deref(), done);
            state.answer_control(id, delivery, answer, aside);
            Ok(())
        })?
    }
}

impl<W> Drop for Commit<W> {
    fn drop(&mut self) {
        let why = AmqpError::new(ErrorCondition::INTERNAL_ERROR, "the work of the transaction was not done");
        // When the control link is over, the answer is not waited for.
        let _ = self.answer(Err(why));
    }
}

impl CoordinatorRequest {
    /// Accepts a control link. Its transactions are those of the connection; a connection may have several such links.
    ///
    /// # Errors
    ///
    /// If the link has ended meanwhile. [`ErrorKind::Config`] if the coordinator is of another connection: then the link is
    /// refused.
    pub fn coordinate<W>(self, coordinator: &Coordinator<W>) -> Result<ControlLink<W>, Error> {
        if !Arc::ptr_eq(self.offered.shared(), &coordinator.inner.shared) {
            self.reject(AmqpError::new(ErrorCondition::NOT_IMPLEMENTED, "there is no coordinator here"));
            return Err(Error::new(ErrorKind::Config, "the coordinator is of another connection than the link"));
        }
        let target = self.offered.shared().look(|state| match &state.transactions {
            Transactions::Resource(table) => Some(table.rules.target()),
            _ => None,
        });
        let Some(target) = target else { return Err(errors::undeclared()) };
        let mut reply = self.offered.basic_reply();
        reply.target = Some(TargetArchetype::Coordinator(target));
        reply.source = Some(source(self.attach().source.as_deref()));
        (reply.credit, reply.max_message_size) = (Credit::Window(CREDIT), Some(MAX_MESSAGE));
        let handle = self.offered.accept(reply, None, None)?;
        Ok(ControlLink::new(handle, coordinator.clone()))
    }
}

/// The outcomes that are granted to a control link.
fn source(asked: Option<&Source>) -> Source {
    let granted = [DeliveryState::ACCEPTED, DeliveryState::DECLARED, DeliveryState::REJECTED];
    let outcomes = asked.map(|asked| asked.outcomes.iter().filter(|outcome| granted.contains(outcome)).cloned());
    Source {
        address: asked.and_then(|asked| asked.address.clone()),
        outcomes: outcomes.into_iter().flatten().collect(),
        ..Source::default()
    }
}
