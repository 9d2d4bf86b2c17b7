//! TCP and TLS on the loopback interface, and everything that can be wrong with a certificate.
#![cfg(all(feature = "tls", any(feature = "ring", feature = "aws-lc-rs")))]

use crate::support::{
    self, body,
    certificates::{Authority, Issued},
    number, soon,
};
use amqp1::{
    AcceptedLink, Acceptor, Client, ClientBuilder, Connection, Credit, Error, ErrorKind, Retry, Symbol,
    acceptor::{Authenticator, SaslAttempt, SaslDecision, ScramHash},
    auth::sasl::{External, Plain, plain, scram::StoredCredential},
    codec::sasl::SaslCode,
    tls::{TlsClient, TlsServer},
};
use bytes::Bytes;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Accepts connections and, on them, links whose messages it sends back on links that receive.
async fn serve(acceptor: Acceptor) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut connection = acceptor.accept(support::checked::Checked::new(stream)).await?.accept().await?;
                while let Some(link) = connection.next_link().await {
                    if let AcceptedLink::Receiver(mut receiver) = link.accept_default()? {
                        tokio::spawn(async move {
                            while let Ok(Some(delivery)) = receiver.recv().await {
                                delivery.accept().expect("settled");
                            }
                        });
                    }
                }
                Ok::<_, Error>(())
            });
        }
    });
    address
}

fn tls_server(issued: &Issued) -> TlsServer {
    TlsServer::from_pem(issued.chain.as_bytes(), issued.key.as_bytes()).expect("a certificate")
}

/// A client of `server.test`, which is at this address.
fn builder(address: SocketAddr, authority: &Authority) -> ClientBuilder {
    let tls = TlsClient::with_ca_pem(authority.pem.as_bytes()).expect("a CA");
    Client::builder("amqps://server.test").dial("127.0.0.1", address.port()).tls(tls)
}

async fn connect(issued: &Issued, authority: &Authority) -> Result<Connection, Error> {
    let address = serve(Acceptor::builder().tls(tls_server(issued)).build()).await;
    soon(builder(address, authority).connect()).await
}

/// Also S-5.2.1-1: nothing is said before the handshake, and both headers within.
#[tokio::test]
async fn s_5_2_4_messages_pass_over_tls() {
    let authority = Authority::new();
    let connection = connect(&authority.issue("server.test"), &authority).await.expect("a connection");
    assert_eq!(connection.peer_certificates().map(|chain| chain.len()), Some(1));
    let session = connection.begin().await.expect("a session");
    let sender = session.sender("q").attach().await.expect("a sender");
    let mut receipts = Vec::new();
    for index in 0..2_000 {
        receipts.push(sender.reserve().await.expect("credit").send(body(index)).expect("queued"));
    }
    for receipt in receipts {
        soon(receipt).await.expect("an outcome").into_result().expect("accepted");
    }
    let large = Bytes::from(vec![5; 10 * 1024 * 1024]);
    soon(sender.send(large)).await.expect("an outcome").into_result().expect("accepted");
    connection.close().await.expect("closed");
}

#[tokio::test]
async fn a_delivery_comes_over_tls_as_soon_as_it_is_sent() {
    // What stays in a buffer of TLS would be a message that never comes.
    let authority = Authority::new();
    let acceptor = Acceptor::builder().tls(tls_server(&authority.issue("server.test"))).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (client, server) = tokio::join!(builder(address, &authority).connect(), async {
        let (stream, _) = listener.accept().await.expect("a client");
        acceptor.accept(support::checked::Checked::new(stream)).await?.accept().await
    });
    let mut pair = support::Pair { client: client.expect("a connection"), server: server.expect("a connection") };
    let (sender, mut receiver) = pair.client_receives(Credit::Window(1)).await;
    for index in 0..200 {
        let (sent, ()) = soon(async {
            tokio::join!(sender.send(body(index)), async {
                let delivery = receiver.recv().await.expect("a link").expect("a delivery");
                assert_eq!(number(&delivery), index);
                delivery.accept().expect("settled");
            })
        })
        .await;
        sent.expect("sent").into_result().expect("accepted");
    }
}

#[tokio::test]
async fn s_5_2_3_a_certificate_of_an_unknown_authority_is_refused() {
    let error = connect(&Authority::new().issue("server.test"), &Authority::new()).await.expect_err("not trusted");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Tls, Retry::Never));
    assert!(error.to_string().contains("authority that is not trusted"), "{error}");
}

#[tokio::test]
async fn the_platforms_trust_store_does_not_hold_a_tests_authority() {
    let Ok(platform) = TlsClient::platform() else { return };
    let address = serve(Acceptor::builder().tls(tls_server(&Authority::new().issue("server.test"))).build()).await;
    let builder = Client::builder("amqps://server.test").dial("127.0.0.1", address.port()).tls(platform);
    assert_eq!(soon(builder.connect()).await.expect_err("not trusted").kind(), ErrorKind::Tls);
}

#[tokio::test]
async fn s_5_2_3_a_certificate_that_has_expired_is_refused() {
    let authority = Authority::new();
    let error = connect(&authority.issue_expired("server.test"), &authority).await.expect_err("expired");
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.to_string().contains("expired"), "{error}");
}

#[tokio::test]
async fn s_5_2_3_a_certificate_of_another_name_is_refused() {
    let authority = Authority::new();
    let error = connect(&authority.issue("other.test"), &authority).await.expect_err("another's");
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.to_string().contains("another name"), "{error}");
}

/// However the client is set up: with a certificate of its own, with TLS by its header, and with another name to verify.
#[tokio::test]
async fn s_5_2_3_a_certificate_is_verified_by_every_client() {
    let authority = Authority::new();
    let mine = authority.issue("client.test");
    let trusting = TlsClient::with_ca_pem(authority.pem.as_bytes()).expect("a CA");
    let named = trusting.client_certificate(mine.chain.as_bytes(), mine.key.as_bytes()).expect("a certificate");
    let refused =
        [Authority::new().issue("server.test"), authority.issue_expired("server.test"), authority.issue("other.test")];
    for issued in &refused {
        let address = serve(Acceptor::builder().tls(tls_server(issued)).build()).await;
        let error = soon(builder(address, &authority).tls(named.clone()).connect()).await.expect_err("with its own");
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        let error = soon(builder(address, &authority).server_name("third.test").connect()).await.expect_err("named");
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        let address = serve(Acceptor::builder().tls_by_header(tls_server(issued)).build()).await;
        let error = soon(builder(address, &authority).tls_by_header().connect()).await.expect_err("by its header");
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    }
    // What is wrong is the server's certificate, not how the clients are set up.
    let issued = authority.issue("server.test");
    let address = serve(Acceptor::builder().tls(tls_server(&issued)).build()).await;
    soon(builder(address, &authority).tls(named).connect()).await.expect("its own");
    let address = serve(Acceptor::builder().tls_by_header(tls_server(&issued)).build()).await;
    soon(builder(address, &authority).tls_by_header().connect()).await.expect("by its header");
}

#[tokio::test]
async fn the_name_to_verify_can_be_another_than_the_urls() {
    let authority = Authority::new();
    let address = serve(Acceptor::builder().tls(tls_server(&authority.issue("other.test"))).build()).await;
    let connection = builder(address, &authority).server_name("other.test").connect();
    soon(connection).await.expect("a connection").close().await.expect("closed");
}

#[tokio::test]
async fn a_port_that_does_not_speak_tls_is_said_to_be_one() {
    let authority = Authority::new();
    let address = serve(Acceptor::builder().build()).await;
    let error = soon(builder(address, &authority).connect()).await.expect_err("no TLS");
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.to_string().contains("without TLS: use amqp://"), "{error}");
}

/// Returns the error of the acceptor when a client leaves the handshake as `client` does.
async fn refused_by_acceptor(client: impl AsyncFnOnce(SocketAddr)) -> String {
    let issued = Authority::new().issue("server.test");
    let acceptor = Acceptor::builder().tls(tls_server(&issued)).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let served = async {
        let (stream, _) = listener.accept().await.expect("a client");
        acceptor.accept(support::checked::Checked::new(stream)).await.map(drop).expect_err("no handshake")
    };
    let (error, ()) = soon(async { tokio::join!(served, client(address)) }).await;
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_server_says_that_the_client_closed_the_connection_during_the_handshake() {
    let text = refused_by_acceptor(async |address| {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
        // The beginning of a ClientHello's record.
        tokio::io::AsyncWriteExt::write_all(&mut stream, &[22, 3, 1, 2, 0, 1]).await.expect("written");
    })
    .await;
    let expected =
        "the client closed the connection during the TLS handshake: it may not trust the server's certificate";
    assert!(text.contains(expected), "{text}");
    assert!(!text.contains("amqp://"), "{text}");
}

#[tokio::test]
async fn a_server_names_the_alert_of_a_client_that_does_not_know_its_authority() {
    let text = refused_by_acceptor(async |address| {
        builder(address, &Authority::new()).connect().await.map(drop).expect_err("another authority");
    })
    .await;
    assert!(text.contains("the peer does not trust the certificate") && text.contains("alert"), "{text}");
}

#[tokio::test]
async fn tls_that_is_set_up_for_a_url_without_it_is_refused() {
    let authority = Authority::new();
    let tls = TlsClient::with_ca_pem(authority.pem.as_bytes()).expect("a CA");
    let error = Client::builder("amqp://server.test").tls(tls).connect().await.expect_err("a contradiction");
    assert_eq!(error.kind(), ErrorKind::Config);
}

/// Takes EXTERNAL from whoever has a certificate, and one password.
struct Door;

impl Authenticator for Door {
    fn authenticate(&self, attempt: SaslAttempt) -> amqp1::acceptor::BoxFuture<'_, SaslDecision> {
        let known = match attempt.mechanism.as_str() {
            "EXTERNAL" => attempt.peer_certificates.is_some(),
            _ => attempt.response.as_deref() == Some(b"\0user\0right"),
        };
        Box::pin(std::future::ready(match known {
            true => SaslDecision::Accept { identity: "user".to_owned(), additional_data: None },
            false => SaslDecision::Refuse(SaslCode::Auth),
        }))
    }
}

#[tokio::test]
async fn external_is_for_those_who_have_shown_a_certificate() {
    let authority = Authority::new();
    let tls = tls_server(&authority.issue("server.test"));
    let tls = tls.request_client_certificates(authority.pem.as_bytes()).expect("a CA");
    let mechanisms = ["EXTERNAL", "PLAIN"].map(Symbol::from_static);
    let acceptor = Acceptor::builder().tls(tls).mechanisms(mechanisms).authenticator(Door).build();
    let address = serve(acceptor).await;
    let external = || builder(address, &authority).sasl(External::default());

    let error = soon(external().connect()).await.expect_err("no certificate");
    assert_eq!(error.kind(), ErrorKind::MechanismNotOffered);

    let mine = authority.issue("client.test");
    let trusting = TlsClient::with_ca_pem(authority.pem.as_bytes()).expect("a CA");
    let tls = trusting.client_certificate(mine.chain.as_bytes(), mine.key.as_bytes()).expect("a certificate");
    let connection = soon(external().tls(tls).connect()).await.expect("a connection");
    connection.close().await.expect("closed");

    let plain = |password: &str| builder(address, &authority).sasl(Plain::new("user", password).expect("PLAIN"));
    soon(plain("right").connect()).await.expect("a connection");
    let error = soon(plain("wrong").connect()).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Authentication);

    let foreign = Authority::new().issue("client.test");
    let trusting = TlsClient::with_ca_pem(authority.pem.as_bytes()).expect("a CA");
    let tls = trusting.client_certificate(foreign.chain.as_bytes(), foreign.key.as_bytes()).expect("a certificate");
    let error = soon(external().tls(tls).connect()).await.expect_err("not trusted");
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
}

/// The name of the host in the hello, and none for an address.
#[tokio::test]
async fn s_5_2_2_the_client_names_the_host_before_anything_else() {
    let authority = Authority::new();
    for (url, named) in [("amqps://server.test", Some("server.test")), ("amqps://127.0.0.1", None)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let tls = TlsClient::with_ca_pem(authority.pem.as_bytes()).expect("a CA");
        let client = tokio::spawn(Client::builder(url).dial("127.0.0.1", port).tls(tls).connect());
        let (stream, _) = soon(listener.accept()).await.expect("a client");
        let hello = tokio_rustls::LazyConfigAcceptor::new(Default::default(), stream);
        let hello = soon(hello).await.expect("a hello");
        assert_eq!(hello.client_hello().server_name(), named);
        drop(hello);
        assert!(soon(client).await.expect("no panic").is_err());
    }
}

/// Keeps one user's password.
struct Keeper;

impl Authenticator for Keeper {
    fn authenticate(&self, attempt: SaslAttempt) -> amqp1::acceptor::BoxFuture<'_, SaslDecision> {
        let response = attempt.response.unwrap_or_default();
        let decision = match plain::Credentials::parse(&response) {
            Ok(plain) if plain.authcid() == "alice" && plain.password_matches("pencil") => {
                SaslDecision::Accept { identity: "alice".to_owned(), additional_data: None }
            }
            _ => SaslDecision::Refuse(SaslCode::Auth),
        };
        Box::pin(std::future::ready(decision))
    }

    fn scram_credential<'a>(
        &'a self,
        _: &'a str,
        hash: ScramHash,
    ) -> amqp1::acceptor::BoxFuture<'a, Result<Option<StoredCredential>, SaslCode>> {
        let stored = StoredCredential::from_password(hash, "pencil", *b"0123456789abcdef", 4096).expect("a credential");
        Box::pin(std::future::ready(Ok(Some(stored))))
    }
}

/// A server with TLS, PLAIN and SCRAM-SHA-1, as brokers are asked to be.
#[tokio::test]
async fn s_conf_1_clients_with_plain_and_with_scram_of_each_hash_come_in_over_tls() {
    let authority = Authority::new();
    let names = ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"].map(Symbol::from_static);
    let tls = tls_server(&authority.issue("server.test"));
    let address = serve(Acceptor::builder().tls(tls).authenticator(Keeper).mechanisms(names).build()).await;
    let plain = |password: &str| builder(address, &authority).sasl(Plain::new("alice", password).expect("a user"));
    let scram = |hash, password: &str| builder(address, &authority).scram(hash, "alice", password);
    for client in [plain("pencil"), scram(ScramHash::Sha1, "pencil"), scram(ScramHash::Sha256, "pencil")] {
        soon(client.connect()).await.expect("let in").close().await.expect("closed");
    }
    for client in [plain("pencils"), scram(ScramHash::Sha1, "pencils")] {
        assert_eq!(soon(client.connect()).await.expect_err("refused").kind(), ErrorKind::Authentication);
    }
    let error = soon(scram(ScramHash::Sha512, "pencil").connect()).await.expect_err("not offered");
    assert_eq!(error.kind(), ErrorKind::MechanismNotOffered);
}
