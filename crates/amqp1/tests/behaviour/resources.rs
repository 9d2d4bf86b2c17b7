//! What is held for peers and handles that come and go, and that it is given back.

use crate::support::{self, Pair, body, pair, pair_with, soon};
use amqp1::codec::{
    Encode, EncodeStyle, Limits, SequenceNo,
    frame::{Frame, FrameDecoder, write_frame},
    performative::{Begin, Detach, Performative},
};
use amqp1::{
    AcceptedLink, Acceptor, Client, Connection, Credit, Error, ErrorKind, Outcome, ServerConnection, Target,
    connection::Open,
    error::{ConnectionError, ErrorCondition},
    link::{Attach, Role},
};
use bytes::BytesMut;
use std::{
    future::Future,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// How often peers come and go here.
const ROUNDS: usize = 200;

/// What a connection holds.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    links: usize,
    sessions: usize,
}

impl Held {
    fn by(connection: &Connection) -> Self {
        let debug = format!("{connection:?}");
        let number = |name: &str| {
            let (_, rest) = debug.split_once(name).expect("shown");
            rest.split_once([',', ' ']).expect("more").0.parse().expect("a number")
        };
        Self { links: number("links: "), sessions: number("sessions: ") }
    }
}

/// Lets everything happen that can.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Polls once, and lets everything happen that follows; whether it waits.
async fn nudge<F: Future>(mut future: Pin<&mut F>) -> bool {
    let pending = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await;
    settle().await;
    pending
}

/// A client of which each frame is written by hand.
struct Raw {
    io: DuplexStream,
    input: BytesMut,
    output: BytesMut,
}

impl Raw {
    /// Exchanges headers and opens.
    async fn connect(channel_max: u16) -> (Self, ServerConnection) {
        let (io, far) = tokio::io::duplex(1024 * 1024);
        let mut raw = Self { io, input: BytesMut::new(), output: BytesMut::from(&b"AMQP\0\x01\0\0"[..]) };
        raw.write(0, &Open { container_id: "raw".into(), channel_max, ..Open::default() });
        raw.send().await;
        let server = soon(support::accept(&Acceptor::builder().build(), far)).await;
        while raw.input.len() < 8 {
            assert!(raw.io.read_buf(&mut raw.input).await.is_ok_and(|count| count > 0), "a header");
        }
        drop(raw.input.split_to(8));
        (raw, server)
    }

    fn write(&mut self, channel: u16, performative: &impl Encode) {
        write_frame(channel, Some(performative), EncodeStyle::Compact, &mut self.output);
    }

    async fn send(&mut self) {
        let octets = self.output.split();
        self.io.write_all(&octets).await.expect("written");
    }

    /// The next performative; `None` when the server has gone.
    async fn next(&mut self) -> Option<Performative> {
        let mut decoder = FrameDecoder::new(u32::MAX, Limits::default());
        loop {
            match decoder.decode(&mut self.input).expect("frames") {
                Some(Frame::Amqp { performative: Some(performative), .. }) => return Some(performative),
                Some(_) => {}
                None if soon(self.io.read_buf(&mut self.input)).await.is_ok_and(|count| count > 0) => {}
                None => return None,
            }
        }
    }
}

fn begin() -> Begin {
    Begin { incoming_window: 10, outgoing_window: 10, ..Begin::default() }
}

/// Attaches a link for each round, both ways, and has the server do this with it, and the client that.
async fn rounds(
    pair: &mut Pair,
    serve: impl AsyncFn(&mut ServerConnection) -> Option<AcceptedLink>,
    leave: impl AsyncFn(Result<AcceptedLink, Error>),
) {
    let session = pair.session().await;
    for round in 0..ROUNDS {
        let client = async {
            if round % 2 == 0 {
                session.sender("q").attach().await.map(AcceptedLink::Sender)
            } else {
                session.receiver("q").attach().await.map(AcceptedLink::Receiver)
            }
        };
        let (near, far) = soon(async { tokio::join!(client, serve(&mut pair.server)) }).await;
        soon(leave(near)).await;
        settle().await;
        drop(far);
        settle().await;
    }
    assert_eq!(Held::by(&pair.client), Held { links: 0, sessions: 1 });
    assert_eq!(Held::by(pair.server.connection()), Held { links: 0, sessions: 1 });
}

async fn close(link: AcceptedLink) {
    match link {
        AcceptedLink::Sender(sender) => sender.close().await,
        AcceptedLink::Receiver(receiver) => receiver.close().await,
    }
    .expect("closed in peace");
}

async fn accept(server: &mut ServerConnection) -> Option<AcceptedLink> {
    Some(server.next_link().await.expect("a link").accept_default().expect("accepted"))
}

#[tokio::test]
async fn links_that_are_attached_and_closed_leave_nothing_behind() {
    let mut pair = pair().await;
    rounds(&mut pair, accept, async |link| close(link.expect("attached")).await).await;
}

#[tokio::test]
async fn links_that_are_attached_and_dropped_leave_nothing_behind() {
    let mut pair = pair().await;
    rounds(&mut pair, accept, async |link| drop(link.expect("attached"))).await;
}

#[tokio::test]
async fn links_that_are_refused_leave_nothing_behind() {
    let mut pair = pair().await;
    let refuse = async |server: &mut ServerConnection| {
        server.next_link().await.expect("a link").reject(ErrorCondition::NOT_FOUND);
        None
    };
    let refused = async |link: Result<AcceptedLink, Error>| {
        assert_eq!(link.expect_err("refused").condition(), Some(&ErrorCondition::NOT_FOUND));
    };
    rounds(&mut pair, refuse, refused).await;
}

#[tokio::test]
async fn links_that_are_neither_accepted_nor_refused_are_refused_and_leave_nothing_behind() {
    let mut pair = pair().await;
    let look = async |server: &mut ServerConnection| {
        drop(server.next_link().await.expect("a link"));
        None
    };
    let refused = async |link: Result<AcceptedLink, Error>| {
        assert_eq!(link.expect_err("refused").condition(), Some(&ErrorCondition::NOT_ALLOWED));
    };
    rounds(&mut pair, look, refused).await;
}

#[tokio::test]
async fn links_that_nobody_has_looked_at_leave_nothing_behind_when_they_go() {
    let (mut raw, mut server) = Raw::connect(u16::MAX).await;
    raw.write(0, &begin());
    let attach = |name: &str| Attach {
        name: name.into(),
        role: Role::Sender,
        source: Some(Box::default()),
        target: Some(Target::at("q").into()),
        initial_delivery_count: Some(SequenceNo(0)),
        ..Attach::default()
    };
    for round in 0..ROUNDS {
        raw.write(0, &attach(&format!("{round}")));
        raw.write(0, &Detach { closed: true, ..Detach::default() });
    }
    raw.send().await;
    let mut detached = 0;
    while detached < ROUNDS {
        detached += usize::from(matches!(raw.next().await, Some(Performative::Detach(_))));
    }
    assert_eq!(Held::by(server.connection()), Held { links: 0, sessions: 1 });
    // None of them is offered any more: the next is a new one.
    raw.write(0, &attach("new"));
    raw.send().await;
    assert_eq!(soon(server.next_link()).await.expect("a link").attach().name.as_str(), "new");
}

#[tokio::test]
async fn links_that_nobody_looks_at_any_more_are_refused_and_leave_nothing_behind() {
    let Pair { client, server } = pair().await;
    let session = client.begin().await.expect("a session");
    let connection = server.connection().clone();
    let mut early = Box::pin(session.sender("q").attach());
    assert!(nudge(early.as_mut()).await, "nobody answers");
    drop(server);
    assert_eq!(soon(early).await.expect_err("refused").condition(), Some(&ErrorCondition::NOT_ALLOWED));
    for _ in 0..ROUNDS {
        let error = soon(session.sender("q").attach()).await.expect_err("refused");
        assert_eq!((error.kind(), error.condition()), (ErrorKind::LinkRefused, Some(&ErrorCondition::NOT_ALLOWED)));
    }
    settle().await;
    assert_eq!(Held::by(&connection), Held { links: 0, sessions: 1 });
    assert_eq!(Held::by(&client), Held { links: 0, sessions: 1 });
}

#[tokio::test]
async fn sessions_that_come_and_go_leave_nothing_behind() {
    let pair = pair().await;
    for round in 0..ROUNDS {
        let session = pair.session().await;
        if round % 2 == 0 {
            soon(session.end()).await.expect("ended");
        }
        drop(session);
        settle().await;
    }
    let nothing = || Held { links: 0, sessions: 0 };
    assert_eq!((Held::by(&pair.client), Held::by(pair.server.connection())), (nothing(), nothing()));
    for _ in 0..ROUNDS {
        let mut beginning = Box::pin(pair.client.begin());
        let _ = std::future::poll_fn(|cx| Poll::Ready(beginning.as_mut().poll(cx))).await;
        drop(beginning);
        settle().await;
    }
    assert_eq!((Held::by(&pair.client), Held::by(pair.server.connection())), (nothing(), nothing()));
}

#[tokio::test]
async fn sessions_with_links_that_were_looked_at_do_not_pile_up() {
    let mut pair = pair().await;
    for _ in 0..ROUNDS {
        // The session ends with its link.
        let (sender, receiver) = pair.client_sends(Credit::Window(1)).await;
        drop(sender);
        settle().await;
        drop(receiver);
        settle().await;
        // The last one is held until the next link is looked at.
        let held = Held::by(pair.server.connection());
        assert!(held.links == 0 && held.sessions <= 1, "{held:?}");
    }
    assert_eq!(Held::by(&pair.client), Held { links: 0, sessions: 0 });
}

#[tokio::test]
async fn those_who_wait_for_credit_and_go_leave_nothing_behind() {
    let mut pair = pair().await;
    for _ in 0..ROUNDS {
        let (sender, receiver) = pair.client_sends(Credit::Manual(0)).await;
        {
            let mut reserving = pin!(sender.reserve());
            assert!(nudge(reserving.as_mut()).await, "there is no credit");
        }
        drop((sender, receiver));
        settle().await;
    }
    let debug = format!("{:?}", pair.client);
    assert!(debug.contains("starved: 0,"), "{debug}");
}

#[tokio::test]
async fn receipts_that_are_dropped_or_given_up_leave_nothing_behind() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
    for round in 0..20 * u32::try_from(ROUNDS).expect("small") {
        drop(sender.reserve().await.expect("credit").send(body(round)).expect("queued"));
        soon(receiver.recv()).await.expect("a link").expect("a delivery").accept().expect("settled");
    }
    settle().await;
    let debug = format!("{:?}", pair.client);
    assert!(debug.len() < 20_000, "{} characters", debug.len());
}

#[tokio::test]
async fn a_receiver_that_is_dropped_gets_no_more_and_holds_its_link_for_what_it_gave_out() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
    let receipt = sender.reserve().await.expect("credit").send("x").expect("queued");
    let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
    let (message, handle) = delivery.into_parts();
    drop((receiver, message));
    settle().await;
    assert_eq!(sender.credit(), 0, "nobody takes any more");
    assert_eq!(Held::by(pair.server.connection()).links, 1);
    handle.accept().expect("the link lives");
    assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Accepted);
    soon(sender.detached()).await;
    assert_eq!(Held::by(pair.server.connection()).links, 0);
}

// Channels.

#[tokio::test(start_paused = true)]
async fn a_begin_without_a_free_channel_is_answered_at_once_and_one_is_free_when_a_session_ends() {
    let acceptor = Acceptor::builder().config(|config| config.channel_max = 1).build();
    let pair = pair_with(|builder| builder, &acceptor).await;
    let sessions = [pair.session().await, pair.session().await];
    let start = tokio::time::Instant::now();
    let error = pair.client.begin().await.expect_err("both channels are in use");
    assert_eq!((error.kind(), start.elapsed()), (ErrorKind::Config, Duration::ZERO));
    assert_eq!(Held::by(&pair.client).sessions, 2);
    assert!(error.to_string().contains("both ends allow") && error.to_string().contains("channel_max"), "{error}");
    // The peer has seen nothing of it, and the connection goes on.
    assert!(tokio::time::timeout(Duration::from_secs(600), pair.client.closed()).await.is_err());
    assert!(!pair.client.is_closed() && pair.client.closed_error().is_none());
    let [first, second] = sessions;
    first.end().await.expect("ended");
    pair.session().await.end().await.expect("the channel is free again");
    second.end().await.expect("ended");
}

/// A client that says that it takes no channel but the first, and begins on another one all the same.
#[tokio::test(start_paused = true)]
async fn a_begin_that_there_is_no_channel_to_answer_on_ends_the_connection_with_the_reason() {
    let (mut raw, server) = Raw::connect(0).await;
    raw.write(0, &begin());
    raw.write(1, &begin());
    raw.send().await;
    let closed = soon(server.connection().closed()).await;
    assert_eq!(closed, ConnectionError::LocallyClosed);
    let reason = loop {
        if let Performative::Close(close) = raw.next().await.expect("a close") {
            break close.error;
        }
    };
    assert_eq!(reason.map(|error| error.condition), Some(ErrorCondition::RESOURCE_LIMIT_EXCEEDED));
}

// Time. The clock is virtual and jumps when nothing else is left to do.

/// An empty frame (§2.4.5).
const HEARTBEAT: [u8; 8] = [0, 0, 0, 8, 2, 0, 0, 0];

#[tokio::test(start_paused = true)]
async fn heartbeats_after_our_close_do_not_put_off_its_time_out() {
    for close_timeout in [2, 5] {
        let (near, far) = tokio::io::duplex(4096);
        let peer = tokio::spawn(async move {
            let mut far = far;
            support::handshake_only(&mut far).await;
            let (mut read, mut write) = tokio::io::split(far);
            let reading = tokio::spawn(async move { while read.read_u8().await.is_ok() {} });
            while write.write_all(&HEARTBEAT).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            reading.abort();
        });
        let connecting = Client::builder("amqp://server.test")
            .config(|config| config.close_timeout = Duration::from_secs(close_timeout))
            .connect_with(near);
        let connection = connecting.await.expect("a connection");
        tokio::time::sleep(Duration::from_secs(3)).await;
        let start = tokio::time::Instant::now();
        let closed = connection.close().await;
        let took = start.elapsed();
        assert_eq!(closed.expect_err("no answer").kind(), ErrorKind::Timeout);
        assert!(took >= Duration::from_secs(close_timeout) && took.as_secs() <= close_timeout, "{took:?}");
        assert_eq!(connection.closed().await, ConnectionError::LocallyClosed);
        // The transport is given up as well, in the end.
        soon(peer).await.expect("no panic");
    }
}
