//! A transaction and its work.

use super::{
    TxnId,
    control::{Control, Counted},
};
use crate::{
    handle::{
        counted::LinkHandle,
        delivery::Delivery,
        permit::{Permit, Receipt},
        receiver::Receiver,
        sender::Sender,
    },
    state::transaction::errors,
    types::{
        error::{Delivered, Error, ErrorKind},
        options::SendOptions,
        outcome::Outcome,
    },
};
use amqp1_codec::{
    IntoMessage,
    definitions::AmqpError,
    messaging::{DeliveryState, Modified},
};
use amqp1_engine::{Credit, transaction::Answer};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A transaction that is live: what is done within it is done at the [`commit`](Self::commit), all of it or nothing.
///
/// Dropped, it is rolled back, without anybody waiting for it.
#[derive(Debug)]
#[must_use = "a transaction that is dropped is rolled back"]
pub struct Transaction {
    id: TxnId,
    /// There until it is discharged.
    work: Option<Work>,
}

/// Work within a transaction.
#[derive(Debug)]
pub(super) struct Work {
    control: Arc<Control>,
    counted: Counted,
    txn: TxnId,
    posted: Mutex<Posted>,
    /// With the outcome that each has if this is committed.
    retired: Mutex<Vec<(Delivery, DeliveryState)>>,
    /// The links that acquire within this.
    acquiring: Mutex<Vec<Arc<LinkHandle>>>,
}

/// Results of messages that are not waited for any more.
#[derive(Debug, Default)]
struct Posted {
    /// On their way.
    unfinished: Vec<Receipt>,
    /// Why the first one failed that did.
    failed: Option<Error>,
}

impl Transaction {
    pub(super) fn new(work: Work) -> Self {
        Self { id: work.txn.clone(), work: Some(work) }
    }

    /// The coordinator's name for it (§4.5.4).
    pub fn id(&self) -> &TxnId {
        &self.id
    }

    fn work(&self) -> Result<&Work, Error> {
        self.work.as_ref().ok_or_else(|| Error::internal("the transaction was discharged"))
    }

    /// Posts a message (§4.4.1) and waits for its outcome, which is provisional: the message is there for others after
    /// the commit. Otherwise as [`Sender::send`]; the sender may be of any session of the connection, if the
    /// coordinator offers `amqp:multi-ssns-per-txn`.
    ///
    /// An outcome that is not an acceptance is no error here, and whether the transaction can be committed in spite of
    /// it is the coordinator's decision.
    ///
    /// # Errors
    ///
    /// As [`Sender::send`]; [`ErrorKind::RolledBack`] if the control link is gone; [`ErrorKind::Config`] if the sender
    /// is of another connection. If the receiver may have the message ([`Delivered::Unknown`]), the transaction cannot
    /// be committed any more.
    ///
    /// # Cancel safety
    ///
    /// Cancelled while it waits for credit, nothing was posted. Cancelled later, the message is part of the transaction,
    /// and the commit waits for its outcome.
    pub async fn send(&self, sender: &Sender, message: impl IntoMessage) -> Result<Outcome, Error> {
        self.send_with(sender, message, SendOptions::default()).await
    }

    /// Posts a message as the options say and waits for its outcome.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn send_with(
        &self,
        sender: &Sender,
        message: impl IntoMessage,
        options: SendOptions,
    ) -> Result<Outcome, Error> {
        let message = sender.handle().encode(message);
        let work = self.work()?;
        work.check(sender.handle())?;
        let queued = sender.within_time(sender.queue(message, options, Some(work.posting()?)));
        let receipt = work.control.while_live(queued).await?;
        Posting { work, receipt: Some(receipt) }.outcome().await
    }

    /// Posts a message with credit that was claimed before, and does not wait: the commit does. If it is not accepted
    /// by then, the transaction is not committed.
    ///
    /// # Errors
    ///
    /// As [`Permit::send`], and [`send`](Self::send). The message was not posted.
    pub fn post(&self, permit: Permit, message: impl IntoMessage) -> Result<(), Error> {
        let work = self.work()?;
        work.check(permit.handle())?;
        let message = permit.handle().encode(message);
        let receipt = permit.queue(message, SendOptions::default(), Some(work.posting()?))?;
        work.posted().unfinished.push(receipt);
        Ok(())
    }

    /// Retires a delivery (§4.4.2): it was processed.
    ///
    /// # Errors
    ///
    /// As [`retire`](Self::retire).
    pub fn accept(&self, delivery: Delivery) -> Result<(), Error> {
        self.retire(delivery, DeliveryState::Accepted)
    }

    /// Retires a delivery: it is invalid, perhaps with the reason.
    ///
    /// # Errors
    ///
    /// As [`retire`](Self::retire).
    pub fn reject(&self, delivery: Delivery, error: impl Into<Option<AmqpError>>) -> Result<(), Error> {
        self.retire(delivery, DeliveryState::Rejected(error.into().map(Box::new)))
    }

    /// Retires a delivery: it was not processed.
    ///
    /// # Errors
    ///
    /// As [`retire`](Self::retire).
    pub fn release(&self, delivery: Delivery) -> Result<(), Error> {
        self.retire(delivery, DeliveryState::Released)
    }

    /// Retires a delivery: it was not processed and is to be changed.
    ///
    /// # Errors
    ///
    /// As [`retire`](Self::retire).
    pub fn modify(&self, delivery: Delivery, modified: Modified) -> Result<(), Error> {
        self.retire(delivery, DeliveryState::Modified(Box::new(modified)))
    }

    /// Retires a delivery with any outcome, which takes effect at the commit. This queues and never waits. Until then
    /// the transaction has the delivery. On a link with
    /// [`ReceiverSettleMode::First`](crate::link::ReceiverSettleMode), which is the default, the delivery is settled with that, and
    /// is the source's again if the transaction is rolled back. On one with `Second`, [`rollback`](Self::rollback) gives it
    /// back.
    ///
    /// # Errors
    ///
    /// If its link has ended; [`ErrorKind::RolledBack`] if the control link is gone; [`ErrorKind::Config`] if the sender
    /// had settled the delivery, it came on another connection, or the state is no outcome. The delivery is dropped
    /// then, and dealt with as its receiver's [`OnDrop`](crate::link::OnDrop) says.
    pub fn retire(&self, delivery: Delivery, outcome: DeliveryState) -> Result<(), Error> {
        self.work()?.retire(delivery, outcome)
    }

    /// Acquires messages within the transaction (§4.4.3): allows the sender this many deliveries, each of which it takes
    /// from its source within the transaction. They are received as always, with this
    /// [transaction](Delivery::transaction), and settled with [`accept`](Self::accept) and the like.
    ///
    /// If the transaction is rolled back, the source has the acquired messages again, even those that were settled. A message
    /// without an outcome at the commit is acquired, and is settled later like any other. Unused credit is drained before the
    /// discharge; after it, none is given until [`Receiver::set_credit`].
    ///
    /// A resource that cannot do this detaches the link with `amqp:not-implemented`.
    ///
    /// ```no_run
    /// # async fn example(transaction: amqp1::transaction::Transaction, mut receiver: amqp1::Receiver) -> Result<(), amqp1::Error> {
    /// transaction.acquire(&mut receiver, 1)?;
    /// if let Some(delivery) = receiver.recv().await? {
    ///     assert_eq!(delivery.transaction(), Some(transaction.id()));
    ///     transaction.accept(delivery)?;
    /// }
    /// transaction.commit().await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the link has ended; [`ErrorKind::RolledBack`] if the control link is gone; [`ErrorKind::Config`] if the receiver is
    /// of another connection, is [`streamed`](crate::link::ReceiverBuilder::streamed), or acquires within another transaction.
    pub fn acquire(&self, receiver: &mut Receiver, credit: u32) -> Result<(), Error> {
        self.work()?.acquire(receiver, credit)
    }

    /// Commits the transaction (§4.3), when every message that was posted has its outcome.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::RolledBack`] if it was rolled back instead: the coordinator refused, a message of
    ///   [`post`](Self::post) was not accepted, or the control link is gone. Nothing of its work is done. Deliveries
    ///   that were retired are dropped, and dealt with as their receivers' [`OnDrop`](crate::link::OnDrop) says; if a rollback
    ///   could not be requested in time, they are left as they are.
    /// - [`ErrorKind::InDoubt`] if the coordinator was asked and did not answer, or gave no valid answer.
    ///   Deliveries that were retired are left as they are.
    ///
    /// # Cancel safety
    ///
    /// Cancelled before it was polled, the transaction is rolled back. Cancelled later, the commit goes on, and its
    /// result is not reported.
    pub async fn commit(mut self) -> Result<(), Error> {
        let Some(work) = self.work.take() else { return Err(Error::internal("the transaction was discharged")) };
        let control = work.control.clone();
        // The runtime may go when the commit was asked for.
        control.spawn(work.commit()).await.map_err(|error| match error.kind() {
            ErrorKind::Internal => errors::unanswered(error, false),
            _ => error,
        })
    }

    /// Rolls the transaction back (§4.3): what was posted is gone, and no outcome of what was retired is applied.
    ///
    /// Returns the deliveries that were retired and are not settled, to be settled again (§4.4.2): those of links with
    /// [`ReceiverSettleMode::Second`](crate::link::ReceiverSettleMode). On other links a delivery is settled when it is retired,
    /// and the source has it back with its default outcome (§4.4.4).
    ///
    /// # Errors
    ///
    /// If the coordinator does not answer in time. It rolls back in any case, at the latest when the control link ends.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it goes on by itself; the deliveries are dropped.
    pub async fn rollback(mut self) -> Result<Vec<Delivery>, Error> {
        let Some(work) = self.work.take() else { return Err(Error::internal("the transaction was discharged")) };
        let control = work.control.clone();
        control.spawn(work.roll_back()).await
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            let control = work.control.clone();
            drop(control.spawn(work.roll_back()));
        }
    }
}

impl Work {
    pub(super) fn new(control: Arc<Control>, txn: TxnId) -> Self {
        let (posted, retired, acquiring) = Default::default();
        let counted = Counted::new(control.clone(), txn.clone());
        Self { control, counted, txn, posted, retired, acquiring }
    }

    fn posted(&self) -> MutexGuard<'_, Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether work can be done on this link.
    fn check(&self, link: &LinkHandle) -> Result<(), Error> {
        if !Arc::ptr_eq(&link.shared, self.control.shared()) {
            return Err(Error::new(ErrorKind::Config, "the link is of another connection than the transaction"));
        }
        let control = self.control.link().handle();
        if control.is_over() { Err(errors::lost(control.failure())) } else { Ok(()) }
    }

    /// The state of a delivery that is posted.
    fn posting(&self) -> Result<DeliveryState, Error> {
        self.control.rules(|rules| rules.post(&self.txn)).map_err(errors::of_rules)
    }

    fn retire(&self, delivery: Delivery, outcome: DeliveryState) -> Result<(), Error> {
        let (link, name) = delivery.place();
        self.check(link)?;
        if delivery.is_settled() {
            return Err(Error::new(
                ErrorKind::Config,
                "the sender has settled the delivery: there is nothing to retire",
            ));
        }
        if !outcome.is_outcome() {
            return Err(Error::new(ErrorKind::Config, "a delivery is retired with an outcome"));
        }
        let id = link.id;
        let applied = outcome.clone();
        let (of_link, key) = link.shared.look(|state| state.engine_names(id, name))?;
        let retired = self.control.rules(|rules| rules.retire(&self.txn, of_link, key, outcome));
        let state = retired.map_err(errors::of_rules)?;
        link.shared.command(|shared, _| shared.dispose(id, name, state))??;
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).push((delivery, applied));
        Ok(())
    }

    fn acquiring(&self) -> MutexGuard<'_, Vec<Arc<LinkHandle>>> {
        self.acquiring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acquire(&self, receiver: &Receiver, credit: u32) -> Result<(), Error> {
        let link = receiver.handle();
        self.check(link)?;
        let config = |text| Err(Error::new(ErrorKind::Config, text));
        if receiver.is_streamed() {
            return config("messages that come piece by piece cannot be acquired within a transaction");
        }
        let id = link.id;
        let Some(of_engine) = link.shared.look(|state| state.engine.link_id(id)) else { return Err(link.failure()) };
        let properties = self.control.rules(|rules| rules.acquire(&self.txn, of_engine)).map_err(errors::of_rules)?;
        let begun = link.shared.command(|state, _| {
            let known = match state.engine.link(id) {
                Ok(link) => link.flow_properties().is_none_or(|known| *known == properties),
                Err(_) => true,
            };
            if !known {
                return Ok(false);
            }
            state.live_link(id)?;
            let set = state.engine.link(id).and_then(|mut link| link.set_flow_properties(properties));
            let set = set.and_then(|()| {
                state.engine.receiver(id).and_then(|mut receiver| receiver.set_credit(Credit::Manual(credit)))
            });
            set.map(|()| true).map_err(|misuse| state.explain(misuse))
        })??;
        if !begun {
            return config("the receiver acquires within another transaction, or has flow properties of its own");
        }
        let mut acquiring = self.acquiring();
        if !acquiring.iter().any(|known| known.id == id) {
            acquiring.push(link.clone());
        }
        Ok(())
    }

    /// Takes the credit back with which more could be acquired, outside of the transaction once that is discharged
    /// (§4.4.3). A link that is over acquires nothing.
    async fn stop_acquiring(&self) -> Result<(), Error> {
        let links = self.acquiring().clone();
        let mut failed = Ok(());
        for link in links {
            let id = link.id;
            let credit = link.shared.look(|state| state.engine.receiver(id).map_or(0, |receiver| receiver.credit()));
            let stopped = match credit {
                0 => Ok(()),
                _ => self.control.while_live(link.drain()).await,
            };
            // The discharge clears it at the resource.
            link.shared.command(|state, _| {
                if let Ok(mut link) = state.engine.link(id) {
                    link.clear_flow_properties();
                }
            })?;
            if let Err(error) = stopped {
                if !link.is_over() && failed.is_ok() {
                    failed = Err(error);
                }
            }
        }
        failed
    }

    /// Gives the source back what was acquired and not taken.
    fn drop_acquired(&self) {
        for link in self.acquiring().drain(..) {
            let id = link.id;
            // Of a connection that is broken nothing is received.
            let _ = link.shared.command(|state, _| {
                state.engine.receiver(id).map_or(0, |mut receiver| receiver.drop_acquired(&self.txn))
            });
        }
    }

    /// Waits for the outcomes that no receipt waits for. Until then a discharge might overtake what it discharges:
    /// deliveries of several links leave frame by frame, by turns (§4.4.1).
    async fn finish(&self) -> Result<(), Error> {
        let unfinished = std::mem::take(&mut self.posted().unfinished);
        for receipt in unfinished {
            let posted = self.control.while_live(receipt).await.and_then(Outcome::into_result);
            if let Err(error) = posted {
                self.posted().failed.get_or_insert(error);
            }
        }
        self.posted().failed.take().map_or(Ok(()), Err)
    }

    async fn discharge(&self, fail: bool) -> Result<(Answer, Option<Error>), Error> {
        self.control.ask(|rules, token| rules.discharge(token, &self.txn, fail, |_| 0)).await
    }

    fn into_retired(self) -> Vec<(Delivery, DeliveryState)> {
        self.retired.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn into_deliveries(self) -> Vec<Delivery> {
        self.into_retired().into_iter().map(|(delivery, _)| delivery).collect()
    }

    /// The deliveries that are as they were before they were retired: not those that were settled with that.
    fn into_live(self) -> Vec<Delivery> {
        let mut deliveries = self.into_deliveries();
        deliveries.retain(Delivery::is_unsettled);
        deliveries
    }

    async fn commit(self) -> Result<(), Error> {
        if let Err(failure) = self.finish().await {
            // If that cannot be asked for, there was no commit all the same.
            let _ = self.roll_back().await;
            return Err(errors::spoilt(failure));
        }
        if let Err(failure) = self.stop_acquiring().await {
            let _ = self.roll_back().await;
            return Err(errors::undrained(failure));
        }
        let error = match self.discharge(false).await? {
            (Answer::Discharged { .. }, _) => {
                self.settle_retired();
                return Ok(());
            }
            (Answer::InDoubt { .. }, Some(failure)) => errors::unanswered(failure, self.counted.is_alone()),
            (Answer::InDoubt { .. }, None) => errors::unclear(),
            (Answer::RolledBack { error: None, .. }, Some(failure)) => errors::lost(failure),
            (Answer::RolledBack { error, .. }, _) => errors::refused(error),
            _ => Error::internal("a discharge was answered as a declare"),
        };
        match error.kind() {
            ErrorKind::RolledBack => self.drop_acquired(),
            _ => self.leave_retired(),
        }
        Err(error)
    }

    /// §4.4.2: the outcomes are applied. The resource may have settled, and need not; then it is for this end to do.
    fn settle_retired(self) {
        for (delivery, outcome) in self.into_retired() {
            // Where the link has ended there is nothing to settle.
            let _ = delivery.settle(outcome);
        }
    }

    /// Nothing is said of what was retired, since its fate is not known.
    fn leave_retired(self) {
        for delivery in self.into_deliveries() {
            drop(delivery.leave_unsettled());
        }
    }

    async fn roll_back(self) -> Result<Vec<Delivery>, Error> {
        // Work that has failed is rolled back with the rest.
        let _ = self.finish().await;
        if self.control.link().handle().is_over() {
            self.drop_acquired();
            return Ok(self.into_live());
        }
        // Credit that cannot be drained is rolled back too, as far as it has acquired messages by then.
        let _ = self.stop_acquiring().await;
        let answer = self.discharge(true).await?;
        self.drop_acquired();
        match answer {
            (Answer::RolledBack { error: None, .. }, Some(failure)) if failure.kind() == ErrorKind::Timeout => {
                self.leave_retired();
                Err(failure)
            }
            // That it has timed out, or went with the control link, means the same.
            _ => Ok(self.into_live()),
        }
    }
}

/// Somebody waits for the outcome of a posting; when it is given up, the commit waits for it.
struct Posting<'a> {
    work: &'a Work,
    receipt: Option<Receipt>,
}

impl Posting<'_> {
    async fn outcome(mut self) -> Result<Outcome, Error> {
        let Some(receipt) = &mut self.receipt else { return Err(Error::internal("there is no posting")) };
        let outcome = self.work.control.while_live(receipt).await;
        self.receipt = None;
        if let Err(error) = &outcome {
            if error.delivered() != Delivered::No {
                self.work.posted().failed.get_or_insert_with(|| error.clone());
            }
        }
        outcome
    }
}

impl Drop for Posting<'_> {
    fn drop(&mut self) {
        if let Some(receipt) = self.receipt.take() {
            self.work.posted().unfinished.push(receipt);
        }
    }
}
