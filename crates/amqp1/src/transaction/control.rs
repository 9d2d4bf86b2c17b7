//! The control link, and what is asked on it.

use super::TxnId;
use crate::{
    handle::sender::Sender,
    state::{shared::Shared, transaction::errors},
    types::{
        error::{Delivered, Error},
        options::SendOptions,
        outcome::Outcome,
    },
};
use amqp1_codec::EncodedMessage;
use amqp1_engine::{
    Settlement,
    transaction::{Answer, Controller as Rules, ControllerError},
};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};
use tokio::runtime::Handle;

/// State that the handles of a controller and of its transactions share.
#[derive(Debug)]
pub(super) struct Control {
    link: Sender,
    rules: Mutex<(Rules, u64)>,
    /// The runtime on which work goes on that is not waited for.
    runtime: Handle,
    /// How many transactions are live, or were when the link ended.
    live: AtomicUsize,
}

/// Counts as a transaction that is live, until it is dropped.
#[derive(Debug)]
pub(super) struct Counted(Arc<Control>, TxnId);

impl Counted {
    pub(super) fn new(control: Arc<Control>, txn: TxnId) -> Self {
        control.live.fetch_add(1, Ordering::SeqCst);
        // Of a connection that is broken there is nothing to note.
        let _ = control.shared().command(|state, _| state.note_declared(&txn, true));
        Self(control, txn)
    }

    /// Whether there is no other that the end of the link may be about.
    pub(super) fn is_alone(&self) -> bool {
        self.0.live.load(Ordering::SeqCst) == 1
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let _ = self.0.shared().command(|state, _| state.note_declared(&self.1, false));
        // Failures that went with the link still count: the link may have ended because of them.
        if !self.0.link.handle().is_over() {
            self.0.live.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Control {
    pub(super) fn new(link: Sender, rules: Rules, runtime: Handle) -> Self {
        Self { link, rules: Mutex::new((rules, 0)), runtime, live: AtomicUsize::new(0) }
    }

    pub(super) fn link(&self) -> &Sender {
        &self.link
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.link.handle().shared
    }

    fn lock(&self) -> MutexGuard<'_, (Rules, u64)> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rules of transactions.
    pub(super) fn rules<T>(&self, f: impl FnOnce(&mut Rules) -> T) -> T {
        f(&mut self.lock().0)
    }

    /// Goes on with this, whether or not anybody waits for it.
    pub(super) fn spawn<T, F>(&self, future: F) -> impl Future<Output = Result<T, Error>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let task = self.runtime.spawn(future);
        async { task.await.unwrap_or_else(|_| Err(Error::internal("the task of a transaction is gone"))) }
    }

    /// Goes on with this while the control link lives; when it has gone, what belongs to its transactions need not be
    /// answered by anybody.
    pub(super) async fn while_live<T>(&self, future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let (mut future, mut detached) = (pin!(future), pin!(self.link.detached()));
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Pending => detached.as_mut().poll(cx).map(|_| Err(errors::lost(self.link.handle().failure()))),
            ready => ready,
        })
        .await
    }

    /// Asks something on the control link. Gives what was made of the answer, and the error if there was none.
    pub(super) async fn ask(
        &self,
        message: impl FnOnce(&mut Rules, u64) -> Result<EncodedMessage, ControllerError>,
    ) -> Result<(Answer, Option<Error>), Error> {
        let (token, message) = {
            let (rules, next) = &mut *self.lock();
            let token = *next;
            *next = token.wrapping_add(1);
            (token, message(rules, token).map_err(errors::of_rules)?)
        };
        // Nothing else goes to the control link than what is queued here (§4.1).
        let queued = self.link.within_time(self.link.queue(message, SendOptions::default(), None));
        let outcome = match queued.await {
            Ok(receipt) => receipt.await,
            Err(error) => Err(error),
        };
        let answer = self.rules(|rules| rules.handle_settled(token, &settlement(&outcome)));
        let answer = answer.ok_or_else(|| Error::internal("an answer to what was not asked"))?;
        Ok((answer, outcome.err()))
    }
}

/// The outcome as the engine had it.
fn settlement(outcome: &Result<Outcome, Error>) -> Settlement {
    match outcome {
        Ok(outcome) => Settlement::Outcome(outcome.clone().into_state()),
        Err(error) => Settlement::Lost { sent: error.delivered() != Delivered::No },
    }
}
