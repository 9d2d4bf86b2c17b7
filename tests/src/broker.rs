//! A small broker on our acceptor: queues by address. What is not accepted goes back.

use amqp1::{
    AcceptedLink, Acceptor, Credit, IncomingLink, Outcome, Receiver, Sender, ServerConnection, message::EncodedMessage,
};
use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

#[derive(Debug, Default)]
struct Queue {
    messages: Mutex<VecDeque<EncodedMessage>>,
    filled: Notify,
}

impl Queue {
    fn push_back(&self, message: EncodedMessage) {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).push_back(message);
        self.filled.notify_one();
    }

    fn push_front(&self, message: EncodedMessage) {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).push_front(message);
        self.filled.notify_one();
    }

    /// Cancel-safe.
    async fn pop(&self) -> EncodedMessage {
        loop {
            if let Some(message) = self.messages.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
                return message;
            }
            self.filled.notified().await;
        }
    }
}

type Queues = Arc<Mutex<HashMap<String, Arc<Queue>>>>;

/// A broker that listens on loopback until it is dropped.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    listening: JoinHandle<()>,
}

impl Broker {
    /// Listens on a free port.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub async fn start(acceptor: Acceptor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let queues = Queues::default();
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), stream, queues.clone()));
            }
        });
        Self { address, listening }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn serve(acceptor: Acceptor, stream: TcpStream, queues: Queues) {
    stream.set_nodelay(true).ok();
    // A client that fails its handshake is its own problem; the tests see that from its side.
    let Ok(incoming) = acceptor.accept(stream).await else { return };
    let Ok(mut connection) = incoming.accept().await else { return };
    serve_links(&mut connection, &queues).await;
}

async fn serve_links(connection: &mut ServerConnection, queues: &Queues) {
    while let Some(link) = connection.next_link().await {
        let address = name_of(link.address().unwrap_or_default()).to_owned();
        let queue = queues.lock().unwrap_or_else(PoisonError::into_inner).entry(address).or_default().clone();
        let link = match link {
            IncomingLink::Receiver(request) => IncomingLink::Receiver(request.credit(Credit::Window(500))),
            other => other,
        };
        match link.accept_default() {
            Ok(AcceptedLink::Sender(sender)) => drop(tokio::spawn(deliver(sender, queue))),
            Ok(AcceptedLink::Receiver(receiver)) => drop(tokio::spawn(collect(receiver, queue))),
            Err(_) => {}
        }
    }
}

/// The queue that an address names: some clients write the whole URL.
fn name_of(address: &str) -> &str {
    let path = address.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    path.map_or(address, |(_, name)| name)
}

async fn collect(mut receiver: Receiver, queue: Arc<Queue>) {
    while let Ok(Some(delivery)) = receiver.recv().await {
        queue.push_back(delivery.message().to_encoded());
        delivery.accept().ok();
    }
}

async fn deliver(sender: Sender, queue: Arc<Queue>) {
    while let Ok(permit) = sender.reserve().await {
        let message = tokio::select! {
            message = queue.pop() => message,
            _ = sender.detached() => return,
        };
        match permit.send(message.clone()) {
            Err(_) => queue.push_front(message),
            Ok(receipt) => {
                let queue = queue.clone();
                tokio::spawn(async move {
                    if !matches!(receipt.await, Ok(Outcome::Accepted | Outcome::SentSettled)) {
                        queue.push_front(message);
                    }
                });
            }
        }
    }
}
