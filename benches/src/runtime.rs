//! The runtime's cases: a client and an acceptor in one current-thread runtime, with a pipe in memory between them.

use crate::codec;
use amqp1::{
    Acceptor, Client, Connection, Credit, IncomingLink, MessageBuilder, Outcome, Receipt, Receiver, Sender,
    ServerConnection,
    link::SendOptions,
    message::{EncodedMessage, IntoMessage},
};
use std::collections::VecDeque;
use tokio::runtime::{Builder, Runtime};

/// The names of the cases. Their messages have a body of 1 KiB alone, but for those that are encoded when they are sent.
pub const CASES: &[&str] = &[
    "runtime-settled",
    "runtime-settled-unique-tags",
    "runtime-unsettled",
    "runtime-unsettled-unique-tags",
    "runtime-settled-fresh",
    "runtime-serial",
    "runtime-batch-settled",
    "runtime-batch-unsettled",
];

/// Receipts that are held before the oldest one is awaited: as many messages as a connection reads at once.
const TOGETHER: usize = 60;

/// Octets that the pipe holds: more than are in flight.
const PIPE: usize = 128 * 1024;

/// How a case sends.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    /// Deliveries are settled when they are sent. The others are accepted, and their outcome is awaited.
    settled: bool,
    /// The receiver refuses a tag that an unsettled delivery has.
    unique_tags: bool,
    /// Each message is encoded when it is sent, from a clone of its builder.
    fresh: bool,
    /// Each message is sent when the outcome of the one before is there.
    serial: bool,
    /// Messages are queued without waiting for each, and received and accepted in batches.
    batch: bool,
}

/// Returns a function that sends, receives and accepts `count` messages, and returns how many receipts were as expected.
/// `None` if there is no such case.
pub fn case(name: &str, count: usize) -> Option<Box<dyn FnMut() -> usize>> {
    let way = match name {
        "runtime-settled" => Way { settled: true, ..Way::default() },
        "runtime-settled-unique-tags" => Way { settled: true, unique_tags: true, ..Way::default() },
        "runtime-unsettled" => Way::default(),
        "runtime-unsettled-unique-tags" => Way { unique_tags: true, ..Way::default() },
        "runtime-settled-fresh" => Way { settled: true, fresh: true, ..Way::default() },
        "runtime-serial" => Way { serial: true, ..Way::default() },
        "runtime-batch-settled" => Way { settled: true, batch: true, ..Way::default() },
        "runtime-batch-unsettled" => Way { batch: true, ..Way::default() },
        _ => return None,
    };
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let mut ends = Ends::connected(way, runtime);
    // Buffers and queues grow once, before anything is counted.
    ends.carry(2 * TOGETHER);
    Some(Box::new(move || ends.carry(count)))
}

/// Both ends of a link.
#[derive(Debug)]
struct Ends {
    sender: Sender,
    receiver: Receiver,
    builder: MessageBuilder,
    message: EncodedMessage,
    way: Way,
    _client: Connection,
    _server: ServerConnection,
    runtime: Runtime,
}

impl Ends {
    fn connected(way: Way, runtime: Runtime) -> Self {
        let (near, far) = tokio::io::duplex(PIPE);
        let (client, server, sender, receiver) = runtime.block_on(async {
            let acceptor = Acceptor::builder().allow_no_sasl(true);
            let acceptor = acceptor.config(|config| config.tolerances.repeated_tags = !way.unique_tags).build();
            let client = Client::builder("amqp://server.test").no_sasl();
            let (client, server) = tokio::join!(client.connect_with(near), async {
                let incoming = acceptor.accept(far).await.expect("a handshake");
                incoming.accept().await.expect("an open connection")
            });
            let (client, mut server) = (client.expect("a connection"), server);
            let session = client.begin().await.expect("a session");
            let (sender, receiver) = tokio::join!(session.sender("queue").attach(), async {
                let link = server.next_link().await.expect("a link");
                let IncomingLink::Receiver(request) = link else { panic!("the client sends") };
                request.credit(Credit::Window(2000)).accept().expect("an attached link")
            });
            (client, server, sender.expect("a sender"), receiver)
        });
        let builder = codec::message(1024);
        let message = EncodedMessage::from(vec![b'x'; 1024]);
        Self { sender, receiver, builder, message, way, _client: client, _server: server, runtime }
    }

    /// Carries messages from one end to the other; how many receipts came back as they should.
    fn carry(&mut self, count: usize) -> usize {
        let Self { sender, receiver, builder, message, way, runtime, .. } = self;
        let sending = send(sender, builder, message, *way, count);
        let receiving = receive(receiver, *way, count);
        runtime.block_on(async { tokio::join!(sending, receiving).0 })
    }
}

/// Both ends of a link whose applications are tasks of their own, in any runtime.
#[derive(Debug)]
pub struct Tasks(Ends);

impl Tasks {
    /// Connects two ends: in batches or one by one, settled or at least once.
    pub fn connected(runtime: Runtime, batch: bool, settled: bool) -> Self {
        let mut ends = Ends::connected(Way { batch, settled, ..Way::default() }, runtime);
        ends.carry(2 * TOGETHER);
        Self(ends)
    }

    /// Carries messages from one end to the other; how many receipts came back as they should.
    pub fn carry(self, count: usize) -> (Self, usize) {
        let Ends { sender, mut receiver, builder, message, way, .. } = self.0;
        let (receiver, succeeded) = self.0.runtime.block_on(async {
            let sending = tokio::spawn({
                let (sender, builder, message) = (sender.clone(), builder.clone(), message.clone());
                async move { send(&sender, &builder, &message, way, count).await }
            });
            let receiving = tokio::spawn(async move {
                receive(&mut receiver, way, count).await;
                receiver
            });
            let (sent, received) = tokio::join!(sending, receiving);
            (received.expect("a receiver"), sent.expect("messages that were sent"))
        });
        (Self(Ends { sender, receiver, builder, message, ..self.0 }), succeeded)
    }
}

/// Sends messages as a case says; how many receipts came back as they should.
async fn send(sender: &Sender, builder: &MessageBuilder, message: &EncodedMessage, way: Way, count: usize) -> usize {
    match way {
        Way { batch: true, settled: true, .. } => send_settled(sender, message, count).await,
        Way { batch: true, .. } => enqueue_many(sender, message, count).await,
        Way { serial: true, .. } => send_each(sender, message, count).await,
        Way { fresh: true, settled, .. } => send_many(sender, || builder.clone(), settled, count).await,
        Way { settled, .. } => send_many(sender, || message.clone(), settled, count).await,
    }
}

/// Receives and accepts messages as a case says.
async fn receive(receiver: &mut Receiver, way: Way, count: usize) {
    if way.batch {
        return receive_batches(receiver, count).await;
    }
    for _ in 0..count {
        let delivery = receiver.recv().await.expect("a live link").expect("a delivery");
        delivery.accept().expect("a live link");
    }
}

/// Receives messages in batches, and accepts each batch.
async fn receive_batches(receiver: &mut Receiver, count: usize) {
    let mut batch = Vec::with_capacity(TOGETHER);
    let mut received = 0;
    while received < count {
        received += receiver.recv_many(&mut batch, TOGETHER).await.expect("a live link");
        receiver.accept_all(&mut batch).expect("a live link");
    }
}

/// Sends messages, some of which are in flight together.
async fn send_many<M: IntoMessage>(sender: &Sender, message: impl Fn() -> M, settled: bool, count: usize) -> usize {
    let mut receipts = VecDeque::with_capacity(TOGETHER);
    let mut succeeded = 0;
    for _ in 0..count {
        if receipts.len() == TOGETHER {
            succeeded += finish(receipts.pop_front(), settled).await;
        }
        let permit = sender.reserve().await.expect("credit");
        let options = SendOptions { settled, ..SendOptions::default() };
        receipts.push_back(permit.send_with(message(), options).expect("a live link"));
    }
    while !receipts.is_empty() {
        succeeded += finish(receipts.pop_front(), settled).await;
    }
    succeeded
}

/// Whether a receipt says what it should, as a number.
async fn finish(receipt: Option<Receipt>, settled: bool) -> usize {
    let Some(receipt) = receipt else { return 0 };
    let outcome = receipt.await.expect("an outcome");
    usize::from(outcome == if settled { Outcome::SentSettled } else { Outcome::Accepted })
}

/// Queues messages that are settled, and waits now and then until they are written.
async fn send_settled(sender: &Sender, message: &EncodedMessage, count: usize) -> usize {
    let options = SendOptions { settled: true, ..SendOptions::default() };
    let mut succeeded = 0;
    for number in 1..=count {
        let outcome = sender.send_with(message.clone(), options).await.expect("a live link");
        succeeded += usize::from(matches!(outcome, Outcome::SentSettled));
        if number % TOGETHER == 0 || number == count {
            sender.flush().await.expect("a live link");
        }
    }
    succeeded
}

/// Queues messages while there is room, and awaits the oldest outcomes when as many are in flight as may be.
async fn enqueue_many(sender: &Sender, message: &EncodedMessage, count: usize) -> usize {
    let mut receipts = VecDeque::with_capacity(TOGETHER);
    let mut succeeded = 0;
    for _ in 0..count {
        if receipts.len() == TOGETHER {
            succeeded += finish(receipts.pop_front(), false).await;
        }
        receipts.push_back(match sender.enqueue(message.clone()) {
            Ok(receipt) => receipt,
            Err(refused) => {
                let permit = sender.reserve().await.expect("credit");
                permit.send(refused.into_message()).expect("a live link")
            }
        });
    }
    while !receipts.is_empty() {
        succeeded += finish(receipts.pop_front(), false).await;
    }
    succeeded
}

/// Sends messages one after another.
async fn send_each(sender: &Sender, message: &EncodedMessage, count: usize) -> usize {
    let mut succeeded = 0;
    for _ in 0..count {
        succeeded += usize::from(sender.send(message.clone()).await.expect("an outcome") == Outcome::Accepted);
    }
    succeeded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_comes_back_as_its_case_says() {
        for name in CASES {
            for count in [1, 50, 3000] {
                assert_eq!(case(name, count).expect("a case of this name")(), count, "{name}");
            }
        }
        assert!(case("runtime-nothing", 1).is_none());
    }
}
