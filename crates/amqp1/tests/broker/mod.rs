//! A broker for tests: what is sent to an address is given to whoever receives from it.

use amqp1::{
    AcceptedLink, Acceptor, Client, Connection, Credit, Delivery, EncodedMessage, Receiver, Sender, ServerConnection,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::{io::DuplexStream, sync::mpsc, task::JoinHandle};

type Queue = (mpsc::UnboundedSender<EncodedMessage>, Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<EncodedMessage>>>);

#[derive(Clone, Default)]
pub struct Queues(Arc<Mutex<HashMap<String, Queue>>>);

impl Queues {
    fn get(&self, address: &str) -> Queue {
        let mut queues = self.0.lock().expect("no panic under the lock");
        let make = || {
            let (tx, rx) = mpsc::unbounded_channel();
            (tx, Arc::new(tokio::sync::Mutex::new(rx)))
        };
        queues.entry(address.to_owned()).or_insert_with(make).clone()
    }
}

pub struct Broker {
    acceptor: Acceptor,
    queues: Queues,
    serving: Mutex<Vec<JoinHandle<()>>>,
}

impl Broker {
    pub fn start() -> Self {
        Self { acceptor: Acceptor::builder().build(), queues: Queues::default(), serving: Mutex::default() }
    }

    /// A client whose transport is memory.
    pub async fn connect(&self) -> Connection {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let serving = tokio::spawn(serve(self.acceptor.clone(), far, self.queues.clone()));
        self.serving.lock().expect("no panic under the lock").push(serving);
        Client::builder("amqp://broker").connect_with(near).await.expect("a connection")
    }

    /// Ends every transport, without a close.
    pub fn cut(&self) {
        for serving in self.serving.lock().expect("no panic under the lock").drain(..) {
            serving.abort();
        }
    }
}

async fn serve(acceptor: Acceptor, io: DuplexStream, queues: Queues) {
    // The driver is a task of its own; cutting means to drop its transport, which a wrapper does.
    let (cut, io) = cuttable(io);
    let incoming = acceptor.accept(io).await.expect("a handshake");
    let connection = incoming.accept().await.expect("an open connection");
    links(connection, queues).await;
    drop(cut);
}

async fn links(mut connection: ServerConnection, queues: Queues) {
    while let Some(link) = connection.next_link().await {
        let address = link.address().unwrap_or_default().to_owned();
        let mut reply = link.reply();
        reply.credit = Credit::Window(300);
        match link.accept(reply).expect("a link") {
            AcceptedLink::Sender(sender) => drop(tokio::spawn(deliver(sender, queues.get(&address)))),
            AcceptedLink::Receiver(receiver) => drop(tokio::spawn(collect(receiver, queues.get(&address)))),
        }
    }
}

async fn collect(mut receiver: Receiver, queue: Queue) {
    while let Ok(Some(delivery)) = receiver.recv().await {
        let message = Delivery::message(&delivery).to_encoded();
        let _ = queue.0.send(message);
        let _ = delivery.accept();
    }
}

async fn deliver(sender: Sender, queue: Queue) {
    loop {
        let Ok(permit) = sender.reserve().await else { return };
        let mut messages = queue.1.lock().await;
        let message = tokio::select! {
            message = messages.recv() => message,
            _ = sender.detached() => return,
        };
        drop(messages);
        let Some(message) = message else { return };
        let Ok(receipt) = permit.send(message) else { return };
        drop(receipt);
    }
}

/// A stream that ends when the guard is dropped.
fn cuttable(io: DuplexStream) -> (tokio::sync::oneshot::Sender<()>, DuplexStream) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (guard, cut) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut a, mut b) = (io, far);
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut a, &mut b) => {}
            _ = cut => {}
        }
    });
    (guard, near)
}
