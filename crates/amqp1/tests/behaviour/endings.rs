//! How connections end, and that nothing waits for ever when they do.

use crate::support::{self, body, gated_pair, mute, pair, pair_with, receiver_request, soon};
use amqp1::{
    Acceptor, Client, Connection, Credit, Delivered, Delivery, Error, ErrorKind, Outcome, Receiver, Retry, Sender,
    codec::{
        frame::ProtocolHeader,
        performative::{Close, Open, Performative},
    },
    error::{AmqpError, ConnectionError, ErrorCondition},
};
use amqp1_testkit::{frame, frames};
use bytes::Bytes;
use std::{
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker, ready},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

/// Everything that can wait on a connection, waiting.
struct Waiting(Vec<(&'static str, tokio::task::JoinHandle<Option<Error>>)>);

impl Waiting {
    async fn start(pair: &mut support::Pair) -> Self {
        let (starved, far_receiver) = pair.client_sends(Credit::Manual(0)).await;
        let (sender, far_receiver_2) = pair.client_sends(Credit::Manual(1)).await;
        let (far_sender, mut receiver) = pair.client_receives(Credit::Manual(5)).await;
        let (far_sender_2, mut draining) = pair.client_receives(Credit::Manual(5)).await;
        let receipt = sender.reserve().await.expect("credit").send("x").expect("queued");
        let session = pair.session().await;
        let mut tasks = Vec::new();
        let mut spawn = |name, future: Pin<Box<dyn Future<Output = Option<Error>> + Send>>| {
            tasks.push((name, tokio::spawn(future)));
        };
        spawn("receipt", Box::pin(async move { receipt.await.err() }));
        spawn("recv", Box::pin(async move { receiver.recv().await.err() }));
        let waits = starved.clone();
        spawn("reserve", Box::pin(async move { waits.reserve().await.err() }));
        let sends = starved.clone();
        spawn("send", Box::pin(async move { sends.send("y").await.err() }));
        // The server's application looks at no link from here on, so nothing answers this.
        spawn("attach", Box::pin(async move { session.receiver("z").attach().await.err() }));
        let detached = starved.detached();
        spawn("detached", Box::pin(async move { Some(detached.await).and(None) }));
        let closed = pair.client.clone();
        spawn("closed", Box::pin(async move { Some(closed.closed().await).and(None) }));
        spawn("drain", Box::pin(async move { draining.drain().await.err() }));
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        // What the server holds must not end anything.
        std::mem::forget((far_receiver, far_receiver_2, far_sender, far_sender_2));
        Self(tasks)
    }

    /// All end, with an error of this kind where there is one to be had.
    async fn all_fail(self, kind: ErrorKind) {
        for (name, task) in self.0 {
            match soon(task).await.expect("no panic") {
                None => assert!(matches!(name, "detached" | "closed" | "drain"), "{name} ended in peace"),
                Some(error) => assert_eq!(error.kind(), kind, "{name}: {error}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_transport_ends_all_that_waits_fails() {
    let (mut pair, gate) = gated_pair().await;
    let waiting = Waiting::start(&mut pair).await;
    gate.break_off();
    waiting.all_fail(ErrorKind::TransportLost).await;
    assert!(pair.client.is_closed());
    assert_eq!(pair.client.begin().await.expect_err("over").kind(), ErrorKind::TransportLost);
    assert_eq!(pair.client.closed_error().expect("over").retry(), Retry::ReopenConnection);
}

#[tokio::test(start_paused = true)]
async fn when_the_peer_closes_with_an_error_all_that_waits_fails_with_it() {
    let mut pair = pair().await;
    let waiting = Waiting::start(&mut pair).await;
    let why = AmqpError::new(ErrorCondition::CONNECTION_FORCED, "maintenance");
    pair.server.connection().close_with(Some(why.clone())).await.expect("closed");
    waiting.all_fail(ErrorKind::ClosedByPeer).await;
    assert_eq!(pair.client.closed().await, ConnectionError::ClosedByPeer(Some(why)));
}

#[tokio::test(start_paused = true)]
async fn when_the_connection_is_closed_here_all_that_waits_fails() {
    let mut pair = pair().await;
    let waiting = Waiting::start(&mut pair).await;
    pair.client.close().await.expect("closed");
    waiting.all_fail(ErrorKind::Closed).await;
    assert_eq!(soon(pair.server.connection().closed()).await, ConnectionError::ClosedByPeer(None));
    assert!(soon(pair.server.next_link()).await.is_none(), "the link that was offered is gone too");
    pair.client.close().await.expect("closing twice is no error");
}

#[tokio::test(start_paused = true)]
async fn when_the_driver_panics_all_that_waits_fails() {
    let (mut pair, gate) = gated_pair().await;
    let waiting = Waiting::start(&mut pair).await;
    gate.panic();
    waiting.all_fail(ErrorKind::Internal).await;
    assert_eq!(pair.client.begin().await.expect_err("over").kind(), ErrorKind::Internal);
}

#[test]
fn when_the_drivers_runtime_is_dropped_handles_elsewhere_fail() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let (drivers, elsewhere) = (runtime().expect("a runtime"), runtime().expect("a runtime"));
    let (mut pair, sender, mut receiver) = drivers.block_on(async {
        let mut pair = pair().await;
        let (sender, far) = pair.client_sends(Credit::Manual(0)).await;
        let (far_sender, receiver) = pair.client_receives(Credit::Manual(5)).await;
        std::mem::forget((far, far_sender));
        (pair, sender, receiver)
    });
    let waiting = elsewhere.spawn(async move {
        let (reserved, received) = tokio::join!(sender.reserve(), receiver.recv());
        (reserved.err(), received.err())
    });
    drivers.shutdown_background();
    elsewhere.block_on(async {
        let (reserved, received) = soon(waiting).await.expect("no panic");
        assert_eq!(reserved.expect("over").kind(), ErrorKind::Internal);
        assert_eq!(received.expect("over").kind(), ErrorKind::Internal);
        soon(pair.client.closed()).await;
        assert!(soon(pair.client.begin()).await.is_err());
        assert!(soon(pair.client.close()).await.is_err());
        assert!(soon(pair.server.next_link()).await.is_none());
    });
}

#[tokio::test(start_paused = true)]
async fn close_writes_the_settlements_that_are_queued() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_receives(Credit::Window(1000)).await;
    let mut receipts = Vec::new();
    for index in 0..500 {
        receipts.push(sender.reserve().await.expect("credit").send(body(index)).expect("queued"));
    }
    for _ in 0..500 {
        receiver.recv().await.expect("a link").expect("a delivery").accept().expect("queued");
    }
    pair.client.close().await.expect("closed");
    for receipt in receipts {
        assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Accepted);
    }
}

#[tokio::test(start_paused = true)]
async fn close_sends_the_messages_that_are_queued() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(1000)).await;
    for index in 0..300 {
        drop(sender.reserve().await.expect("credit").send_with(body(index), settled()).expect("queued"));
    }
    let (closed, ()) = tokio::join!(pair.client.close(), async {
        for index in 0..300 {
            let delivery = receiver.recv().await.expect("a link").expect("a delivery");
            assert_eq!(support::number(&delivery), index);
        }
    });
    closed.expect("closed");
}

fn settled() -> amqp1::link::SendOptions {
    amqp1::link::SendOptions { settled: true, ..amqp1::link::SendOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_of_all_closes_the_connection() {
    let mut pair = pair().await;
    let (sender, far) = pair.client_sends(Credit::Window(5)).await;
    drop(pair.client);
    assert!(!pair.server.connection().is_closed(), "a link holds it open");
    drop(sender);
    assert_eq!(soon(pair.server.connection().closed()).await, ConnectionError::ClosedByPeer(None));
    drop(far);
}

#[tokio::test(start_paused = true)]
async fn t_2_7_1_4_a_connection_that_is_refused_says_why() {
    let (near, far) = tokio::io::duplex(4096);
    let connecting =
        Client::builder("amqp://server.test").hostname("other.test").connect_with(support::checked::Checked::new(near));
    let acceptor = Acceptor::builder().build();
    let (connected, refused) = tokio::join!(connecting, async {
        let incoming = acceptor.accept(support::checked::Checked::new(far)).await.expect("a handshake");
        assert_eq!(incoming.open().hostname.as_ref().map(|name| name.as_str()), Some("other.test"));
        incoming.refuse(AmqpError::new(ErrorCondition::NOT_FOUND, "no such host")).await
    });
    refused.expect("refused");
    let error = connected.expect_err("refused");
    assert_eq!((error.kind(), error.condition()), (ErrorKind::ClosedByPeer, Some(&ErrorCondition::NOT_FOUND)));
}

#[tokio::test(start_paused = true)]
async fn an_incoming_connection_that_is_dropped_is_refused() {
    let (near, far) = tokio::io::duplex(4096);
    let acceptor = Acceptor::builder().build();
    let connecting = Client::builder("amqp://server.test").connect_with(support::checked::Checked::new(near));
    let (connected, ()) = tokio::join!(connecting, async {
        drop(acceptor.accept(support::checked::Checked::new(far)).await.expect("a handshake"))
    });
    assert_eq!(connected.expect_err("refused").condition(), Some(&ErrorCondition::NOT_ALLOWED));
}

#[tokio::test(start_paused = true)]
async fn both_ends_may_fill_the_transport_at_once() {
    let mut pair = pair().await;
    let (to_server, at_server) = pair.client_sends(Credit::Window(50)).await;
    let (to_client, at_client) = pair.client_receives(Credit::Window(50)).await;
    async fn send(sender: Sender) {
        let message = Bytes::from(vec![7; 60_000]);
        let mut receipts = Vec::new();
        for _ in 0..200 {
            receipts.push(sender.reserve().await.expect("credit").send(message.clone()).expect("queued"));
        }
        for receipt in receipts {
            assert_eq!(receipt.await.expect("an outcome"), Outcome::Accepted);
        }
    }
    async fn receive(mut receiver: Receiver) -> Receiver {
        for _ in 0..200 {
            receiver.recv().await.expect("a link").expect("a delivery").accept().expect("settled");
        }
        receiver
    }
    let ((), (), _kept, _kept_too) =
        soon(async { tokio::join!(send(to_server), send(to_client), receive(at_server), receive(at_client)) }).await;
}

// Time. The clock is virtual and jumps when nothing else is left to do.

#[tokio::test(start_paused = true)]
async fn t_2_4_5_1_heartbeats_keep_a_silent_connection_alive() {
    let pair = pair().await;
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert!(!pair.client.is_closed());
    pair.session().await.end().await.expect("ended");
}

#[tokio::test(start_paused = true)]
async fn t_2_4_5_3_a_peer_that_is_not_heard_of_is_given_up_within_the_idle_time_out() {
    let (near, far) = tokio::io::duplex(4096);
    let _peer = mute(far);
    let start = tokio::time::Instant::now();
    let connection = support::client(near, |builder| builder.idle_timeout(Some(Duration::from_secs(20)))).await;
    assert_eq!(connection.closed().await, ConnectionError::IdleTimeout);
    assert!((20..=21).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    assert_eq!(connection.begin().await.expect_err("over").kind(), ErrorKind::IdleTimeout);
}

async fn with_mute_peer() -> (Connection, tokio::task::JoinHandle<()>) {
    let (near, far) = tokio::io::duplex(4096);
    let peer = mute(far);
    (support::client(near, |builder| builder.idle_timeout(None)).await, peer)
}

#[tokio::test(start_paused = true)]
async fn a_begin_that_is_not_answered_is_given_up() {
    let (connection, _peer) = with_mute_peer().await;
    let start = tokio::time::Instant::now();
    let error = soon(connection.begin()).await.expect_err("no answer");
    // Nothing at all was heard, so that another try needs another connection.
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, Retry::ReopenConnection));
    assert_eq!(start.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_at_all_is_given_up() {
    let (near, _far) = tokio::io::duplex(4096);
    let start = tokio::time::Instant::now();
    let connecting = Client::builder("amqp://server.test")
        .connect_timeout(Duration::from_secs(7))
        .connect_with(support::checked::Checked::new(near));
    assert_eq!(connecting.await.expect_err("no answer").kind(), ErrorKind::Timeout);
    assert_eq!(start.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_say_anything_is_given_up() {
    let (_near, far) = tokio::io::duplex(4096);
    let acceptor = Acceptor::builder().handshake_timeout(Duration::from_secs(3)).build();
    let start = tokio::time::Instant::now();
    assert_eq!(
        acceptor.accept(support::checked::Checked::new(far)).await.expect_err("silence").kind(),
        ErrorKind::Timeout
    );
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_does_not_come_is_given_up_and_the_message_may_have_arrived() {
    let mut pair =
        pair_with(|builder| builder.operation_timeout(Duration::from_secs(9)), &Acceptor::builder().build()).await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(5)).await;
    let start = tokio::time::Instant::now();
    let error = sender.send("x").await.expect_err("no outcome");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::Timeout, Delivered::Unknown));
    assert_eq!(start.elapsed().as_secs(), 9);
    // It goes on: the outcome comes late and nobody asks.
    receiver.recv().await.expect("a link").expect("a delivery").accept().expect("settled");
    let (outcome, ()) = tokio::join!(sender.send("y"), async {
        receiver.recv().await.expect("a link").expect("a delivery").accept().expect("settled");
    });
    assert_eq!(outcome.expect("an outcome"), Outcome::Accepted);
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_stands_still_keeps_neither_outcomes_nor_close_waiting_for_ever() {
    let (mut pair, gate) = gated_pair().await;
    let (sender, receiver) = pair.client_sends(Credit::Window(50)).await;
    gate.stick();
    let mut receipts = Vec::new();
    for _ in 0..8 {
        receipts.push(sender.try_reserve().expect("credit").send(Bytes::from(vec![0; 100_000])).expect("queued"));
    }
    let start = tokio::time::Instant::now();
    let error = soon(pair.client.close()).await.expect_err("no answer");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, Retry::ReopenConnection));
    assert!(start.elapsed() <= Duration::from_secs(15), "{:?}", start.elapsed());
    for receipt in receipts {
        let error = receipt.await.expect_err("not delivered");
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
    drop(receiver);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_a_close_is_waited_for_no_longer_than_the_close_time_out() {
    let (connection, peer) = with_mute_peer().await;
    peer.abort();
    let (near, far) = tokio::io::duplex(4096);
    let keeps = tokio::spawn(async move {
        let mut far = far;
        support::handshake_only(&mut far).await;
        std::future::pending::<()>().await;
    });
    let connection_2 = support::client(near, |builder| builder.idle_timeout(None)).await;
    let start = tokio::time::Instant::now();
    let error = soon(connection_2.close()).await.expect_err("no answer");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, Retry::ReopenConnection));
    assert!(start.elapsed() <= Duration::from_secs(6), "{:?}", start.elapsed());
    keeps.abort();
    drop(connection);
}

/// A waker that, when it is dropped, does something foreign: it settles a delivery.
struct Meddler(Mutex<Option<Delivery>>);

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Meddler {
    fn drop(&mut self) {
        if let Some(delivery) = self.0.lock().expect("no panic under the lock").take() {
            delivery.accept().expect("settled");
        }
    }
}

#[test]
fn a_waker_whose_drop_settles_a_delivery_does_not_lock_up() {
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut pair = pair().await;
            let (sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
            let receipts = [sender.try_reserve(), sender.try_reserve()]
                .map(|permit| permit.expect("credit").send("x").expect("queued"));
            let mut deliveries = Vec::new();
            for _ in 0..2 {
                deliveries.push(receiver.recv().await.expect("a link").expect("a delivery"));
            }
            for delivery in deliveries {
                let waker = Waker::from(Arc::new(Meddler(Mutex::new(Some(delivery)))));
                let mut recv = pin!(receiver.recv());
                assert!(recv.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                // From here on the only clone is the one that is stored; the next poll replaces it.
                drop(waker);
                assert!(recv.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            for receipt in receipts {
                assert_eq!(receipt.await.expect("an outcome"), Outcome::Accepted);
            }
        });
        done.send(()).expect("the test waits");
    });
    finished.recv_timeout(support::PATIENCE).expect("it does not lock up");
}

/// Octets whose owner does something foreign when it is dropped: it looks at a link.
struct Owner(Vec<u8>, Sender);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.1.credit();
    }
}

#[test]
fn octets_whose_owner_looks_at_the_link_when_it_is_dropped_do_not_lock_up() {
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut pair = pair().await;
            let session = pair.session().await;
            let (sender, receiver) = tokio::join!(session.sender("q").attach(), async {
                let link = pair.server.next_link().await.expect("a link");
                receiver_request(link)
                    .max_message_size(10_000)
                    .accept()
                    .map(amqp1::AcceptedLink::Receiver)
                    .expect("accepted")
            });
            let (sender, amqp1::AcceptedLink::Receiver(mut receiver)) = (sender.expect("a sender"), receiver) else {
                panic!("the client sends")
            };
            let owned = |size| Bytes::from_owner(Owner(vec![0; size], sender.clone()));
            let (outcome, ()) = tokio::join!(sender.send(owned(5_000)), async {
                receiver.recv().await.expect("a link").expect("a delivery").accept().expect("settled");
            });
            assert_eq!(outcome.expect("an outcome"), Outcome::Accepted);
            assert_eq!(sender.send(owned(20_000)).await.expect_err("too large").kind(), ErrorKind::MessageTooLarge);
            let permit = sender.reserve().await.expect("credit");
            assert_eq!(permit.send(owned(20_000)).expect_err("too large").kind(), ErrorKind::MessageTooLarge);
            sender.close().await.expect("closed");
            assert_eq!(sender.send(owned(5_000)).await.expect_err("gone").kind(), ErrorKind::LinkDetached);
        });
        done.send(()).expect("the test waits");
    });
    finished.recv_timeout(support::PATIENCE).expect("it does not lock up");
}

#[tokio::test(start_paused = true)]
async fn poll_of_a_receipt_with_another_waker_wakes_that_one() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
    let mut receipt = Box::pin(sender.reserve().await.expect("credit").send("x").expect("queued"));
    assert!(receipt.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let waiting = tokio::spawn(receipt);
    tokio::task::yield_now().await;
    receiver.recv().await.expect("a link").expect("a delivery").accept().expect("settled");
    assert_eq!(soon(waiting).await.expect("no panic").expect("an outcome"), Outcome::Accepted);
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_polled_from_a_loop_leaves_no_wakers_behind() {
    let pair = pair().await;
    for _ in 0..1000 {
        let mut closed = pin!(pair.client.closed());
        let polled = std::future::poll_fn(|cx| Poll::Ready(closed.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
    }
    let debug = format!("{:?}", pair.client);
    assert!(debug.len() < 20_000, "{} characters", debug.len());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_detaches_links_and_ends_sessions_before_it_closes() {
    let mut pair = pair().await;
    let (sender, far_receiver) = pair.client_sends(Credit::Manual(5)).await;
    let (far_sender, receiver) = pair.client_receives(Credit::Manual(5)).await;
    let session = pair.session().await;
    let server = pair.server.connection().clone();
    let error = AmqpError::new(ErrorCondition::DETACH_FORCED, "stopping");
    soon(server.end_all(error, Duration::from_secs(30))).await.expect("ended");
    for detached in [sender.detached().await, receiver.detached().await] {
        assert_eq!((detached.by, detached.closed), (amqp1::error::Cause::Peer, true));
        assert_eq!(detached.error.map(|error| error.condition), Some(ErrorCondition::DETACH_FORCED));
    }
    let ended = soon(session.ended()).await;
    assert_eq!((ended.by, ended.error), (amqp1::error::Cause::Peer, None));
    assert!(!pair.client.is_closed(), "the close comes after that");
    server.close().await.expect("closed");
    drop((far_receiver, far_sender));
}

/// A transport that passes on what is written when it is flushed, and is not ready for that at first, as TLS may be. What
/// is not flushed when it is shut down is lost.
struct Unflushed {
    io: DuplexStream,
    held: Vec<u8>,
    asked: bool,
}

impl Unflushed {
    fn new(io: DuplexStream) -> Self {
        Self { io, held: Vec::new(), asked: false }
    }
}

impl AsyncRead for Unflushed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Unflushed {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.held.extend_from_slice(octets);
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.held.is_empty() && !std::mem::replace(&mut self.asked, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Self { io, held, asked } = &mut *self;
        while !held.is_empty() {
            let count = ready!(Pin::new(&mut *io).poll_write(cx, held))?;
            held.drain(..count);
        }
        *asked = false;
        Pin::new(io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.held.clear();
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// What is done with a connection, or by its peer, that makes this end write its close last.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Closing {
    /// The peer closes.
    Answers,
    /// The peer closes, and is gone at once.
    AnswersOneThatIsGone,
    /// The peer breaks a rule, and is gone at once.
    Refuses,
}

/// The frames that a peer reads to the end, of a client of ours or of a server of ours.
async fn read_to_the_end(client: bool, closing: Closing) -> Vec<Performative> {
    let (ours, mut peer) = tokio::io::duplex(64 * 1024);
    let ours = support::checked::Checked::new(Unflushed::new(ours));
    let open = Open { container_id: "peer".into(), ..Open::default() };
    let opened = [&ProtocolHeader::AMQP.encode()[..], &frame(0, open, b"")].concat();
    peer.write_all(&opened).await.expect("written");
    // Whichever it is, it lives until the peer has read all.
    let (_client, _server);
    if client {
        _client = soon(Client::builder("amqp://server.test").no_sasl().connect_with(ours)).await.expect("open");
    } else {
        let incoming = soon(Acceptor::builder().build().accept(ours)).await.expect("a handshake");
        _server = soon(incoming.accept()).await.expect("open");
    }
    let last = match closing {
        Closing::Answers | Closing::AnswersOneThatIsGone => frame(0, Close::default(), b""),
        // A frame that is shorter than its header.
        Closing::Refuses => Bytes::from_static(&[0, 0, 0, 4, 2, 0, 0, 0]),
    };
    peer.write_all(&last).await.expect("written");
    if closing != Closing::Answers {
        peer.shutdown().await.expect("shut down");
    }
    let mut octets = Vec::new();
    soon(peer.read_to_end(&mut octets)).await.expect("read");
    frames(&octets).into_iter().filter_map(|(_, body, _)| body).collect()
}

#[tokio::test(start_paused = true)]
async fn t_2_4_3_1_a_close_has_left_a_transport_that_buffers_before_it_is_shut_down() {
    for client in [true, false] {
        for closing in [Closing::Answers, Closing::AnswersOneThatIsGone, Closing::Refuses] {
            let read = read_to_the_end(client, closing).await;
            let [Performative::Open(_), Performative::Close(close)] = &read[..] else {
                panic!("client {client}, {closing:?}: {read:?}")
            };
            assert_eq!(close.error.is_some(), closing == Closing::Refuses, "client {client}, {closing:?}");
        }
    }
}
