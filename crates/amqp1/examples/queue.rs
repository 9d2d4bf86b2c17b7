//! A queue in memory: `cargo run -p amqp1 --example queue [ADDR:PORT]`. Whatever address they name, clients put messages
//! in and take them out; the example `client` does both. A message is gone when one of them has accepted it.
use amqp1::{AcceptedLink, Acceptor, Error, Message, Outcome, Receiver, Sender};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5672".to_owned());
    run(TcpListener::bind(address).await?).await
}

/// Serves for ever.
pub(crate) async fn run(listener: TcpListener) -> Result<(), Box<dyn std::error::Error>> {
    let acceptor = Acceptor::builder().build();
    let queue = Arc::new(Queue::default());
    loop {
        let (stream, peer) = listener.accept().await?;
        let serving = serve(acceptor.clone(), stream, queue.clone());
        // What goes wrong with one client is no reason to leave the others.
        tokio::spawn(async move { serving.await.inspect_err(|error| eprintln!("{peer}: {error}")) });
    }
}

async fn serve(acceptor: Acceptor, stream: TcpStream, queue: Arc<Queue>) -> Result<(), Error> {
    let mut connection = acceptor.accept(stream).await?.accept().await?;
    while let Some(link) = connection.next_link().await {
        let queue = queue.clone();
        // A task for each link, so that none waits for another; its errors are that link's end and no more.
        match link.accept_default() {
            Ok(AcceptedLink::Receiver(receiver)) => drop(tokio::spawn(fill(receiver, queue))),
            Ok(AcceptedLink::Sender(sender)) => drop(tokio::spawn(empty(sender, queue))),
            Err(error) => eprintln!("{error}"),
        }
    }
    Ok(())
}

/// What waits to be taken.
#[derive(Default)]
struct Queue {
    messages: Mutex<VecDeque<Message>>,
    arrived: Notify,
}

impl Queue {
    fn put(&self, message: Message) {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).push_back(message);
        self.arrived.notify_one();
    }

    /// It comes first again.
    fn put_back(&self, message: Message) {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).push_front(message);
        self.arrived.notify_one();
    }

    async fn take(&self) -> Message {
        loop {
            let first = self.messages.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match first {
                Some(message) => return message,
                None => self.arrived.notified().await,
            }
        }
    }
}

async fn fill(mut receiver: Receiver, queue: Arc<Queue>) -> Result<(), Error> {
    while let Some(delivery) = receiver.recv().await? {
        queue.put(delivery.message().clone());
        delivery.accept()?;
    }
    Ok(())
}

async fn empty(sender: Sender, queue: Arc<Queue>) -> Result<(), Error> {
    loop {
        // First somebody who wants a message, then the message.
        let permit = sender.reserve().await?;
        let message = tokio::select! {
            message = queue.take() => message,
            _ = sender.detached() => return Ok(()),
        };
        let outcome = match permit.send(message.to_encoded()) {
            Ok(receipt) => receipt.await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(Outcome::Accepted | Outcome::Rejected(_) | Outcome::SentSettled) => {}
            Ok(_) => queue.put_back(message),
            Err(error) => {
                queue.put_back(message);
                return Err(error);
            }
        }
    }
}
