//! The receiving end of a link.

use crate::{
    handle::{
        counted::LinkHandle,
        delivery::{Delivery, settle_all},
        link::common,
    },
    state::{
        aside::Aside,
        engine::Arrival,
        ids::{LinkKey, Place},
        shared::State,
        wait::within,
    },
    types::{
        detached::Detached,
        error::{Error, ErrorKind},
        options::OnDrop,
        unready::TryRecvError,
    },
};
use amqp1_codec::{definitions::AmqpError, messaging::DeliveryState, performative::Attach};
use amqp1_engine::{Cause, Credit};
use futures_core::Stream;
use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// The receiving end of a link. Its deliveries may be moved to other tasks and settled there, in any order.
///
/// When it is dropped, no more messages come, and deliveries that were not received from it are released. The link ends
/// when the last delivery that was received is settled or dropped. To stop in order, drop the receiver, wait for the tasks
/// that work on its deliveries, and [close](crate::Connection::close) the connection, which writes the settlements:
///
/// ```no_run
/// # async fn example(connection: amqp1::Connection) -> Result<(), amqp1::Error> {
/// use tokio::{signal::ctrl_c, task::JoinSet};
///
/// let session = connection.begin().await?;
/// // Ten jobs at a time: no more come until one of them is settled.
/// let mut receiver = session.receiver("jobs").max_unsettled(10).attach().await?;
/// let mut working = JoinSet::new();
/// loop {
///     tokio::select! {
///         _ = ctrl_c() => break,
///         Some(_) = working.join_next() => {}
///         delivery = receiver.recv() => match delivery? {
///             Some(delivery) => drop(working.spawn(async move { delivery.accept() })),
///             None => break,
///         },
///     }
/// }
/// drop(receiver);
/// working.join_all().await;
/// connection.close().await
/// # }
/// ```
///
/// [`close`](Self::close) and [`detach`](Self::detach) end the link at once: what is not settled by then cannot be settled
/// any more. The example `worker` is a whole program.
#[derive(Debug)]
pub struct Receiver {
    handle: Arc<LinkHandle>,
    on_drop: OnDrop,
    /// Whether messages come piece by piece.
    streamed: bool,
    /// As a stream: the end was told.
    over: bool,
}

impl Receiver {
    pub(crate) fn new(handle: Arc<LinkHandle>, on_drop: OnDrop, streamed: bool) -> Self {
        Self { handle, on_drop, streamed, over: false }
    }

    pub(crate) fn on_drop(&self) -> OnDrop {
        self.on_drop
    }

    /// Whether messages come piece by piece, with [`recv_stream`](Self::recv_stream).
    pub fn is_streamed(&self) -> bool {
        self.streamed
    }

    /// Waits for the next delivery, without a limit; `None` when the peer has detached the link without an error, or this
    /// end has. A detach without an error is not a failure: a broker that stops a consumer in order ends a loop of `recv`
    /// like that. [`detached`](Self::detached) says how the link ended.
    ///
    /// # Errors
    ///
    /// If the link was detached with an error, or its session or the connection ended under it, with an error or without:
    /// [`ErrorKind::SessionEnded`], [`ErrorKind::ClosedByPeer`] and so on.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no delivery is lost.
    pub async fn recv(&mut self) -> Result<Option<Delivery>, Error> {
        // The waker stays with the link when this is dropped, so that a new call for each poll misses nothing.
        let mut next = None;
        poll_fn(|cx| self.poll(cx, &mut next)).await?;
        Ok(next.map(|delivery| self.delivery(delivery)))
    }

    /// The next delivery, if it has arrived. It never waits.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if no delivery has arrived; [`TryRecvError::Ended`] where [`recv`](Self::recv) gives `None`;
    /// [`TryRecvError::Failed`] where it fails.
    pub fn try_recv(&mut self) -> Result<Delivery, TryRecvError> {
        self.check_whole().map_err(TryRecvError::Failed)?;
        let id = self.handle.id;
        let taken = self.handle.shared.command(|state, aside| {
            let delivery = take(state, id);
            delivery.ok_or_else(|| match end(state, aside, id) {
                Poll::Pending => TryRecvError::Empty,
                Poll::Ready(Ok(())) => TryRecvError::Ended,
                Poll::Ready(Err(error)) => TryRecvError::Failed(error),
            })
        });
        taken.unwrap_or_else(|error| Err(TryRecvError::Failed(error))).map(|delivery| self.delivery(delivery))
    }

    /// Whether the link has ended. Deliveries that had arrived before may still be received.
    pub fn is_detached(&self) -> bool {
        self.handle.is_over()
    }

    /// Waits for deliveries and moves those that have arrived into `into`, at most `limit` of them. Returns how many;
    /// 0 when the link is over, as [`recv`](Self::recv) gives `None` then, or if the limit is 0.
    ///
    /// A batch costs less than its messages one by one. [`accept_all`](Self::accept_all) settles it.
    ///
    /// ```no_run
    /// # async fn example(mut receiver: amqp1::Receiver) -> Result<(), amqp1::Error> {
    /// let mut batch = Vec::new();
    /// while receiver.recv_many(&mut batch, 100).await? > 0 {
    ///     for delivery in &batch {
    ///         println!("{:?}", delivery.message().data());
    ///     }
    ///     receiver.accept_all(&mut batch)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no delivery is lost, and `into` is left as it was.
    pub async fn recv_many(&mut self, into: &mut Vec<Delivery>, limit: usize) -> Result<usize, Error> {
        self.check_whole()?;
        if limit == 0 {
            return Ok(0);
        }
        let (handle, on_drop, before) = (&self.handle, self.on_drop, into.len());
        let received = poll_fn(|cx| {
            handle.shared.poll(cx, |state, aside| {
                while into.len() - before < limit {
                    let Some(delivery) = take(state, handle.id) else { break };
                    into.push(Delivery::new(handle.clone(), delivery, on_drop));
                }
                if into.len() > before { Poll::Ready(Ok(())) } else { end(state, aside, handle.id) }
            })
        });
        received.await??;
        Ok(into.len() - before)
    }

    /// Accepts deliveries (§3.4.2) and removes them from `deliveries`: those that [`recv_many`](Self::recv_many) gave, for
    /// instance. Deliveries that were sent one after the other are settled by one disposition.
    ///
    /// # Errors
    ///
    /// As [`settle_all`](Self::settle_all).
    pub fn accept_all(&self, deliveries: &mut Vec<Delivery>) -> Result<(), Error> {
        self.settle_all(deliveries, &DeliveryState::Accepted)
    }

    /// States one outcome for all deliveries and removes them from `deliveries`. They may be of other links as well.
    ///
    /// # Errors
    ///
    /// The first error that [`Delivery::settle`] gives for one of them. The others are settled all the same.
    pub fn settle_all(&self, deliveries: &mut Vec<Delivery>, outcome: &DeliveryState) -> Result<(), Error> {
        settle_all(&self.handle.shared, deliveries, outcome)
    }

    /// Fails on a link whose messages come piece by piece.
    fn check_whole(&self) -> Result<(), Error> {
        if !self.streamed {
            return Ok(());
        }
        let text = "the link was attached as streamed: its messages come with recv_stream";
        Err(Error::new(ErrorKind::Config, text))
    }

    /// Ready with the next delivery in `into`, with nothing there when the link is over, or with why it failed. A delivery is
    /// large: it is not to be moved through each result.
    fn poll(&self, cx: &Context<'_>, into: &mut Option<Arrival>) -> Poll<Result<(), Error>> {
        self.check_whole()?;
        let id = self.handle.id;
        let polled = self.handle.shared.poll(cx, |state, aside| {
            *into = take(state, id);
            if into.is_some() { Poll::Ready(Ok(())) } else { end(state, aside, id) }
        });
        polled.map(|polled| polled.and_then(|polled| polled))
    }

    fn delivery(&self, arrival: Arrival) -> Delivery {
        Delivery::new(self.handle.clone(), arrival, self.on_drop)
    }

    /// Sets what becomes of deliveries that are received from now on and dropped unsettled.
    pub fn set_on_drop(&mut self, on_drop: OnDrop) {
        self.on_drop = on_drop;
    }

    /// Sets how many deliveries are allowed from now on, in place of the credit that is left. With [`Credit::Manual`],
    /// deliveries that have arrived and were not taken do not count.
    ///
    /// # Errors
    ///
    /// If the link has ended.
    pub fn set_credit(&mut self, credit: Credit) -> Result<(), Error> {
        let id = self.handle.id;
        self.handle.shared.command(|state, _| {
            state.live_link(id)?;
            let set = state.engine.receiver(id).and_then(|mut receiver| receiver.set_credit(credit));
            set.map_err(|misuse| state.explain(misuse))
        })?
    }

    /// Asks the sender to use up its credit or give it up (§2.6.7), and waits until it has. What it sent is there to be
    /// received; credit is not given again until [`set_credit`](Self::set_credit). A request that is not answered within
    /// two seconds is repeated, since some brokers ignore a drain that follows another closely.
    ///
    /// # Errors
    ///
    /// If the link ends, or the sender does not answer in time. On a link that is
    /// [`streamed`](crate::link::ReceiverBuilder::streamed), [`ErrorKind::Config`] as soon as what waits to be received fills the
    /// session's window, so that the sender cannot go on: receive it, and drain again.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the drain goes on.
    pub async fn drain(&mut self) -> Result<(), Error> {
        self.handle.drain().await
    }

    common!(
        "Settlements that are stated before the detach leaves are written first. Deliveries that are in hand and settled \
         later fail to be settled, as [`Delivery::settle`](crate::Delivery::settle) then says, and the sender may deliver \
         them again: to settle them first, stop the credit with [`set_credit`](Self::set_credit) before this."
    );
}

impl State {
    /// Takes the next delivery of a link from the engine.
    fn recv(&mut self, id: LinkKey) -> Option<Arrival> {
        self.engine.recv(id)
    }

    /// Asks the sender to use its credit up or give it up.
    fn drain(&mut self, id: LinkKey) -> Result<(), Error> {
        let asked = self.engine.receiver(id).and_then(|mut receiver| receiver.drain());
        asked.map_err(|misuse| self.explain(misuse))
    }
}

/// The next delivery; those that the sender had settled are there even when the link is not any more.
fn take(state: &mut State, id: LinkKey) -> Option<Arrival> {
    loop {
        let earlier = state.links.get_mut(&id).and_then(|link| link.undelivered.pop_front());
        let arrival = earlier.or_else(|| state.recv(id))?;
        if arrival.delivery.state.is_none() || state.admits(id, &arrival) {
            return Some(arrival);
        }
    }
}

/// Whether a link without deliveries is over, and how; else the poller waits.
fn end(state: &mut State, aside: &mut Aside<'_>, id: LinkKey) -> Poll<Result<(), Error>> {
    let Some(link) = state.links.get_mut(&id) else { return Poll::Ready(Err(state.link_failure(id))) };
    match link.detached.as_deref() {
        Some(Detached { error: None, by: Cause::Peer | Cause::Local, .. }) => Poll::Ready(Ok(())),
        None if !state.dead => {
            aside.store(&mut link.receiver);
            Poll::Pending
        }
        _ => Poll::Ready(Err(state.link_failure(id))),
    }
}

/// How long the answer to a drain is waited for before the drain is requested again; twice as long the next time.
/// ActiveMQ Artemis ignores a drain that arrives while it finishes the one before.
const DRAIN_AGAIN: Duration = Duration::from_secs(2);

impl LinkHandle {
    /// Drains a receiving link, and waits until it is drained.
    pub(crate) async fn drain(&self) -> Result<(), Error> {
        let id = self.id;
        self.shared.command(|state, _| {
            let link = state.live_link(id)?;
            (link.drained, link.draining) = (false, true);
            state.drain(id)
        })??;
        let drained = self.shared.wait(Place::Link(id), |state| {
            let drained = state.live_link(id).map(|link| link.drained);
            match drained {
                Ok(true) => Some(Ok(())),
                Ok(false) if state.engine.receiver(id).is_ok_and(|receiver| receiver.is_held_back()) => {
                    let text = "what waits to be received holds back the sender: receive it, then drain again";
                    Some(Err(Error::new(ErrorKind::Config, text)))
                }
                Ok(false) => None,
                Err(error) => Some(Err(error)),
            }
        });
        let drained = async {
            let mut drained = pin!(drained);
            let mut wait = DRAIN_AGAIN;
            loop {
                if let Ok(drained) = tokio::time::timeout(wait, &mut drained).await {
                    return drained;
                }
                // A repeated request asks for the same, so it does no harm.
                self.shared.command(|state, _| match state.live_link(id) {
                    Ok(link) if !link.drained => state.drain(id),
                    _ => Ok(()),
                })??;
                wait *= 2;
            }
        };
        within(&self.shared, self.timeout(), "draining a link", drained).await?
    }
}

impl Stream for Receiver {
    type Item = Result<Delivery, Error>;

    /// The end of the link, with an error or without, is the end of the stream.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let mut next = None;
        self.poll(cx, &mut next).map(|polled| match (polled, next) {
            (Ok(()), Some(delivery)) => Some(Ok(self.delivery(delivery))),
            (Ok(()), None) => {
                self.over = true;
                None
            }
            (Err(error), _) => {
                self.over = true;
                Some(Err(error))
            }
        })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let id = self.handle.id;
        let left = self.handle.shared.command(|state, aside| {
            let mut left = Vec::new();
            // Those that outlived the link may be part of transactions, which are not to wait for them.
            let undelivered = state.links.get_mut(&id).map(|link| std::mem::take(&mut link.undelivered));
            for delivery in undelivered.into_iter().flatten() {
                state.give_back(id, &delivery, aside);
                left.push(delivery);
            }
            // No more of them; those that are here go back.
            if state.engine.receiver(id).and_then(|mut receiver| receiver.set_credit(Credit::Manual(0))).is_ok() {
                while let Some(delivery) = state.recv(id) {
                    state.give_back(id, &delivery, aside);
                    left.push(delivery);
                }
            }
            left
        });
        // Their octets are dropped when the lock is released.
        drop(left);
    }
}
