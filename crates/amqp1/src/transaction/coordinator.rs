//! Transactions as an acceptor keeps them.

use super::{CoordinatorConfig, TxnId};
use crate::{
    handle::{delivery::Delivery, incoming::ServerConnection, permit::ReceiptId},
    state::{
        shared::Shared,
        transaction::table::{Table, Transactions},
    },
    types::error::{Error, ErrorKind},
};
use amqp1_codec::messaging::DeliveryState;
use amqp1_engine::TransactionRole;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The transactions of one connection, at the end that does their work (§4.1), made by
/// [`ServerConnection::coordinator`]. Clones are handles of the same one.
///
/// `W` is what the application does for a message that was posted when its transaction is committed.
///
/// The library declares transactions, keeps to the rules of part 4, and holds what belongs to a transaction until it is
/// discharged:
///
/// - A message that is *posted* (§4.4.1) comes with a [transaction](Delivery::transaction). [`post`](Self::post) takes it
///   together with a `W`, and states the provisional outcome. The `W`s come back with the
///   [`Discharge`](super::Discharge), in the order in which they were given.
/// - A delivery that is *retired* (§4.4.2) has its outcome at the commit: until then its [`Receipt`](crate::Receipt) is
///   pending, also when the link ends. After a rollback it is live as before, or has the default outcome of its source if
///   the controller had settled it.
/// - What is sent on a link whose flow names a transaction is *acquired* within it (§4.4.3): its receipt is pending until
///   the discharge, and a rollback gives it back ([`Outcome::Released`](crate::Outcome::Released)), also where the default
///   outcome of its source is another one. A message that the transaction cannot have is not sent.
///
/// A transaction is rolled back when its control link, the session or the connection ends, when it takes too long, and
/// when a commit is not confirmed.
///
/// ```no_run
/// use amqp1::{
///     Error, IncomingLink, Message, Receiver, ServerConnection,
///     transaction::{ControlLink, Coordinator, CoordinatorConfig, Discharge},
/// };
/// use std::sync::{Arc, Mutex};
///
/// type Queue = Arc<Mutex<Vec<Message>>>;
///
/// async fn serve(mut connection: ServerConnection, queue: Queue) -> Result<(), Error> {
///     let coordinator = connection.coordinator(CoordinatorConfig::default())?;
///     while let Some(link) = connection.next_link().await {
///         // A link that cannot be accepted is no reason to end the connection.
///         match link {
///             IncomingLink::Coordinator(request) => match request.coordinate(&coordinator) {
///                 Ok(control) => drop(tokio::spawn(commit(control, queue.clone()))),
///                 Err(error) => println!("a control link was not accepted: {error}"),
///             },
///             IncomingLink::Receiver(request) => match request.accept() {
///                 Ok(receiver) => drop(tokio::spawn(receive(receiver, coordinator.clone(), queue.clone()))),
///                 Err(error) => println!("a link was not accepted: {error}"),
///             },
///             // This node has nothing to send: dropped, the request is refused.
///             _ => {}
///         }
///     }
///     Ok(())
/// }
///
/// async fn receive(mut receiver: Receiver, coordinator: Coordinator<Message>, queue: Queue) -> Result<(), Error> {
///     while let Some(delivery) = receiver.recv().await? {
///         // Detached from the buffer that it was read into, which it would keep alive.
///         let message = delivery.message().to_detached();
///         if delivery.transaction().is_some() {
///             // A transaction that is over meanwhile is not an error of the link.
///             if let Err(error) = coordinator.post(delivery, message) {
///                 println!("not posted: {error}");
///             }
///         } else {
///             queue.lock().unwrap().push(message);
///             delivery.accept()?;
///         }
///     }
///     Ok(())
/// }
///
/// async fn commit(mut control: ControlLink<Message>, queue: Queue) -> Result<(), Error> {
///     while let Some(discharge) = control.next().await {
///         if let Discharge::Commit(mut commit) = discharge {
///             queue.lock().unwrap().extend(commit.take_work());
///             commit.confirm()?;
///         }
///     }
///     Ok(())
/// }
/// ```
pub struct Coordinator<W> {
    pub(super) inner: Arc<Inner<W>>,
}

pub(super) struct Inner<W> {
    pub(super) shared: Arc<Shared>,
    /// The application's parts by their numbers.
    parts: Mutex<(HashMap<u64, W>, u64)>,
}

impl<W> Clone for Coordinator<W> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<W> fmt::Debug for Coordinator<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coordinator").field("connection", &self.inner.shared).finish_non_exhaustive()
    }
}

impl<W> Inner<W> {
    fn parts(&self) -> MutexGuard<'_, (HashMap<u64, W>, u64)> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, part: W) -> u64 {
        let (parts, next) = &mut *self.parts();
        let number = *next;
        *next = number.wrapping_add(1);
        parts.insert(number, part);
        number
    }

    pub(super) fn take(&self, numbers: &[u64]) -> Vec<W> {
        let (parts, _) = &mut *self.parts();
        numbers.iter().filter_map(|number| parts.remove(number)).collect()
    }
}

impl<W> Coordinator<W> {
    /// Takes a message that was posted within a transaction (§4.4.1), together with what is to be done for it at the
    /// commit. The sender is told the provisional outcome: accepted, if the transaction is committed.
    ///
    /// To refuse the message, [`reject`](Delivery::reject) or [`release`](Delivery::release) it instead: the transaction
    /// cannot be committed then (§4.4.4).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RolledBack`] if the transaction is over meanwhile, or must not have more work: beyond the bounds of
    /// [`CoordinatorConfig`] the control link is closed with `amqp:resource-limit-exceeded`. The work is dropped.
    /// [`ErrorKind::Config`] if the delivery is of another connection, or was not posted within a transaction: the work is
    /// dropped, and the delivery dealt with as its receiver's [`OnDrop`](crate::link::OnDrop) says.
    /// Otherwise as [`Delivery::accept`], where the sender cannot be told the outcome: the transaction is not committed, and
    /// the work comes back when it is rolled back.
    pub fn post(&self, mut delivery: Delivery, work: W) -> Result<(), Error> {
        let shared = &self.inner.shared;
        let Some(txn) = delivery.transaction().cloned() else {
            return Err(Error::new(ErrorKind::Config, "the message was not posted within a transaction"));
        };
        let (link, name) = delivery.place();
        if !Arc::ptr_eq(&link.shared, shared) {
            return Err(Error::new(ErrorKind::Config, "the delivery is of another connection than the transactions"));
        }
        let (id, session, settled) = (link.id, link.session.id, delivery.is_settled());
        let octets = delivery.message().to_encoded().len();
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        delivery.close();
        let number = self.inner.put(work);
        let posted =
            shared.command(|state, aside| state.post((id, session), name, settled, &txn, (number, octets), aside));
        posted.and_then(|posted| posted).inspect_err(|error| {
            // Work that is part of a transaction comes back with it.
            if error.kind() == ErrorKind::RolledBack {
                drop(self.inner.take(&[number]));
            }
        })
    }

    /// How many transactions are live.
    pub fn live(&self) -> usize {
        self.inner.shared.look(|state| match &state.transactions {
            Transactions::Resource(table) => table.rules.len(),
            _ => 0,
        })
    }
}

impl ServerConnection {
    /// Serves transactions on this connection (part 4), which is done once. Clients begin them on
    /// [control links](crate::IncomingLink::Coordinator).
    ///
    /// Where this is not called, a transactional state ends its link with `amqp:transaction:unknown-id`, so that no message
    /// of a transaction is taken for another one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it was called before.
    pub fn coordinator<W>(&self, config: CoordinatorConfig) -> Result<Coordinator<W>, Error> {
        let shared = self.connection().shared().clone();
        shared.command(|state, _| match state.transactions {
            Transactions::None => {
                state.transactions = Transactions::Resource(Box::new(Table::new(config)));
                state.engine.set_transaction_role(TransactionRole::Resource);
                Ok(())
            }
            _ => Err(Error::new(ErrorKind::Config, "the connection has a coordinator already")),
        })??;
        Ok(Coordinator { inner: Arc::new(Inner { shared, parts: Mutex::default() }) })
    }
}

/// The part of a transaction's work that is done for one delivery that was sent: see
/// [`Commit::retirements`](super::Commit::retirements).
#[derive(Clone, Debug, PartialEq)]
pub struct Retirement {
    /// The delivery, by its [`Receipt::id`](crate::Receipt::id).
    pub receipt: ReceiptId,
    /// The result.
    pub outcome: DeliveryState,
    /// The transaction.
    pub transaction: TxnId,
}
