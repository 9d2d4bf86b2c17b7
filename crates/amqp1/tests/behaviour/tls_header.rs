//! TLS that begins with a protocol header, beside clients that have none.
#![cfg(all(feature = "tls", any(feature = "ring", feature = "aws-lc-rs")))]

use crate::support::{self, body, certificates::Authority, soon};
use amqp1::{
    Acceptor, Client, ClientBuilder, Connection, Credit, Error, ErrorKind,
    tls::{TlsClient, TlsServer},
};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const AMQP: &[u8; 8] = b"AMQP\x00\x01\x00\x00";
const TLS: &[u8; 8] = b"AMQP\x02\x01\x00\x00";
const SASL: &[u8; 8] = b"AMQP\x03\x01\x00\x00";

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn tls(authority: &Authority) -> TlsServer {
    let issued = authority.issue("server.test");
    TlsServer::from_pem(issued.chain.as_bytes(), issued.key.as_bytes()).expect("a certificate")
}

fn client(address: SocketAddr, authority: &Authority) -> ClientBuilder {
    let tls = TlsClient::with_ca_pem(authority.pem.as_bytes()).expect("a CA");
    Client::builder("amqps://server.test").dial("127.0.0.1", address.port()).tls(tls).tls_by_header()
}

fn plain(address: SocketAddr) -> ClientBuilder {
    Client::builder("amqp://server.test").dial("127.0.0.1", address.port())
}

/// One connection between the two, and a message on it. Whether it was over TLS.
async fn meet(builder: ClientBuilder, acceptor: &Acceptor, listener: &TcpListener) -> Result<bool, Error> {
    let (client, server) = soon(async {
        tokio::join!(builder.connect(), async {
            let (stream, _) = listener.accept().await.expect("a client");
            acceptor.accept(support::checked::Checked::new(stream)).await?.accept().await
        })
    })
    .await;
    let mut pair = support::Pair { client: client?, server: server? };
    let secure = pair.client.peer_certificates().is_some();
    let (sender, mut receiver) = pair.client_sends(Credit::Window(5)).await;
    let (sent, ()) = tokio::join!(sender.send(body(1)), async {
        receiver.recv().await.expect("a link").expect("a delivery").accept().expect("settled");
    });
    sent.expect("an outcome").into_result().expect("accepted");
    Ok(secure)
}

#[tokio::test]
async fn s_5_2_1_clients_with_tls_by_its_header_and_without_it_share_a_port() {
    let authority = Authority::new();
    let (listener, address) = listen().await;
    let demanding = Acceptor::builder().tls_by_header(tls(&authority)).build();
    let both = Acceptor::builder().tls_by_header_or_none(tls(&authority)).build();
    for acceptor in [&demanding, &both] {
        assert!(meet(client(address, &authority), acceptor, &listener).await.expect("a connection"));
    }
    assert!(!meet(plain(address), &both, &listener).await.expect("a connection"));
    assert!(!meet(plain(address).no_sasl(), &both, &listener).await.expect("a connection"));
    let error = meet(plain(address), &demanding, &listener).await.expect_err("no TLS");
    assert!(error.to_string().contains("wants TLS by its protocol header"), "{error}");
    // Certificates are verified as ever.
    let error = meet(client(address, &Authority::new()), &demanding, &listener).await.expect_err("not trusted");
    assert_eq!(error.kind(), ErrorKind::Tls);
}

/// Passes on what the client has to say, in pieces of this size, and answers for the server before that has spoken, so
/// that the client's handshake comes together with its header.
async fn hasty_proxy(listener: TcpListener, server: SocketAddr, piece: usize) {
    let (mut near, _) = listener.accept().await.expect("a client");
    let mut far = TcpStream::connect(server).await.expect("the server");
    far.set_nodelay(true).expect("set");
    let mut begin = vec![0; 8];
    near.read_exact(&mut begin).await.expect("a header");
    assert_eq!(begin, TLS);
    near.write_all(TLS).await.expect("written");
    near.read_buf(&mut begin).await.expect("the client's hello");
    assert!(begin.len() > 8);
    for piece in begin.chunks(piece) {
        far.write_all(piece).await.expect("written");
        tokio::task::yield_now().await;
    }
    let mut answer = [0; 8];
    far.read_exact(&mut answer).await.expect("a header");
    assert_eq!(&answer, TLS);
    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
}

#[tokio::test]
async fn s_5_2_1_what_comes_together_with_the_header_is_the_handshakes() {
    let authority = Authority::new();
    let acceptor = Acceptor::builder().tls_by_header(tls(&authority)).build();
    for piece in [1, 3, 7, 8, 9, 100_000] {
        let (listener, address) = listen().await;
        let (front, at) = listen().await;
        let proxy = tokio::spawn(hasty_proxy(front, address, piece));
        assert!(meet(client(at, &authority), &acceptor, &listener).await.expect("a connection"), "{piece}");
        proxy.abort();
    }
}

/// Also T-2.2-9: nothing follows, and least of all a password that can be read on the way.
#[tokio::test]
async fn s_5_2_1_a_client_goes_no_further_with_a_server_that_answers_otherwise() {
    let authority = Authority::new();
    let answers: [(&[u8], &str); 7] = [
        (AMQP, "AMQP without TLS"),
        (SASL, "SASL without TLS"),
        (b"AMQP\x02\x01\x01\x00", "another version"),
        (b"HTTP/1.1", "speaks HTTP"),
        (b"AMQP\x00\x00\x09\x01", "speaks AMQP 0-9-1"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "speaks TLS from the first octet"),
        (b"nonsense and more of it", "no header"),
    ];
    for (answer, text) in answers {
        let (listener, address) = listen().await;
        let (error, octets) = soon(async {
            tokio::join!(client(address, &authority).connect(), async {
                let (mut stream, _) = listener.accept().await.expect("a client");
                stream.write_all(answer).await.expect("written");
                let mut octets = Vec::new();
                let _ = stream.read_to_end(&mut octets).await;
                octets
            })
        })
        .await;
        let error = error.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(octets, TLS);
    }
    // One that goes away before it has answered.
    let (listener, address) = listen().await;
    let (error, ()) = tokio::join!(client(address, &authority).connect(), async {
        drop(listener.accept().await.expect("a client"));
    });
    assert_eq!(error.expect_err("lost").kind(), ErrorKind::TransportLost);
}

/// What a server says to these octets until it ends.
async fn said(acceptor: &Acceptor, octets: &[u8]) -> (Vec<u8>, Error) {
    let (mut near, far) = tokio::io::duplex(4096);
    let (said, error) = soon(async {
        tokio::join!(
            async {
                near.write_all(octets).await.expect("written");
                let mut said = Vec::new();
                near.read_to_end(&mut said).await.expect("the end");
                drop(near);
                said
            },
            async { acceptor.accept(support::checked::Checked::new(far)).await.map(drop).expect_err("refused") }
        )
    })
    .await;
    (said, error)
}

/// Also T-2.2-8.
#[tokio::test]
async fn s_5_2_1_who_must_use_tls_and_does_not_is_told_so_and_served_nothing() {
    let acceptor = Acceptor::builder().tls_by_header(tls(&Authority::new())).build();
    let open = [&AMQP[..], b"\x00\x00\x00\x0d\x02\x00\x00\x00\x00\x53\x10\x45"].concat();
    let others: [&[u8]; 6] = [AMQP, SASL, &open, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03", b"AMQP\x02\x01\x01\x00"];
    for octets in others {
        let (said, error) = said(&acceptor, octets).await;
        assert_eq!((&said[..], error.kind()), (&TLS[..], ErrorKind::Tls), "{}", octets.escape_ascii());
    }
    let (_, error) = said(&acceptor, b"\x16\x03\x01\x00\xc8\x01\x00\x00").await;
    assert!(error.to_string().contains("begun TLS at once"), "{error}");
    // A version of TLS's header that is not known is no reason to go without.
    let both = Acceptor::builder().tls_by_header_or_none(tls(&Authority::new())).build();
    assert_eq!(said(&both, b"AMQP\x02\x01\x01\x00").await.0, TLS);
    let (said, error) = said(&both, b"nonsense").await;
    assert_eq!((&said[..], error.kind()), (&AMQP[..], ErrorKind::Protocol));
}

/// Also T-2.2-11.
#[tokio::test(start_paused = true)]
async fn s_5_2_1_a_header_that_is_never_whole_is_waited_for_as_long_as_a_handshake_may_take() {
    let acceptor =
        Acceptor::builder().tls_by_header(tls(&Authority::new())).handshake_timeout(Duration::from_secs(5)).build();
    let (mut near, far) = tokio::io::duplex(64);
    near.write_all(b"AMQP").await.expect("written");
    let began = tokio::time::Instant::now();
    assert_eq!(
        acceptor.accept(support::checked::Checked::new(far)).await.expect_err("silence").kind(),
        ErrorKind::Timeout
    );
    assert_eq!(began.elapsed().as_secs(), 5);
    let (mut near, far) = tokio::io::duplex(64);
    near.write_all(b"AMQP\x02").await.expect("written");
    drop(near);
    assert_eq!(
        acceptor.accept(support::checked::Checked::new(far)).await.expect_err("the end").kind(),
        ErrorKind::TransportLost
    );
}

#[tokio::test]
async fn tls_by_header_is_never_without_tls() {
    let error = |result: Result<Connection, Error>| result.expect_err("refused").kind();
    let builder = Client::builder("amqp://127.0.0.1:1").tls_by_header();
    assert_eq!(error(builder.connect().await), ErrorKind::Config);
    let (near, _far) = tokio::io::duplex(64);
    let builder = Client::builder("amqps://server.test").tls_by_header();
    assert_eq!(error(builder.connect_with(support::checked::Checked::new(near)).await), ErrorKind::Config);
}
