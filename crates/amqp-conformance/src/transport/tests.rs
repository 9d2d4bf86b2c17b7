//! TLS and WebSocket against servers of the same libraries, in threads of the test.

use super::*;
use amqp1_script::{Read, Written};
use std::{fs, io::Write as _, net::TcpListener, path::PathBuf, thread};
use tempfile::TempDir;

const WITHIN: Duration = Duration::from_secs(5);
/// The longest time that a test waits for what comes.
const LONG: Duration = Duration::from_secs(60);

/// An authority's certificate for `localhost`, and its key, in files.
struct Certificate {
    _directory: TempDir,
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificate {
    fn new() -> Self {
        Self::with(rcgen::IsCa::NoCa)
    }

    /// The certificate of an authority, as `openssl req -x509` makes it.
    fn of_authority() -> Self {
        Self::with(rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained))
    }

    fn with(is_ca: rcgen::IsCa) -> Self {
        let directory = TempDir::new().expect("a temporary folder");
        let (certificate, key) = (directory.path().join("certificate.pem"), directory.path().join("key.pem"));
        let mut parameters = rcgen::CertificateParams::new([String::from("localhost")]).expect("a name");
        parameters.is_ca = is_ca;
        let signing_key = rcgen::KeyPair::generate().expect("a key");
        let made = parameters.self_signed(&signing_key).expect("a certificate");
        fs::write(&certificate, made.pem()).expect("it is written");
        fs::write(&key, signing_key.serialize_pem()).expect("it is written");
        Self { _directory: directory, certificate, key }
    }
}

/// Accepts one connection with TLS, and sends back what comes until the end.
fn echo(certificate: &Certificate) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let tls = ServerTls::read(&certificate.certificate, &certificate.key).expect("they belong together");
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let layers = Listening { tls: Some(tls), web_socket: false };
        let Ok(mut transport) = layers.accept(stream, WITHIN) else { return };
        let mut buffer = [0; 1024];
        while let Read::Octets(count) = transport.read(&mut buffer, WITHIN) {
            transport.write(&buffer[..count], WITHIN);
        }
        transport.finish();
    });
    address
}

fn with_tls(tls: ClientTls) -> Layers {
    Layers { tls: Some(tls), web_socket: None }
}

fn talk(transport: &mut (dyn Transport + Send)) {
    assert_eq!(transport.write(b"hello", WITHIN), Written::All);
    let mut buffer = [0; 16];
    assert_eq!(transport.read(&mut buffer, WITHIN), Read::Octets(5));
    assert_eq!(&buffer[..5], b"hello");
    let now = transport.now();
    assert_eq!(transport.read(&mut buffer, now), Read::Timeout);
    transport.finish();
    assert_eq!(transport.read(&mut buffer, transport.now() + WITHIN), Read::Eof);
}

#[test]
fn octets_go_over_tls_and_the_end_too() {
    let certificate = Certificate::new();
    let address = echo(&certificate);
    let layers = with_tls(ClientTls::verified(Some(&certificate.certificate)).expect("it can be read"));
    talk(&mut *layers.connect(address, "localhost", WITHIN).expect("a connection"));
    assert_eq!(layers.name(), "tls");
}

#[test]
fn a_certificate_is_verified_unless_that_is_refused_in_words() {
    let (certificate, other) = (Certificate::new(), Certificate::new());
    let trusts_other = with_tls(ClientTls::verified(Some(&other.certificate)).expect("it can be read"));
    assert!(trusts_other.connect(echo(&certificate), "localhost", WITHIN).is_err(), "another authority");
    let trusts = with_tls(ClientTls::verified(Some(&certificate.certificate)).expect("it can be read"));
    assert!(trusts.connect(echo(&certificate), "example.org", WITHIN).is_err(), "another host");
    let insecure = with_tls(ClientTls::insecure().expect("it can be set up"));
    insecure.connect(echo(&certificate), "example.org", WITHIN).expect("every certificate is trusted");
    assert_eq!(insecure.name(), "tls, certificate not verified");
}

#[test]
fn a_certificate_that_is_not_valid_is_answered_with_what_to_do() {
    let reason = |certificate: &Certificate, host: &str, tls: ClientTls| {
        let error = with_tls(tls).connect(echo(certificate), host, WITHIN).err().expect("it is not valid");
        error.to_string()
    };
    let (certificate, other) = (Certificate::new(), Certificate::new());
    let trusts =
        |certificate: &Certificate| ClientTls::verified(Some(&certificate.certificate)).expect("it can be read");
    let unknown = reason(&certificate, "localhost", trusts(&other));
    assert!(unknown.contains("not trusted") && unknown.contains("--ca"), "{unknown}");
    let name = reason(&certificate, "example.org", trusts(&certificate));
    assert!(name.contains("another host"), "{name}");
    let authority = Certificate::of_authority();
    for tls in [trusts(&authority), trusts(&other)] {
        let own = reason(&authority, "localhost", tls);
        assert!(own.contains("self-signed") && own.contains("CA:FALSE") && own.contains("--insecure"), "{own}");
    }
}

#[test]
fn a_file_that_is_not_pem_is_named() {
    let certificate = Certificate::new();
    let error = ClientTls::verified(Some(&certificate.key)).expect_err("a key is not a certificate").to_string();
    assert!(error.contains("key.pem"), "{error}");
    let error = ServerTls::read(&certificate.certificate, &certificate.certificate).expect_err("there is no key");
    assert!(error.to_string().contains("certificate.pem"), "{error}");
}

/// Answers a WebSocket request with this header, and sends back each message.
fn web_socket_echo(header: &'static str) -> SocketAddr {
    use futures_util::{SinkExt, StreamExt};
    use std::io::Read as _;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let (mut request, mut octet) = (Vec::new(), [0]);
        while !request.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut octet).expect("a request");
            request.push(octet[0]);
        }
        let request = String::from_utf8(request).expect("it is text");
        let headers = request.lines().filter_map(|line| line.split_once(": "));
        let mut keys = headers.filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
        let (_, key) = keys.next().expect("its key");
        assert!(request.starts_with("GET /some/path HTTP/1.1\r\n"), "{request}");
        assert!(request.to_lowercase().contains("sec-websocket-protocol: amqp\r\n"), "{request}");
        let mut answer = sha1_smol::Sha1::new();
        answer.update(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes());
        let answer = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, answer.digest().bytes());
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
        write!(stream, "{head}Sec-WebSocket-Accept: {answer}\r\n{header}\r\n").expect("it is written");
        stream.set_nonblocking(true).expect("it can be set");
        runtime().expect("a runtime").block_on(async {
            let stream = tokio::net::TcpStream::from_std(stream).expect("a stream");
            let mut stream = tokio_websockets::ServerBuilder::new().serve(stream);
            while let Some(Ok(message)) = stream.next().await {
                if message.is_binary() && stream.send(message).await.is_err() {
                    return;
                }
            }
        });
    });
    address
}

fn web_socket() -> Layers {
    Layers { tls: None, web_socket: Some(WebSocket { path: String::from("/some/path") }) }
}

#[test]
fn octets_go_over_a_web_socket_and_the_end_too() {
    let address = web_socket_echo("Sec-WebSocket-Protocol: amqp\r\n");
    talk(&mut *web_socket().connect(address, "localhost", WITHIN).expect("a connection"));
    assert_eq!(web_socket().name(), "ws over tcp");
}

/// A listener for WebSocket that sends back what comes. The error of its handshake is the thread's result.
fn listener(tls: Option<ServerTls>) -> (SocketAddr, thread::JoinHandle<io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let layers = Listening { tls, web_socket: true };
    let serving = thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        let mut transport = layers.accept(stream, WITHIN)?;
        let mut buffer = [0; 1024];
        while let Read::Octets(count) = transport.read(&mut buffer, transport.now() + WITHIN) {
            transport.write(&buffer[..count], transport.now() + WITHIN);
        }
        transport.finish();
        Ok(())
    });
    (address, serving)
}

#[test]
fn a_listener_takes_clients_with_web_socket_and_with_tls_below() {
    let (address, serving) = listener(None);
    talk(&mut *web_socket().connect(address, "localhost", WITHIN).expect("a connection"));
    serving.join().expect("it does not panic").expect("the handshake succeeds");
    let certificate = Certificate::new();
    let tls = ServerTls::read(&certificate.certificate, &certificate.key).expect("they belong together");
    let (address, serving) = listener(Some(tls));
    let trusts = ClientTls::verified(Some(&certificate.certificate)).expect("it can be read");
    let layers = Layers { tls: Some(trusts), ..web_socket() };
    talk(&mut *layers.connect(address, "localhost", WITHIN).expect("a connection"));
    serving.join().expect("it does not panic").expect("both handshakes succeed");
}

/// Pings are answered, and the answers are kept while they are not read.
#[test]
fn a_flood_of_pings_ends_the_connection() {
    const PING: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).expect("a connection");
        let request = "GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a2V5\r\n\
                       Sec-WebSocket-Protocol: amqp\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("it is sent");
        // The other end may leave first.
        while stream.write_all(&PING.repeat(1000)).is_ok() {}
    });
    let (stream, _) = listener.accept().expect("a connection");
    let layers = Listening { tls: None, web_socket: true };
    let mut transport = layers.accept(stream, LONG).expect("a WebSocket");
    let deadline = transport.now() + LONG;
    assert_eq!(transport.read(&mut [0; 16], deadline), Read::Reset);
    drop(transport);
    client.join().expect("it ends");
}

#[test]
fn a_client_has_to_offer_the_sub_protocol() {
    use std::io::Read as _;
    let head = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    let upgrade = "Upgrade: websocket\r\n";
    for (request, reason) in [
        (format!("{head}{upgrade}{key}\r\n"), "the client does not offer the sub-protocol amqp"),
        (
            format!("{head}{upgrade}{key}Sec-WebSocket-Protocol: mqtt, AMQPWSB10\r\n\r\n"),
            "the client does not offer the sub-protocol amqp",
        ),
        (format!("{head}{key}Sec-WebSocket-Protocol: amqp\r\n\r\n"), "the client does not ask for a WebSocket"),
        (String::from("AMQP\0\u{1}\0\0"), "the client does not ask for a WebSocket"),
    ] {
        let (address, serving) = listener(None);
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.write_all(request.as_bytes()).expect("it is written");
        let error = serving.join().expect("it does not panic").expect_err(&request);
        assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::InvalidData, reason));
    }
    let (address, _serving) = listener(None);
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("{head}{upgrade}{key}Sec-WebSocket-Protocol: mqtt, amqp\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is written");
    let mut answer = [0; 200];
    let count = stream.read(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
    // The key and its answer are those of RFC 6455 §1.3.
    assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
    assert!(answer.contains("Sec-WebSocket-Protocol: amqp\r\n"), "{answer}");
}

#[test]
fn a_server_has_to_agree_to_the_sub_protocol() {
    for (header, reason) in [
        ("", "the server has not agreed to the sub-protocol amqp"),
        ("Sec-WebSocket-Protocol: mqtt\r\n", "the sub-protocol is \"mqtt\""),
    ] {
        let error = web_socket().connect(web_socket_echo(header), "localhost", WITHIN).err().expect("no agreement");
        assert_eq!(error.to_string(), reason);
    }
}

#[test]
fn a_server_that_never_answers_is_waited_for_no_longer_than_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let layers = with_tls(ClientTls::insecure().expect("it can be set up"));
    let error = layers.connect(address, "localhost", Duration::from_millis(50)).err().expect("no answer");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}
