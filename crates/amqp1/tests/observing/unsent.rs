//! Messages that are queued when their link ends.

use crate::{
    gate::Gate,
    ledger::{Account, Ledger},
    pair_over, soon,
};
use amqp1::{
    Connection, Credit, IncomingLink, Message, Outcome, Receipt, Receiver, Sender, ServerConnection, link::SendOptions,
};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// More than the driver takes out of the engine at once, so that some wait in both.
const QUEUED: u64 = 200;

/// A link on which the client sends through a gate, and what both ends count.
struct Bed {
    gate: Gate,
    client: Connection,
    _server: ServerConnection,
    sender: Sender,
    receiver: Receiver,
    ledgers: [Arc<Ledger>; 2],
}

impl Bed {
    async fn new(resumable: bool) -> Self {
        let (gate, (near, far)) = (Gate::default(), tokio::io::duplex(16 * 1024));
        Self::over(gate.around(near), far, gate, resumable).await
    }

    async fn over<IO>(client_end: IO, server_end: DuplexStream, gate: Gate, resumable: bool) -> Self
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let ledgers = [Arc::new(Ledger::default()), Arc::new(Ledger::default())];
        let [near, far] = ledgers.clone();
        let (client, mut server) =
            pair_over(client_end, server_end, |builder| builder.observer(near), |builder| builder.observer(far)).await;
        let session = client.begin().await.expect("a session");
        let (sender, receiver) =
            tokio::join!(session.sender("queue").name("out").resumable(resumable).attach(), async {
                let link = server.next_link().await.expect("a link");
                let IncomingLink::Receiver(request) = link else { panic!("the client sends") };
                request.credit(Credit::Manual(1000)).accept().expect("accepted")
            });
        Self { gate, client, _server: server, sender: sender.expect("a sender"), receiver, ledgers }
    }

    /// Queues messages, every other one settled.
    async fn queue(&self) -> Vec<Receipt> {
        let mut receipts = Vec::new();
        for number in 0..QUEUED {
            let options = SendOptions { settled: number % 2 == 1, ..SendOptions::default() };
            let message = Message::builder().data(vec![b'x'; 1000]);
            let permit = soon(self.sender.reserve()).await.expect("credit");
            receipts.push(permit.send_with(message, options).expect("queued"));
        }
        receipts
    }

    fn near(&self) -> Account {
        self.ledgers[0].book().links[">out"].clone()
    }

    fn far(&self) -> Account {
        self.ledgers[1].book().links["<out"].clone()
    }

    fn has_closed(&self) -> bool {
        self.ledgers[0].book().closed == 1
    }
}

/// Lets the tasks of both connections run.
async fn settle_down() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

fn count(account: &Account, reason: &str) -> u64 {
    account.dropped.get(reason).copied().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn what_was_queued_when_the_connection_is_lost_counts_as_unsent() {
    for resumable in [false, true] {
        let bed = Bed::new(resumable).await;
        bed.gate.deafen();
        let receipts = bed.queue().await;
        settle_down().await;
        assert_eq!((bed.near().messages, bed.near().dropped.len()), (0, 0));
        bed.gate.break_off();
        soon(bed.client.closed()).await;
        while !bed.has_closed() {
            settle_down().await;
        }
        for receipt in receipts {
            soon(receipt).await.map_or_else(drop, |outcome| assert_eq!(outcome, Outcome::SentSettled));
        }
        let near = bed.near();
        assert_eq!((near.messages, count(&near, "unsent"), near.dropped.len()), (0, QUEUED, 1), "{near:?}");
        assert_eq!((near.attached, near.detached, bed.far().messages), (1, 1, 0));
    }
}

/// A transport that takes a number of octets more, then fails.
struct Cut {
    io: DuplexStream,
    left: Arc<AtomicUsize>,
}

impl AsyncRead for Cut {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Cut {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let left = self.left.load(Ordering::SeqCst);
        let Some(taken) = octets.get(..left.min(octets.len())).filter(|taken| !taken.is_empty()) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, taken))?;
        self.left.store(left - written, Ordering::SeqCst);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Of one message only some octets have left, as a rule; it counts once all the same.
#[tokio::test(start_paused = true)]
async fn each_message_counts_once_wherever_the_connection_is_cut() {
    for cut in (1..180_000).step_by(6007) {
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        let (near, far) = tokio::io::duplex(16 * 1024);
        let bed = Bed::over(Cut { io: near, left: left.clone() }, far, Gate::default(), false).await;
        left.store(cut, Ordering::SeqCst);
        let receipts = bed.queue().await;
        soon(bed.client.closed()).await;
        while !bed.has_closed() {
            settle_down().await;
        }
        drop(receipts);
        let near = bed.near();
        let (unsent, unsettled) = (count(&near, "unsent"), count(&near, "unsettled"));
        // Each has 1003 octets of body, and some of its frame.
        let whole = u64::try_from(cut).expect("it fits") / 1040;
        assert!(near.messages.abs_diff(whole) <= whole / 20 + 1, "{cut}: {near:?}");
        assert_eq!((near.messages + unsent, count(&near, "partial")), (QUEUED, 0), "{cut}: {near:?}");
        assert_eq!(unsettled, near.messages.div_ceil(2), "{cut}: {near:?}");
    }
}

/// The receiver closes the link. What is written behind that is not processed.
#[tokio::test(start_paused = true)]
async fn what_was_queued_when_the_peer_closes_the_link_counts_as_unsent() {
    let bed = Bed::new(false).await;
    bed.gate.deafen();
    let receipts = bed.queue().await;
    settle_down().await;
    let (closed, ()) = tokio::join!(bed.receiver.close(), async {
        soon(bed.sender.detached()).await;
        settle_down().await;
        bed.gate.unstick();
    });
    closed.expect("answered");
    drop(receipts);
    let near = bed.near();
    assert_eq!((near.messages, count(&near, "unsent"), near.dropped.len()), (0, QUEUED, 1), "{near:?}");
    assert_eq!((near.detached, bed.far().messages), (1, 0));
    soon(bed.client.close()).await.expect("closed");
    assert_eq!(bed.near(), near, "nothing is counted twice");
}

/// The client closes the link: what is queued is written first, and nothing is unsent.
#[tokio::test(start_paused = true)]
async fn what_leaves_before_the_link_is_closed_does_not_count_as_unsent() {
    let bed = Bed::new(false).await;
    let receipts = bed.queue().await;
    soon(bed.sender.close()).await.expect("closed");
    drop(receipts);
    let (near, far) = (bed.near(), bed.far());
    assert_eq!((near.messages, count(&near, "unsent"), far.messages), (QUEUED, 0, QUEUED), "{near:?}");
}
