//! Peers that write and never read.

use crate::support::{self, gate::Gate, soon};
use amqp1::{Acceptor, Client, Connection, Credit, Delivered, Error, ErrorKind, Retry, Sender};
use std::time::Duration;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream, DuplexStream, duplex},
    time::Instant,
};

/// The most that a transport holds here.
const ROOM: usize = 16 * 1024;

/// An empty frame.
const HEARTBEAT: &[u8] = b"\0\0\0\x08\x02\0\0\0";

/// A client behind a relay that from a point on passes on nothing of what it writes, and heartbeats of a server that is
/// alive: the client, a sender with credit, and the task that is the relay.
async fn deaf(change: impl FnOnce(amqp1::ClientBuilder) -> amqp1::ClientBuilder) -> (Connection, Sender) {
    deaf_behind(|near| near, change).await
}

/// Holds what is written until there is much of it, or it is flushed.
fn buffered(near: DuplexStream) -> BufStream<DuplexStream> {
    BufStream::with_capacity(64 * 1024, 64 * 1024, near)
}

async fn deaf_behind<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    wrap: impl FnOnce(DuplexStream) -> IO,
    change: impl FnOnce(amqp1::ClientBuilder) -> amqp1::ClientBuilder,
) -> (Connection, Sender) {
    let (near, relay_near) = duplex(ROOM);
    let (relay_far, far) = duplex(ROOM);
    let acceptor = Acceptor::builder().build();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    tokio::spawn(relay(relay_near, relay_far, stopped));
    let connecting =
        change(Client::builder("amqp://broker.test")).connect_with(support::checked::Checked::new(wrap(near)));
    let (client, server) = soon(async { tokio::join!(connecting, support::accept(&acceptor, far)) }).await;
    let mut pair = support::Pair { client: client.expect("a connection"), server };
    let (sender, receiver) = pair.client_sends(Credit::Window(1000)).await;
    stop.send(()).expect("a relay");
    let client = pair.client.clone();
    // The server's end lives on, or its heartbeats would end.
    tokio::spawn(async move {
        let _ends = (pair, receiver);
        std::future::pending::<()>().await;
    });
    (client, sender)
}

async fn relay(near: DuplexStream, far: DuplexStream, mut stopped: tokio::sync::oneshot::Receiver<()>) {
    let (mut near_read, mut near_write) = tokio::io::split(near);
    let (mut far_read, mut far_write) = tokio::io::split(far);
    let up = async move {
        let mut octets = [0; 1024];
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                read = near_read.read(&mut octets) => match read {
                    Ok(count) if count > 0 => far_write.write_all(&octets[..count]).await.expect("written"),
                    _ => return,
                },
            }
        }
        // The client's octets stay where they are; the server hears heartbeats, so that it stays.
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            if far_write.write_all(HEARTBEAT).await.is_err() {
                return;
            }
        }
    };
    let down = async move {
        loop {
            let mut octets = [0; 1024];
            match far_read.read(&mut octets).await {
                Ok(count) if count > 0 && near_write.write_all(&octets[..count]).await.is_ok() => {}
                _ => return,
            }
        }
    };
    tokio::join!(up, down);
}

async fn sent_until_cut(sender: &Sender) -> Error {
    let body = vec![b'x'; 200 * 1024];
    let message = amqp1::Message::builder().data(body).build();
    soon(sender.send(message)).await.expect_err("it is cut")
}

#[tokio::test(start_paused = true)]
async fn a_server_that_writes_heartbeats_and_never_reads_is_cut() {
    let (client, sender) = deaf(|builder| builder.idle_timeout(Some(Duration::from_secs(40)))).await;
    let start = Instant::now();
    let error = sent_until_cut(&sender).await;
    assert_eq!((error.kind(), error.retry()), (ErrorKind::WriteTimeout, Retry::ReopenConnection));
    assert_eq!(error.to_string(), "the peer has read nothing for 40s: the connection was cut");
    assert_eq!(error.delivered(), Delivered::Unknown);
    assert_eq!(start.elapsed().as_secs(), 40);
    assert!(client.is_closed());
    assert_eq!(soon(client.begin()).await.expect_err("closed").kind(), ErrorKind::WriteTimeout);
}

#[tokio::test(start_paused = true)]
async fn the_write_time_out_may_be_another_than_the_idle_time_out() {
    let (_client, sender) = deaf(|builder| builder.write_timeout(Some(Duration::from_secs(7)))).await;
    let start = Instant::now();
    assert_eq!(sent_until_cut(&sender).await.kind(), ErrorKind::WriteTimeout);
    assert_eq!(start.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn without_a_write_time_out_a_server_that_does_not_read_is_waited_for() {
    let patient =
        |builder: amqp1::ClientBuilder| builder.write_timeout(None).operation_timeout(Duration::from_secs(300));
    let (client, sender) = deaf(patient).await;
    let start = Instant::now();
    assert_eq!(sent_until_cut(&sender).await.kind(), ErrorKind::Timeout);
    assert_eq!(start.elapsed().as_secs(), 300);
    assert!(!client.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_writes_heartbeats_and_never_reads_is_cut() {
    let (near, far) = duplex(ROOM);
    let gate = Gate::default();
    let acceptor = Acceptor::builder().write_timeout(Some(Duration::from_secs(20))).build();
    let connecting = Client::builder("amqp://broker.test").connect_with(support::checked::Checked::new(near));
    let (client, server) = soon(async { tokio::join!(connecting, support::accept(&acceptor, gate.around(far))) }).await;
    let mut pair = support::Pair { client: client.expect("a connection"), server };
    let (sender, receiver) = pair.client_receives(Credit::Window(1000)).await;
    // Nothing that the server writes is taken any more, and it goes on to hear from the client.
    gate.deafen();
    let start = Instant::now();
    let error = sent_until_cut(&sender).await;
    assert_eq!(error.kind(), ErrorKind::WriteTimeout);
    assert_eq!(start.elapsed().as_secs(), 20);
    drop((pair, receiver));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_cut() {
    let (near, mut relay_near) = duplex(ROOM);
    let (mut relay_far, far) = duplex(ROOM);
    let acceptor = Acceptor::builder().build();
    tokio::spawn(async move {
        // A kilobyte a second up, for minutes.
        let (mut near_read, mut near_write) = tokio::io::split(&mut relay_near);
        let (mut far_read, mut far_write) = tokio::io::split(&mut relay_far);
        let up = async {
            let mut octets = [0; 1024];
            while let Ok(count) = near_read.read(&mut octets).await {
                if count == 0 || far_write.write_all(&octets[..count]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let down = tokio::io::copy(&mut far_read, &mut near_write);
        let _ = tokio::join!(up, down);
    });
    let connecting = Client::builder("amqp://broker.test")
        .write_timeout(Some(Duration::from_secs(5)))
        .operation_timeout(Duration::from_secs(900))
        .connect_with(support::checked::Checked::new(near));
    let (client, server) = soon(async { tokio::join!(connecting, support::accept(&acceptor, far)) }).await;
    let mut pair = support::Pair { client: client.expect("a connection"), server };
    let (sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
    let start = Instant::now();
    let message = amqp1::Message::builder().data(vec![b'x'; 100 * 1024]).build();
    let (sent, ()) = soon(async {
        tokio::join!(sender.send(message), async {
            receiver.recv().await.expect("a link").expect("a delivery").accept().expect("settled");
        })
    })
    .await;
    sent.expect("an outcome").into_result().expect("accepted");
    assert!(start.elapsed() > Duration::from_secs(60), "it was not slow: {:?}", start.elapsed());
}

/// A transport that buffers, as TLS does, takes everything at once: that the peer reads on is seen below it.
#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_slowly_behind_a_transport_that_buffers_is_not_cut() {
    let (near, relay_near) = duplex(ROOM);
    let (relay_far, far) = duplex(ROOM);
    let acceptor = Acceptor::builder().build();
    tokio::spawn(async move {
        let (mut near_read, mut near_write) = tokio::io::split(relay_near);
        let (mut far_read, mut far_write) = tokio::io::split(relay_far);
        // A kilobyte a second.
        let up = async {
            let mut octets = [0; 1024];
            while let Ok(count @ 1..) = near_read.read(&mut octets).await {
                far_write.write_all(&octets[..count]).await.expect("written");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::join!(up, tokio::io::copy(&mut far_read, &mut near_write))
    });
    let connecting = Client::builder("amqp://broker.test")
        .write_timeout(Some(Duration::from_secs(5)))
        .operation_timeout(Duration::from_secs(900))
        .connect_with(support::checked::Checked::new(buffered(near)));
    let (client, server) = soon(async { tokio::join!(connecting, support::accept(&acceptor, far)) }).await;
    let mut pair = support::Pair { client: client.expect("a connection"), server };
    let (sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
    let start = Instant::now();
    let message = amqp1::Message::builder().data(vec![b'x'; 60 * 1024]).build();
    let receiving = async { receiver.recv().await.expect("a link").expect("a message").accept().expect("settled") };
    let (sent, ()) = soon(async { tokio::join!(sender.send(message), receiving) }).await;
    sent.expect("an outcome").into_result().expect("accepted");
    assert!(start.elapsed() > Duration::from_secs(30), "it was not slow: {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_reads_behind_a_transport_that_buffers_is_cut() {
    let timeout = |builder: amqp1::ClientBuilder| builder.write_timeout(Some(Duration::from_secs(7)));
    let (client, sender) = deaf_behind(buffered, timeout).await;
    let start = Instant::now();
    // One that the buffer holds whole, and one that it does not.
    for size in [20, 200] {
        let message = amqp1::Message::builder().data(vec![b'x'; size * 1024]).build();
        drop(sender.reserve().await.expect("credit").send(message).expect("queued"));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    soon(client.closed()).await;
    assert_eq!(client.closed_error().expect("it is cut").kind(), ErrorKind::WriteTimeout);
    assert_eq!(start.elapsed().as_secs(), 7);
}
