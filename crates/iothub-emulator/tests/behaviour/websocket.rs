//! AMQP over WebSockets.

use crate::support::https::*;
use crate::support::*;
use amqp1::{Client, Connection, Message, error::ConnectionError};
use base64::Engine as _;
use futures_core::Stream;
use futures_sink::Sink;
use iothub_emulator::Emulator;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_websockets::{ClientBuilder, Message as Frame, WebSocketStream};

type Socket = WebSocketStream<TlsStream<TcpStream>>;

fn handshake(path: &str, protocol: &str) -> Request {
    bare("GET", path)
        .header("Connection", "keep-alive, Upgrade")
        .header("Upgrade", "WebSocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Protocol", protocol)
}

async fn open(hub: &Emulator, path: &str, protocol: &str) -> Socket {
    open_by(Https::new(hub), path, protocol).await
}

async fn open_by(client: Https, path: &str, protocol: &str) -> Socket {
    let mut stream = client.connect().await;
    let response = exchange(&mut stream, &handshake(path, protocol)).await;
    assert_eq!(response.status, 101, "{response:?}");
    // The example of RFC 6455.
    assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(response.header("sec-websocket-protocol"), Some(protocol));
    ClientBuilder::new().take_over(stream)
}

/// A client's end, which sends each write as messages of a few octets.
struct Octets {
    socket: Socket,
    unread: Vec<u8>,
    message: usize,
}

impl AsyncRead for Octets {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match std::task::ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(frame)) if frame.is_binary() => self.unread = frame.into_payload().to_vec(),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        let length = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread.drain(..length).collect::<Vec<_>>());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Octets {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(io::Error::other)?;
        let octets = &octets[..octets.len().min(self.message)];
        Pin::new(&mut self.socket).start_send(Frame::binary(octets.to_vec())).map_err(io::Error::other)?;
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(io::Error::other)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx).map_err(io::Error::other)
    }
}

async fn amqp(socket: Socket, message: usize) -> Connection {
    let stream = Octets { socket, unread: Vec::new(), message };
    Client::builder("amqps://localhost").connect_with(stream).await.unwrap()
}

/// E-ws-1: with either sub-protocol, and whatever the boundaries of the messages.
#[tokio::test]
async fn a_device_and_a_service_meet_over_websockets_of_both_paths_and_sub_protocols() {
    let (hub, _) = hub().await;
    let socket = open(&hub, "/$iothub/websocket", "AMQPWSB10").await;
    let mut device = Cbs::on(&amqp(socket, 7).await).await;
    device.put(device_token("a")).await.outcome().unwrap();
    let mut messages = device.session.receiver(devicebound("a")).attach().await.unwrap();

    let socket = open(&hub, "/$SERVICEBUS/WebSocket/?iothub-no-client-cert=true", "amqp").await;
    let mut service = Cbs::on(&amqp(socket, usize::MAX).await).await;
    service.put(service_token()).await.outcome().unwrap();
    let sender = service.session.sender("/messages/devicebound").attach().await.unwrap();
    let big = "x".repeat(60_000);
    sender.send(c2d("a", "one").data(big.clone())).await.unwrap().into_result().unwrap();
    let delivery = next(&mut messages).await;
    assert_eq!(body(&delivery), format!("one{big}"));
    delivery.accept().unwrap();

    let telemetry = device.session.sender(events("a")).attach().await.unwrap();
    telemetry.send(Message::builder().data("warm")).await.unwrap().into_result().unwrap();
}

#[tokio::test]
async fn stopping_closes_what_is_over_websockets_and_says_why() {
    let (hub, _) = hub().await;
    let connection = amqp(open(&hub, "/$iothub/websocket", "AMQPWSB10").await, usize::MAX).await;
    hub.shutdown().await;
    match connection.closed().await {
        ConnectionError::ClosedByPeer(Some(error)) => assert_eq!(error.condition.as_str(), "amqp:connection:forced"),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_ping_is_answered_and_a_close_is_too() {
    let (hub, _) = hub().await;
    let mut socket = open(&hub, "/$iothub/websocket", "AMQPWSB10").await;
    send(&mut socket, Frame::ping("alive")).await;
    let pong = receive(&mut socket).await.unwrap().unwrap();
    assert!(pong.is_pong() && &**pong.as_payload() == b"alive");
    send(&mut socket, Frame::close(None, "")).await;
    assert!(receive(&mut socket).await.is_none_or(|end| end.is_ok_and(|frame| frame.is_close())));
}

/// E-ws-1: messages are binary.
#[tokio::test]
async fn text_and_messages_that_are_too_large_end_the_connection() {
    let (hub, _) = hub().await;
    for frame in [Frame::text("AMQP"), Frame::binary(vec![0; 1024 * 1024 + 1])] {
        let mut socket = open(&hub, "/$iothub/websocket", "AMQPWSB10").await;
        send(&mut socket, frame).await;
        while let Some(Ok(_)) = receive(&mut socket).await {}
    }
}

#[tokio::test]
async fn octets_that_are_no_websocket_end_the_connection() {
    let (hub, _) = hub().await;
    let mut stream = Https::new(&hub).connect().await;
    exchange(&mut stream, &handshake("/$iothub/websocket", "AMQPWSB10")).await;
    stream.write_all(&[0xFF; 64]).await.unwrap();
    let mut rest = Vec::new();
    // Whether TLS is closed in order does not matter here.
    let ended = stream.read_to_end(&mut rest).await;
    assert!(ended.is_ok() || ended.is_err_and(|error| error.kind() != io::ErrorKind::TimedOut));
}

#[tokio::test]
async fn a_handshake_that_is_wrong_is_refused_with_a_reason() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let key = base64::engine::general_purpose::STANDARD.encode([1; 8]);
    for (request, why) in [
        (bare("GET", "/$iothub/websocket"), "WebSockets only"),
        (handshake("/$iothub/websocket", "mqtt"), "sub-protocol"),
        (
            bare("GET", "/$iothub/websocket")
                .header("Connection", "Upgrade")
                .header("Upgrade", "websocket")
                .header("Sec-WebSocket-Version", "13")
                .header("Sec-WebSocket-Key", key),
            "Sec-WebSocket-Key",
        ),
        (
            bare("GET", "/$iothub/websocket")
                .header("Connection", "Upgrade")
                .header("Upgrade", "websocket")
                .header("Sec-WebSocket-Version", "8"),
            "version 13",
        ),
    ] {
        let text = https.send(request).await.refusal(400, "InvalidOperation");
        assert!(text.contains(why), "{text}");
    }
}

async fn send(socket: &mut Socket, frame: Frame) {
    std::future::poll_fn(|cx| Pin::new(&mut *socket).poll_ready(cx)).await.unwrap();
    Pin::new(&mut *socket).start_send(frame).unwrap();
    // The server may have ended the connection before it has read everything.
    let _ = std::future::poll_fn(|cx| Pin::new(&mut *socket).poll_flush(cx)).await;
}

async fn receive(socket: &mut Socket) -> Option<Result<Frame, tokio_websockets::Error>> {
    std::future::poll_fn(|cx| Pin::new(&mut *socket).poll_next(cx)).await
}

#[tokio::test]
async fn a_certificate_that_was_shown_counts_over_websockets_unless_those_of_authorities_are_refused() {
    for refuses in [false, true] {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let authority = parameters.self_signed(&key).unwrap().pem();
        let issuer = rcgen::Issuer::new(parameters, key);
        let mut parameters = rcgen::CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "dev1");
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &issuer).unwrap();
        let device = "dev1=x509:ca".parse::<iothub_emulator::hub::DeviceSpec>().unwrap();
        let builder = Emulator::builder().device_spec(device).device_ca_pem(authority);
        let hub = builder.settings(|settings| settings.https.websocket_refuses_ca = refuses).start().await.unwrap();
        let client = Https::with_certificate(&hub, &certificate.pem(), &key.serialize_pem());
        // Java's SDK writes this also where it has a certificate.
        let path = "/$iothub/websocket?iothub-no-client-cert=true";
        let session = amqp(open_by(client, path, "AMQPWSB10").await, usize::MAX).await.begin().await.unwrap();
        let attached = session.sender(events("dev1")).attach().await;
        match attached {
            Ok(_) => assert!(!refuses),
            Err(error) => assert!(refuses && error.to_string().contains("not taken over WebSockets"), "{error}"),
        }
    }
}
