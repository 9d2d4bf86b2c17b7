//! Connections that do not come about: the errors name the host, the port and the stage, and say what to do.
#![cfg(all(feature = "tls", any(feature = "ring", feature = "aws-lc-rs")))]

use crate::support::{self, certificates::Authority, soon};
use amqp1::{
    Acceptor, Client, Connection, Error, ErrorKind, Retry, Symbol,
    codec::{
        frame::{Frame, FrameDecoder, ProtocolHeader},
        performative::Performative,
        sasl::{SaslBody, SaslCode},
    },
    error::ErrorCondition,
    tls::{TlsClient, TlsServer},
};
use bytes::BytesMut;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
};

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn tls_server() -> TlsServer {
    let issued = Authority::new().issue("localhost");
    TlsServer::from_pem(issued.chain.as_bytes(), issued.key.as_bytes()).expect("a certificate")
}

fn trusting() -> TlsClient {
    TlsClient::with_ca_pem(Authority::new().pem.as_bytes()).expect("a CA")
}

/// What both ends have to say when a client of this URL meets this acceptor.
async fn both_fail(scheme: &str, acceptor: &Acceptor) -> (Error, Error) {
    let (listener, address) = listen().await;
    let mut client = Client::builder(format!("{scheme}://localhost:{}", address.port()));
    if scheme == "amqps" {
        client = client.tls(trusting());
    }
    let (client, server) = soon(async {
        tokio::join!(client.connect(), async {
            let (stream, _) = listener.accept().await.expect("a client");
            acceptor.accept(stream).await
        })
    })
    .await;
    (client.expect_err("no connection"), server.expect_err("no connection"))
}

/// What a client says to a server that answers anything with these octets, and closes.
async fn answered_with(scheme: &str, octets: &'static [u8]) -> Error {
    let (listener, address) = listen().await;
    let mut client = Client::builder(format!("{scheme}://127.0.0.1:{}", address.port()));
    if scheme == "amqps" {
        client = client.tls(trusting());
    }
    let (client, ()) = soon(async {
        tokio::join!(client.connect(), async {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut heard = [0; 8];
            stream.read_exact(&mut heard).await.expect("a beginning");
            stream.write_all(octets).await.expect("written");
            stream.shutdown().await.expect("shut");
            // To leave with octets unread would be a reset.
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        })
    })
    .await;
    client.expect_err("no connection")
}

/// What an acceptor says to a client that begins with these octets.
async fn begun_with(acceptor: &Acceptor, octets: &'static [u8]) -> Error {
    let (mut near, far) = duplex(4096);
    let (accepted, ()) = soon(async {
        tokio::join!(acceptor.accept(support::checked::Checked::new(far)), async {
            near.write_all(octets).await.expect("written");
            let mut rest = Vec::new();
            let _ = near.read_to_end(&mut rest).await;
        })
    })
    .await;
    accepted.expect_err("no connection")
}

#[tokio::test]
async fn plain_tcp_to_a_port_of_tls_is_told_to_use_amqps() {
    let acceptor = Acceptor::builder().tls(tls_server()).build();
    let (client, server) = both_fail("amqp", &acceptor).await;
    let text = client.to_string();
    assert!(text.starts_with("cannot connect to localhost:") && text.contains("use amqps://"), "{text}");
    assert!(text.contains("this port speaks TLS"), "{text}");
    assert_eq!(client.retry(), Retry::Never);
    let text = server.to_string();
    assert!(text.ends_with("(TLS): the client speaks AMQP without TLS: let it use amqps://"), "{text}");
}

#[tokio::test]
async fn tls_to_a_plain_port_is_told_to_use_amqp() {
    let (client, server) = both_fail("amqps", &Acceptor::builder().build()).await;
    assert_eq!(client.kind(), ErrorKind::Tls);
    let text = client.to_string();
    assert!(text.ends_with("(TLS): this port speaks AMQP without TLS: use amqp://"), "{text}");
    assert!(text.starts_with("cannot connect to localhost:"), "{text}");
    let text = server.to_string();
    assert!(text.ends_with("the client speaks TLS, and this port does not: let it use amqp://"), "{text}");
    assert!(
        text.starts_with("the handshake with 127.0.0.1:") || text.starts_with("the handshake with [::1]:"),
        "{text}"
    );
}

#[tokio::test]
async fn what_else_speaks_on_a_port_is_told() {
    const HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    const AMQP_0_9_1: &[u8] = b"AMQP\0\0\x09\x01";
    for (scheme, octets, text) in [
        ("amqp", HTTP, "this port speaks HTTP, not AMQP"),
        ("amqps", HTTP, "this port speaks HTTP, not TLS"),
        ("amqp", AMQP_0_9_1, "this port speaks AMQP 0-9-1, not AMQP 1.0"),
        ("amqps", AMQP_0_9_1, "this port speaks AMQP 0-9-1 without TLS"),
        ("amqp", b"\x15\x03\x01\0\x02\x02\x16", "this port speaks TLS: use amqps://"),
        ("amqp", b"", "it said nothing: if this port speaks TLS, use amqps://"),
    ] {
        let error = answered_with(scheme, octets).await;
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[tokio::test]
async fn an_acceptor_says_what_its_client_speaks() {
    let plain = Acceptor::builder().build();
    let tls = Acceptor::builder().tls(tls_server()).build();
    let header = Acceptor::builder().tls_by_header(tls_server()).build();
    for (acceptor, octets, text) in [
        (&plain, &b"GET / HTTP/1.1\r\n\r\n"[..], "the client speaks HTTP, not AMQP"),
        (&plain, b"AMQP\0\0\x09\x01", "the client speaks AMQP 0-9-1, not AMQP 1.0"),
        (&plain, b"\x16\x03\x01\0\xf4\x01\0\0\xf0", "the client speaks TLS, and this port does not"),
        (&tls, b"GET / HTTP/1.1\r\n\r\n", "the client speaks HTTP, not TLS"),
        (&tls, b"AMQP\0\0\x09\x01", "the client speaks AMQP 0-9-1 without TLS"),
        (&header, b"POST / HTTP/1.1\r\n\r\n", "the client speaks HTTP, not TLS"),
        (&header, b"AMQP\x03\x01\0\0", "the client speaks AMQP without TLS"),
    ] {
        let error = begun_with(acceptor, octets).await;
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_wants_sasl_says_so_to_a_client_without() {
    let acceptor = Acceptor::builder().allow_no_sasl(false).build();
    let (near, far) = duplex(4096);
    let connecting =
        Client::builder("amqp://broker.test:5673").no_sasl().connect_with(support::checked::Checked::new(near));
    let (client, server) =
        soon(async { tokio::join!(connecting, acceptor.accept(support::checked::Checked::new(far))) }).await;
    let text = client.expect_err("no SASL").to_string();
    assert!(text.starts_with("cannot connect to broker.test:5673"), "{text}");
    assert!(text.ends_with("the server requires SASL, which this client leaves out"), "{text}");
    let text = server.expect_err("no SASL").to_string();
    assert!(text.ends_with("the client leaves SASL out, which is required here"), "{text}");
}

#[tokio::test]
async fn a_refused_password_is_told_with_host_port_and_stage_and_never_repeated() {
    let mechanisms = [Symbol::from_static("PLAIN")];
    struct Nobody;
    impl amqp1::acceptor::Authenticator for Nobody {
        fn authenticate(
            &self,
            _: amqp1::acceptor::SaslAttempt,
        ) -> amqp1::acceptor::BoxFuture<'_, amqp1::acceptor::SaslDecision> {
            Box::pin(async { amqp1::acceptor::SaslDecision::Refuse(SaslCode::Auth) })
        }
    }
    let acceptor = Acceptor::builder().mechanisms(mechanisms).authenticator(Nobody).build();
    let (near, far) = duplex(4096);
    let connecting =
        Client::builder("amqp://user:geheim@[::1]:5673").connect_with(support::checked::Checked::new(near));
    let (client, _) =
        soon(async { tokio::join!(connecting, acceptor.accept(support::checked::Checked::new(far))) }).await;
    let error = client.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Authentication);
    let text = format!("{error} {error:?}");
    assert!(text.starts_with("cannot connect to [::1]:5673 (SASL): authentication failed"), "{text}");
    assert!(!text.contains("geheim"), "{text}");
}

#[tokio::test]
async fn a_name_without_an_address_and_a_port_without_a_listener_are_told_with_their_stage() {
    let error = Client::builder("amqp://nobody.invalid").connect().await.expect_err("no such name");
    assert_eq!(error.kind(), ErrorKind::Resolve);
    assert!(error.to_string().starts_with("cannot connect to nobody.invalid:5672 (resolve): "), "{error}");
    let (listener, address) = listen().await;
    drop(listener);
    let error = Client::builder(format!("amqp://{address}")).connect().await.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(error.to_string(), format!("cannot connect to {address} (TCP): nothing listens on {address}"));
}

/// The stage at which a client gives a server up that says this much.
async fn late_after(
    scheme: &str,
    change: impl FnOnce(amqp1::ClientBuilder) -> amqp1::ClientBuilder,
    said: &[u8],
) -> Error {
    let (listener, address) = listen().await;
    let mut client = Client::builder(format!("{scheme}://127.0.0.1:{}", address.port()));
    if scheme == "amqps" {
        client = client.tls(trusting());
    }
    let client = change(client.connect_timeout(Duration::from_millis(50)));
    let accepting = async {
        let (mut stream, _) = listener.accept().await.expect("a client");
        stream.write_all(said).await.expect("written");
        stream
    };
    let (client, _stream) = soon(async { tokio::join!(client.connect(), accepting) }).await;
    let error = client.expect_err("it takes too long");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, Retry::ReopenConnection));
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot connect to {address} (")), "{text}");
    assert!(text.ends_with("): no answer within 50ms"), "{text}");
    error
}

#[tokio::test]
async fn a_time_out_names_the_stage() {
    assert!(late_after("amqps", |builder| builder, b"").await.to_string().contains("(TLS)"));
    assert!(late_after("amqp", |builder| builder, b"").await.to_string().contains("(SASL)"));
    assert!(late_after("amqp", |builder| builder, b"AMQP\x03\x01\0\0").await.to_string().contains("(SASL)"));
    let none = |builder: amqp1::ClientBuilder| builder.no_sasl();
    assert!(late_after("amqp", none, b"").await.to_string().contains("(open)"));
    assert!(late_after("amqp", none, b"AMQP\0\x01\0\0").await.to_string().contains("(open)"));
}

/// All that an acceptor says to a client that stops after these octets, and its error.
async fn stopped_after(acceptor: &Acceptor, octets: &[u8]) -> (Vec<u8>, Error) {
    let (mut near, far) = duplex(4096);
    near.write_all(octets).await.expect("written");
    let accepting = acceptor.accept(support::checked::Checked::new(far));
    let (accepted, said) = soon(async {
        tokio::join!(accepting, async {
            let mut said = Vec::new();
            near.read_to_end(&mut said).await.expect("its end");
            said
        })
    })
    .await;
    (said, accepted.expect_err("it takes too long"))
}

fn frames(octets: &[u8], sasl: bool) -> Vec<Frame> {
    let limits = amqp1::codec::Limits::DEFAULT;
    let mut decoder = if sasl { FrameDecoder::sasl(4096, limits) } else { FrameDecoder::new(4096, limits) };
    let mut input = BytesMut::from(octets);
    std::iter::from_fn(|| decoder.decode(&mut input).expect("frames")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_in_sasl_gets_an_outcome() {
    let acceptor = Acceptor::builder().build();
    let (said, error) = stopped_after(&acceptor, &ProtocolHeader::SASL.encode()).await;
    assert_eq!(error.to_string(), "the handshake with a client failed (SASL): no answer within 30s");
    let frames = frames(said.strip_prefix(&ProtocolHeader::SASL.encode()).expect("a header"), true);
    let [_, Frame::Sasl(SaslBody::Outcome(outcome))] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(outcome.code, SaslCode::SysTemp);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_open_gets_a_close_with_a_condition() {
    let acceptor = Acceptor::builder().build();
    let (said, error) = stopped_after(&acceptor, &ProtocolHeader::AMQP.encode()).await;
    assert_eq!(error.to_string(), "the handshake with a client failed (open): no answer within 30s");
    let frames = frames(said.strip_prefix(&ProtocolHeader::AMQP.encode()).expect("a header"), false);
    let [_, Frame::Amqp { performative: Some(Performative::Close(close)), .. }] = &frames[..] else {
        panic!("{frames:?}")
    };
    let condition = close.error.as_ref().map(|error| &error.condition);
    assert_eq!(condition, Some(&ErrorCondition::RESOURCE_LIMIT_EXCEEDED));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_open_gets_a_close_with_a_condition() {
    let (near, mut far): (DuplexStream, DuplexStream) = duplex(4096);
    let connecting = Client::builder("amqp://broker.test").no_sasl().connect_with(support::checked::Checked::new(near));
    let (client, said) = soon(async {
        tokio::join!(connecting, async {
            let mut said = Vec::new();
            far.read_to_end(&mut said).await.expect("its end");
            said
        })
    })
    .await;
    let error = client.expect_err("it takes too long");
    assert_eq!(error.to_string(), "cannot connect to broker.test:5672 (open): no answer within 30s");
    let frames = frames(said.strip_prefix(&ProtocolHeader::AMQP.encode()).expect("a header"), false);
    let [_, Frame::Amqp { performative: Some(Performative::Close(close)), .. }] = &frames[..] else {
        panic!("{frames:?}")
    };
    assert!(close.error.is_some());
}

/// A host whose first address does not answer: a real resolver gives `localhost` on most machines both families, and
/// the listener has one of them.
#[tokio::test]
async fn a_listener_of_one_family_is_found_behind_a_name_of_both() {
    let (listener, address) = listen().await;
    let connecting = Client::builder(format!("amqp://localhost:{}", address.port())).connect();
    let acceptor = Acceptor::builder().build();
    let (client, server) = soon(async {
        tokio::join!(connecting, async {
            let (stream, _): (TcpStream, _) = listener.accept().await.expect("a client");
            acceptor.accept(stream).await?.accept().await
        })
    })
    .await;
    let _: Connection = client.expect("a connection");
    server.expect("a connection");
}
