//! The effect of transactions on the deliveries of a connection.

use crate::{
    state::{
        aside::Aside,
        engine::Received,
        ids::LinkKey,
        shared::State,
        transaction::table::{HeldAnswer, RollbackCause, SentWork, Table, Transactions, Undone, Work},
    },
    types::error::{Error, ErrorKind},
};
use amqp1_codec::{
    definitions::{AmqpError, ErrorCondition, SenderSettleMode},
    messaging::DeliveryState,
};
use amqp1_engine::{Instant, SendOptions, SessionId, Settlement, TransactionRole, transaction::TxnId};
use std::collections::{BTreeMap, BTreeSet};

fn unknown_id() -> AmqpError {
    AmqpError::new(ErrorCondition::TRANSACTION_UNKNOWN_ID, "the transaction is over, or was never declared here")
}

impl State {
    /// This end declares transactions on the connection.
    pub(crate) fn controls_transactions(&mut self) {
        if matches!(self.transactions, Transactions::None) {
            self.transactions = Transactions::Controller(BTreeSet::new());
            self.engine.set_transaction_role(TransactionRole::Controller);
        }
    }

    /// A transaction that this end has declared begins, or is over.
    pub(crate) fn note_declared(&mut self, txn: &TxnId, live: bool) {
        if let Transactions::Controller(declared) = &mut self.transactions {
            if live {
                declared.insert(txn.clone());
            } else {
                declared.remove(txn);
            }
        }
    }

    pub(crate) fn table(&mut self) -> Option<&mut Table> {
        match &mut self.transactions {
            Transactions::Resource(table) => Some(table),
            _ => None,
        }
    }

    /// Whether the settlement of a delivery is held until its transaction is discharged.
    pub(crate) fn is_held(&mut self, id: LinkKey, token: u64, settlement: &Settlement) -> bool {
        match &mut self.transactions {
            Transactions::Resource(table) if !table.sent.is_empty() => {
                let default = self.links.get(&id).and_then(|link| link.default_outcome.as_deref());
                table.holds(id, token, settlement, default)
            }
            _ => false,
        }
    }

    /// The transaction of a delivery that was sent, and its provisional outcome.
    pub(crate) fn provisional(&self, id: LinkKey, token: u64) -> Option<(TxnId, Option<DeliveryState>)> {
        match &self.transactions {
            Transactions::Resource(table) => table.provisional(id, token),
            _ => None,
        }
    }

    /// The slots of deliveries about which the application decides with a commit that it has in hand.
    pub(crate) fn committing_slots(&self) -> Vec<u64> {
        let Transactions::Resource(table) = &self.transactions else { return Vec::new() };
        let committing = table.sent.iter().filter(|(_, sent)| sent.committing);
        committing.filter_map(|((_, token), _)| self.tokens.slot(*token)).collect()
    }

    /// When a transaction has taken too long.
    #[inline]
    pub(crate) fn transaction_timeout(&self) -> Option<Instant> {
        match &self.transactions {
            Transactions::Resource(table) => table.rules.poll_timeout(),
            _ => None,
        }
    }

    /// Rolls back what has taken too long.
    pub(crate) fn expire_transactions(&mut self, now: Instant, aside: &mut Aside<'_>) {
        let Some(table) = self.table() else { return };
        let expired: Vec<_> = table
            .rules
            .expiring(now)
            .into_iter()
            .filter_map(|txn| table.rules.control_of(&txn).map(|control| (txn, control)))
            .collect();
        let mut undone: BTreeMap<_, _> = table.rules.handle_timeout(now).into_iter().collect();
        for (txn, control) in expired {
            let Some(work) = undone.remove(&txn) else { continue };
            let Some(control) = self.engine.link_key(control) else { continue };
            self.roll_back(control, txn, work, RollbackCause::TimedOut, aside);
        }
    }

    /// A control link is over.
    pub(crate) fn control_link_ended(&mut self, id: LinkKey, aside: &mut Aside<'_>) {
        let link = self.engine.link_id(id);
        let Some(table) = self.table().filter(|table| table.controls.contains_key(&id)) else { return };
        if let Some(control) = table.controls.get_mut(&id) {
            control.held = None;
        }
        let undone = link.map(|link| table.rules.handle_detached(link));
        for (txn, work) in undone.into_iter().flatten() {
            self.roll_back(id, txn, work, RollbackCause::ControlLinkEnded, aside);
        }
    }

    /// The control link of a transaction.
    fn control_of(&mut self, txn: &TxnId) -> Option<LinkKey> {
        let control = self.table()?.rules.control_of(txn)?;
        self.engine.link_key(control)
    }

    /// Detaches the control link of a transaction with an error, which rolls back all of its transactions.
    pub(crate) fn end_control(&mut self, txn: &TxnId, error: AmqpError, aside: &mut Aside<'_>) {
        if let Some(control) = self.control_of(txn) {
            self.end_control_link(control, error, aside);
        }
    }

    pub(crate) fn end_control_link(&mut self, control: LinkKey, error: AmqpError, aside: &mut Aside<'_>) {
        if !self.is_dead() {
            // Where it is over already, that counts.
            let _ = self.engine.link(control).and_then(|mut link| link.detach(true, Some(error)));
        }
        self.control_link_ended(control, aside);
    }

    /// Undoes the work of a transaction, and lets the application know.
    pub(crate) fn roll_back(
        &mut self,
        control: LinkKey,
        txn: TxnId,
        work: Vec<Work>,
        cause: RollbackCause,
        aside: &mut Aside<'_>,
    ) {
        let posted =
            work.iter().filter_map(|work| if let Work::Posted(number, _) = work { Some(*number) } else { None });
        let posted: Vec<_> = posted.collect();
        if let Some(table) = self.table() {
            table.forget_octets(&work);
        }
        self.undo(&txn, &work, aside);
        if let Some(control) = self.table().and_then(|table| table.controls.get_mut(&control)) {
            control.rolled_back.push_back(Undone { txn, posted, cause });
        }
        self.wake_control(control, aside);
    }

    /// Undoes what a transaction has to do with deliveries (§4.4.2, §4.4.4).
    pub(crate) fn undo(&mut self, txn: &TxnId, work: &[Work], aside: &mut Aside<'_>) {
        self.clear_acquiring(txn);
        if !self.is_dead() {
            self.engine.void_postings(txn);
        }
        for work in work {
            let Work::Sent(id, token) = *work else { continue };
            let Some(sent) = self.table().and_then(|table| table.take_sent(id, token, txn)) else { continue };
            match sent.lost {
                Some(left) => self.pay(Some(id), token, Settlement::Lost { sent: left }, aside),
                // §4.4.4.3: it was never taken from its source.
                None if sent.acquired => self.settle_with(id, token, DeliveryState::Released, aside),
                // No outcome will come any more.
                None if !sent.settled && self.is_dead() => {
                    self.pay(Some(id), token, Settlement::Lost { sent: true }, aside)
                }
                // It stays live, for the controller to state another outcome.
                None if !sent.settled => {}
                None => self.settle_with(id, token, self.node_default(id), aside),
            }
        }
        self.pay_settled(aside);
    }

    /// Applies the outcomes of a transaction that is committed.
    pub(crate) fn apply(&mut self, txn: &TxnId, work: &[Work], aside: &mut Aside<'_>) {
        self.clear_acquiring(txn);
        for work in work {
            let Work::Sent(id, token) = *work else { continue };
            let Some(sent) = self.table().and_then(|table| table.take_sent(id, token, txn)) else { continue };
            match (sent.outcome, sent.lost) {
                (Some(outcome), Some(_)) => self.pay(Some(id), token, Settlement::Outcome(Some(outcome)), aside),
                (Some(outcome), None) => self.settle_with(id, token, outcome, aside),
                (None, Some(left)) => self.pay(Some(id), token, Settlement::Lost { sent: left }, aside),
                // No outcome will come any more.
                (None, None) if self.is_dead() => self.pay(Some(id), token, Settlement::Lost { sent: true }, aside),
                // A message that waits to be sent must not name a transaction that is over.
                (None, None) => {
                    if let Ok(mut sender) = self.engine.sender(id) {
                        sender.forget_state(token);
                    }
                }
            }
        }
        self.pay_settled(aside);
    }

    /// Settles a delivery that was sent.
    fn settle_with(&mut self, id: LinkKey, token: u64, outcome: DeliveryState, aside: &mut Aside<'_>) {
        if !self.is_dead() {
            if self.engine.sender(id).and_then(|mut sender| sender.settle(token, Some(outcome.clone()))).is_ok() {
                return;
            }
            // §4.4.3: what is not sent as a whole is given up. To who sent it that is the outcome.
            if self.abort_delivery(id, token).is_ok() {
                if let Some(table) = self.table() {
                    table.aborted.push(id);
                }
                while let Some(settled) = self.engine.poll_settled() {
                    let aborted = settled.settlement == Settlement::Aborted && settled.token == token;
                    if !(aborted && self.engine.link_id(id) == Some(settled.link)) {
                        self.settle(settled, aside);
                    }
                }
            }
        }
        self.pay(Some(id), token, Settlement::Outcome(Some(outcome)), aside);
    }

    /// Answers a discharge, behind what was given up because of it.
    pub(crate) fn answer_discharge(&mut self, control: LinkKey, delivery: Received, state: DeliveryState) {
        let mut links = self.table().map(|table| std::mem::take(&mut table.aborted)).unwrap_or_default();
        links.retain(|link| !self.is_dead() && self.engine.sender(*link).is_ok_and(|sender| sender.is_aborting()));
        match self.table().filter(|_| !links.is_empty()) {
            Some(table) => table.held_answers.push(HeldAnswer { control, delivery, state, links }),
            // Where the link is over, its transactions are rolled back, and the answer is not waited for.
            None => drop(self.dispose(control, delivery, state)),
        }
    }

    /// Answers discharges that nothing is left to precede.
    pub(crate) fn answer_held(&mut self) {
        let Some(table) = self.table().filter(|table| !table.held_answers.is_empty()) else { return };
        let mut held = std::mem::take(&mut table.held_answers);
        held.retain_mut(|answer| {
            answer.links.retain(|link| self.engine.sender(*link).is_ok_and(|sender| sender.is_aborting()));
            let waits = !answer.links.is_empty();
            if !waits {
                drop(self.dispose(answer.control, answer.delivery, answer.state.clone()));
            }
            waits
        });
        if let Some(table) = self.table() {
            table.held_answers = held;
        }
    }

    /// Hands out what the engine has settled meanwhile.
    fn pay_settled(&mut self, aside: &mut Aside<'_>) {
        if self.is_dead() {
            return;
        }
        while let Some(settled) = self.engine.poll_settled() {
            self.settle(settled, aside);
        }
    }

    /// §4.4.3: the transaction of a link is cleared when it is discharged.
    fn clear_acquiring(&mut self, txn: &TxnId) {
        let Some(table) = self.table() else { return };
        let mut cleared = Vec::new();
        table.acquiring.retain(|id, acquires| {
            if acquires == txn {
                cleared.push(*id);
            }
            acquires != txn
        });
        if !self.is_dead() {
            for id in cleared {
                if let Ok(mut link) = self.engine.link(id) {
                    link.forget_remote_flow_properties();
                }
            }
        }
    }

    fn node_default(&self, id: LinkKey) -> DeliveryState {
        let default = self.links.get(&id).and_then(|link| link.default_outcome.as_deref().cloned());
        default.unwrap_or(DeliveryState::Released)
    }

    pub(crate) fn wake_control(&mut self, control: LinkKey, aside: &mut Aside<'_>) {
        if let Some(link) = self.links.get_mut(&control) {
            aside.wake(link.receiver.take());
        }
    }

    /// Wakes control links whose discharge has waited for events before it.
    #[inline]
    pub(crate) fn wake_held_controls(&mut self, aside: &mut Aside<'_>) {
        let Transactions::Resource(table) = &self.transactions else { return };
        for (id, control) in &table.controls {
            let known = control.held.as_ref().is_some_and(|(_, end)| self.engine.has_polled(*end));
            if let Some(link) = self.links.get_mut(id).filter(|_| known) {
                aside.wake(link.receiver.take());
            }
        }
    }

    /// Wakes who waits for the discharge of a transaction.
    pub(crate) fn wake_control_of(&mut self, txn: &TxnId, aside: &mut Aside<'_>) {
        if let Some(control) = self.control_of(txn) {
            self.wake_control(control, aside);
        }
    }

    /// A part of the work of a transaction has failed: it must not be committed.
    pub(crate) fn spoil(&mut self, txn: &TxnId, why: AmqpError, aside: &mut Aside<'_>) {
        if let Some(table) = self.table() {
            table.rules.spoil(txn, why);
        }
        self.wake_control_of(txn, aside);
    }

    /// A message that was posted cannot be decided any more.
    pub(crate) fn on_posting_lost(&mut self, txn: &TxnId, aside: &mut Aside<'_>) {
        let text = "a message of the transaction could not be taken before its link ended";
        self.spoil(txn, AmqpError::new(ErrorCondition::TRANSACTION_ROLLBACK, text), aside);
    }

    /// A message was retired that its receiver does not have any more.
    pub(crate) fn on_retirement_lost(&mut self, txn: &TxnId, aside: &mut Aside<'_>) {
        let text = "a message was retired whose link had ended before";
        self.spoil(txn, AmqpError::new(ErrorCondition::TRANSACTION_ROLLBACK, text), aside);
    }

    /// A receiver has stated an outcome within a transaction (§4.4.2).
    pub(crate) fn on_provisional(
        &mut self,
        (session, id): (SessionId, LinkKey),
        token: u64,
        state: DeliveryState,
        settled: bool,
        aside: &mut Aside<'_>,
    ) {
        let Some(txn) = TxnId::of(&state) else { return };
        let DeliveryState::Transactional(within) = state else { return };
        let outcome = within.outcome.map_or_else(|| self.node_default(id), |outcome| *outcome);
        let Some(table) = self.table() else { return };
        let committing = table.sent.get_mut(&(id, token)).filter(|sent| sent.committing && sent.txn == txn);
        if let Some(sent) = committing {
            // The application was told what it comes to, and decides. Settled, it is not the receiver's any more.
            sent.settled |= settled;
            return;
        }
        if !table.rules.is_live(&txn) {
            if settled {
                // No outcome can come any more.
                let default = self.node_default(id);
                self.settle_with(id, token, default, aside);
            }
            let _ = self.engine.link(id).and_then(|mut link| link.detach(true, Some(unknown_id())));
            return;
        }
        if let Some(sent) = table.sent.get_mut(&(id, token)).filter(|sent| sent.txn == txn) {
            (sent.outcome, sent.settled) = (Some(outcome), settled);
            return;
        }
        match self.own(id, token, txn.clone(), session) {
            Ok(sent) => (sent.outcome, sent.settled) = (Some(outcome), settled),
            Err(error) => {
                if settled {
                    let default = self.node_default(id);
                    self.settle_with(id, token, default, aside);
                }
                self.end_control(&txn, error, aside);
            }
        }
    }

    /// A delivery that this end has sent becomes part of a transaction.
    fn own(&mut self, id: LinkKey, token: u64, txn: TxnId, session: SessionId) -> Result<&mut SentWork, AmqpError> {
        let Some(table) = self.table() else { return Err(unknown_id()) };
        if table.sent.get(&(id, token)).is_some_and(|sent| sent.txn != txn) {
            let text = "the delivery belongs to another transaction";
            return Err(AmqpError::new(ErrorCondition::TRANSACTION_ROLLBACK, text));
        }
        table.rules.record(&txn, session, Work::Sent(id, token))?;
        let work = SentWork { txn, acquired: false, outcome: None, settled: false, lost: None, committing: false };
        Ok(table.sent.entry((id, token)).or_insert(work))
    }

    /// The properties of a link's flow have changed: they may name the transaction in which it acquires (§4.4.3).
    pub(crate) fn on_flow_properties(&mut self, id: LinkKey) {
        if !matches!(self.transactions, Transactions::Resource(_)) {
            return;
        }
        let properties = self.engine.link(id).ok().and_then(|link| link.remote_flow_properties()).unwrap_or_default();
        let names = properties.get("txn-id").is_some();
        let txn = TxnId::of_flow(&properties);
        let settles = self.links.get(&id).map(|link| link.settle_mode()) == Some(SenderSettleMode::Settled);
        let Some(table) = self.table() else { return };
        table.acquiring.remove(&id);
        let refusal = match txn.filter(|txn| table.rules.is_live(txn)) {
            _ if !names => return,
            None => unknown_id(),
            Some(_) if settles => {
                let text = "messages that are sent settled cannot be acquired within a transaction";
                AmqpError::new(ErrorCondition::NOT_IMPLEMENTED, text)
            }
            Some(txn) => {
                table.acquiring.insert(id, txn);
                return;
            }
        };
        // Where the link is over already, that counts.
        let _ = self.engine.link(id).and_then(|mut link| link.detach(true, Some(refusal)));
    }

    /// A delivery is about to be sent: within the transaction in which the receiver acquires, if it does.
    #[inline]
    pub(crate) fn acquire_with(
        &mut self,
        id: LinkKey,
        options: &mut SendOptions,
        aside: &mut Aside<'_>,
    ) -> Result<(), Error> {
        match self.transactions {
            Transactions::Resource(_) => self.acquire(id, options, aside),
            _ => Ok(()),
        }
    }

    /// Whether this end serves transactions.
    pub(crate) fn is_resource(&self) -> bool {
        matches!(self.transactions, Transactions::Resource(_))
    }

    fn acquire(&mut self, id: LinkKey, options: &mut SendOptions, aside: &mut Aside<'_>) -> Result<(), Error> {
        if self.engine.has_events() {
            // Its credit may have come with properties of which nothing is known yet.
            self.on_flow_properties(id);
        }
        let Some(txn) = self.table().and_then(|table| table.acquiring.get(&id).cloned()) else { return Ok(()) };
        let Some(session) = self.engine.link(id).ok().map(|link| link.session_id()) else { return Ok(()) };
        match self.own(id, options.token, txn.clone(), session) {
            Ok(sent) => {
                sent.acquired = true;
                // Settled, it could not be taken back.
                (options.settled, options.acquired, options.state) = (false, true, Some(txn.state(None)));
                Ok(())
            }
            Err(error) => {
                let text = "the transaction that takes the message cannot have it, and is over";
                self.end_control(&txn, error.clone(), aside);
                Err(Error::new(ErrorKind::RolledBack, text).with_amqp(Some(error)))
            }
        }
    }

    /// The delivery was not sent after all.
    pub(crate) fn not_acquired(&mut self, id: LinkKey, token: u64) {
        if let Some(table) = self.table() {
            table.sent.remove(&(id, token));
        }
    }

    /// A link is suspended with a delivery on it that was retired within a transaction. What becomes of it is not for this
    /// endpoint to say.
    pub(crate) fn sent_is_suspended(&mut self, id: LinkKey, token: u64, aside: &mut Aside<'_>) {
        let Some(sent) = self.table().and_then(|table| table.sent.remove(&(id, token))) else { return };
        let text = "the link of a delivery that was retired was suspended";
        self.spoil(&sent.txn, AmqpError::new(ErrorCondition::TRANSACTION_ROLLBACK, text), aside);
    }

    /// A link is gone, and acquires nothing.
    pub(crate) fn stops_acquiring(&mut self, id: LinkKey) {
        if let Some(table) = self.table() {
            table.acquiring.remove(&id);
        }
    }
}
