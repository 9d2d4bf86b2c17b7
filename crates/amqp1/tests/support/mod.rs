//! Two ends of a connection, over memory.
#![allow(dead_code, reason = "each test uses a part")]

#[cfg(feature = "tls")]
pub(crate) mod certificates;
pub(crate) mod checked;
pub(crate) mod gate;
pub(crate) mod warnings;

use amqp1::{
    AcceptedLink, Acceptor, Client, ClientBuilder, Connection, Credit, IncomingLink, Receiver, Sender,
    ServerConnection, Session,
    acceptor::{CoordinatorRequest, ReceiverRequest, SenderRequest},
};
use bytes::Bytes;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

/// Longer than anything here takes on the slowest machine; what hangs ends here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// A client and the server's view of it, connected.
pub(crate) struct Pair {
    pub(crate) client: Connection,
    pub(crate) server: ServerConnection,
}

pub(crate) async fn pair() -> Pair {
    pair_with(|builder| builder, &Acceptor::builder().build()).await
}

pub(crate) async fn pair_with(change: impl FnOnce(ClientBuilder) -> ClientBuilder, acceptor: &Acceptor) -> Pair {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let (client, server) = tokio::join!(client(near, change), accept(acceptor, far));
    Pair { client, server }
}

/// A pair, and the gate at the client's end of the transport.
pub(crate) async fn gated_pair() -> (Pair, gate::Gate) {
    gated_pair_with(|builder| builder).await
}

pub(crate) async fn gated_pair_with(change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> (Pair, gate::Gate) {
    warnings::install();
    let (near, far) = tokio::io::duplex(16 * 1024);
    let gate = gate::Gate::default();
    let connecting =
        change(Client::builder("amqp://server.test")).connect_with(checked::Checked::new(gate.around(near)));
    let acceptor = Acceptor::builder().build();
    let (client, server) = tokio::join!(connecting, accept(&acceptor, far));
    (Pair { client: client.expect("a connection"), server }, gate)
}

pub(crate) async fn client(io: DuplexStream, change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Connection {
    warnings::install();
    change(Client::builder("amqp://server.test")).connect_with(checked::Checked::new(io)).await.expect("a connection")
}

pub(crate) async fn accept<IO>(acceptor: &Acceptor, io: IO) -> ServerConnection
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    warnings::install();
    let incoming = acceptor.accept(checked::Checked::new(io)).await.expect("a handshake");
    incoming.accept().await.expect("an open connection")
}

impl Pair {
    pub(crate) async fn session(&self) -> Session {
        self.client.begin().await.expect("a session")
    }

    /// The next link that the client asks for.
    pub(crate) async fn offered(&mut self) -> IncomingLink {
        self.server.next_link().await.expect("a link")
    }

    /// A link on which the client sends, with this credit.
    pub(crate) async fn client_sends(&mut self, credit: Credit) -> (Sender, Receiver) {
        let session = self.session().await;
        let (sender, receiver) = tokio::join!(session.sender("q").attach(), async {
            let link = self.server.next_link().await.expect("a link");
            receiver_request(link).credit(credit).accept().expect("accepted")
        });
        (sender.expect("a sender"), receiver)
    }

    /// A link on which the client receives, with this credit.
    pub(crate) async fn client_receives(&mut self, credit: Credit) -> (Sender, Receiver) {
        let session = self.session().await;
        let (receiver, sender) = tokio::join!(session.receiver("q").credit(credit).attach(), async {
            self.server.next_link().await.expect("a link").accept_default().expect("accepted")
        });
        let AcceptedLink::Sender(sender) = sender else { panic!("the client receives") };
        (sender, receiver.expect("a receiver"))
    }
}

/// A link on which the client sends.
pub(crate) fn receiver_request(link: IncomingLink) -> ReceiverRequest {
    let IncomingLink::Receiver(request) = link else { panic!("the client does not send: {link:?}") };
    request
}

/// A link on which the client receives.
pub(crate) fn sender_request(link: IncomingLink) -> SenderRequest {
    let IncomingLink::Sender(request) = link else { panic!("the client does not receive: {link:?}") };
    request
}

/// A control link.
pub(crate) fn coordinator_request(link: IncomingLink) -> CoordinatorRequest {
    let IncomingLink::Coordinator(request) = link else { panic!("the client wants no coordinator: {link:?}") };
    request
}

/// The number as a body.
pub(crate) fn body(number: u32) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// What `body` made.
pub(crate) fn number(delivery: &amqp1::Delivery) -> u32 {
    let body = delivery.message().data().expect("a data section");
    u32::from_be_bytes(body[..].try_into().expect("four octets"))
}

/// Fails instead of waiting for ever.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it does not hang")
}

/// A peer that opens the connection and then answers nothing, but reads on.
pub(crate) fn mute(io: DuplexStream) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut io = io;
        serve_without_an_application(&mut io, |_| false).await;
    })
}

/// Opens the connection and does nothing more, not even read.
pub(crate) async fn handshake_only(io: &mut DuplexStream) {
    serve_without_an_application(io, |event| matches!(event, amqp1::engine::Event::Opened)).await;
}

async fn serve_without_an_application(io: &mut DuplexStream, stop: impl Fn(&amqp1::engine::Event) -> bool) {
    use amqp1::engine::{Connection as Engine, ConnectionConfig, Event, Instant, ServerSasl, TransmitQueue};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut config = ConnectionConfig::new("mute");
    config.idle_timeout = None;
    let now = Instant::default();
    let mechanisms = vec![amqp1::Symbol::from_static("ANONYMOUS")];
    let mut engine = Engine::server(config, ServerSasl::Allowed(mechanisms), now);
    let mut input = bytes::BytesMut::new();
    let mut stopped = false;
    while !stopped && io.read_buf(&mut input).await.is_ok_and(|count| count > 0) {
        engine.handle_input(now, &mut input);
        while let Some(event) = engine.poll_event() {
            stopped |= stop(&event);
            if matches!(event, Event::SaslInit { .. }) {
                engine.sasl_outcome(amqp1::codec::sasl::SaslCode::Ok, None);
            }
        }
        let mut output = TransmitQueue::default();
        engine.transmit(now, usize::MAX, &mut output);
        if io.write_all(&output.to_vec()).await.is_err() {
            return;
        }
    }
}
