//! A queue in memory: `cargo run -p amqp1 --example queue [ADDR:PORT]`. Whatever address they name, clients put messages
//! in and take them out; the example `client` does both. A message is gone when one of them has accepted it.
use amqp1::{
    AcceptedLink, Acceptor, AmqpError, Delivery, DrainMode, Error, ErrorCondition, ErrorKind, Outcome, Receipt,
    Receiver, Role, Sender,
    codec::messaging::DeliveryState,
    engine::{
        Instant,
        terminus::{Fate, HeldMessage},
    },
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5672".to_owned());
    let listener = TcpListener::bind(&address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    eprintln!("listening on {}", listener.local_addr()?);
    run(listener).await
}

/// Serves for ever.
pub(crate) async fn run(listener: TcpListener) -> Result<(), Box<dyn std::error::Error>> {
    let acceptor = Acceptor::builder().build();
    let queue = Arc::new(Queue::new());
    loop {
        let (stream, _) = listener.accept().await?;
        let serving = serve(acceptor.clone(), stream, queue.clone());
        // What goes wrong with one client is no reason to leave the others.
        tokio::spawn(async move { serving.await.inspect_err(|error| eprintln!("{error}")) });
    }
}

async fn serve(acceptor: Acceptor, stream: TcpStream, queue: Arc<Queue>) -> Result<(), Error> {
    let mut connection = acceptor.accept(stream).await?.accept().await?;
    while let Some(link) = connection.next_link().await {
        let queue = queue.clone();
        // A task for each link, so that none waits for another; its errors are that link's end and no more.
        let accepted = if link.role() == Role::Receiver {
            let mut reply = link.reply();
            // A client that drains the link gets what waits here: see `empty`.
            reply.drain_mode = DrainMode::APPLICATION;
            link.accept(reply)
        } else {
            link.accept_default()
        };
        match accepted {
            Ok(AcceptedLink::Receiver(receiver)) => drop(tokio::spawn(fill(receiver, queue))),
            Ok(AcceptedLink::Sender(sender)) => drop(tokio::spawn(empty(sender, queue))),
            Err(error) => eprintln!("{error}"),
        }
    }
    Ok(())
}

/// Takes what a client sends.
async fn fill(mut receiver: Receiver, queue: Arc<Queue>) -> Result<(), Error> {
    while let Some(delivery) = receiver.recv().await? {
        match queue.hold(&delivery) {
            Ok(message) => {
                queue.waiting().push_back(message);
                queue.arrived.notify_waiters();
                delivery.accept()?;
            }
            Err(error) => drop(receiver.refuse(delivery, error).await?),
        }
    }
    Ok(())
}

/// Gives a client what it wants. One that drains the link gets what is there: each message is sent without waiting for
/// the outcome of the one before.
async fn empty(sender: Sender, queue: Arc<Queue>) -> Result<(), Error> {
    let link = queue.new_link();
    loop {
        // First somebody who wants a message, then the message.
        let permit = sender.reserve().await?;
        let mut message = tokio::select! {
            biased;
            message = queue.take(link) => message,
            _ = sender.detached() => return Ok(()),
            // There is no message for it now.
            asked = sender.drain_requested() => {
                asked?;
                sender.drained()?;
                continue;
            }
        };
        let Some(written) = message.acquire(link, queue.now()) else { continue };
        match permit.send(written) {
            Ok(receipt) => drop(tokio::spawn(settle(receipt, message, link, queue.clone()))),
            Err(error) => {
                queue.settle(message, link, &DeliveryState::Released);
                // The client drained the link, or took its credit back: that is no reason to leave it.
                if error.kind() != ErrorKind::CreditRevoked {
                    return Err(error);
                }
            }
        }
    }
}

/// Waits for the outcome. Without one the message may have arrived or not: rather twice than never.
async fn settle(receipt: Receipt, message: HeldMessage, link: u64, queue: Arc<Queue>) {
    let state = match receipt.await {
        Ok(Outcome::SentSettled) => DeliveryState::Accepted,
        Ok(outcome) => outcome.into_state().unwrap_or(DeliveryState::Released),
        Err(_) => DeliveryState::Released,
    };
    queue.settle(message, link, &state);
}

/// What waits to be taken.
struct Queue {
    waiting: Mutex<VecDeque<HeldMessage>>,
    arrived: Notify,
    began: std::time::Instant,
    links: Mutex<u64>,
}

impl Queue {
    fn new() -> Self {
        let (waiting, arrived, began) = (Mutex::default(), Notify::new(), std::time::Instant::now());
        Self { waiting, arrived, began, links: Mutex::new(0) }
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<HeldMessage>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_link(&self) -> u64 {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        *links += 1;
        *links
    }

    fn hold(&self, delivery: &Delivery) -> Result<HeldMessage, AmqpError> {
        let message = HeldMessage::new(delivery.message().to_detached(), self.now())
            .map_err(|error| AmqpError::new(ErrorCondition::DECODE_ERROR, error.to_string()))?;
        if message.is_durable() {
            return Err(AmqpError::new(ErrorCondition::PRECONDITION_FAILED, "nothing here outlives the process"));
        }
        Ok(message)
    }

    /// Puts a message back unless it is done with.
    fn settle(&self, mut message: HeldMessage, link: u64, state: &DeliveryState) {
        if message.settle(link, state) == Fate::Available {
            self.waiting().push_front(message);
            self.arrived.notify_waiters();
        }
    }

    /// The first message that may go to this link. What has expired is dropped.
    async fn take(&self, link: u64) -> HeldMessage {
        loop {
            // Before looking, so that nothing arrives unseen.
            let arrived = self.arrived.notified();
            let now = self.now();
            let found = {
                let mut waiting = self.waiting();
                waiting.retain(|message| !message.is_expired(now));
                let first = waiting.iter().position(|message| message.may_go_to(link));
                first.and_then(|first| waiting.remove(first))
            };
            match found {
                Some(message) => return message,
                None => arrived.await,
            }
        }
    }
}
