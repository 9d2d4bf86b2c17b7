//! A small HTTPS client that shows responses as they are on the wire, header names included.

use std::sync::Arc;

use iothub_emulator::Emulator;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

pub const VERSION: &str = "api-version=2021-04-12";

pub struct Https {
    address: std::net::SocketAddr,
    config: Arc<ClientConfig>,
}

/// A request that is to be sent.
#[must_use]
pub struct Request {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

pub fn request(method: &'static str, path: &str) -> Request {
    let separator = if path.contains('?') { '&' } else { '?' };
    bare(method, &format!("{path}{separator}{VERSION}"))
}

/// Without an API version.
pub fn bare(method: &'static str, path: &str) -> Request {
    Request { method, path: path.into(), headers: Vec::new(), body: Vec::new() }
}

pub fn get(path: &str) -> Request {
    request("GET", path)
}

pub fn put(path: &str, body: &Value) -> Request {
    request("PUT", path).json(body)
}

pub fn patch(path: &str, body: &Value) -> Request {
    request("PATCH", path).json(body)
}

pub fn post(path: &str, body: &Value) -> Request {
    request("POST", path).json(body)
}

pub fn delete(path: &str) -> Request {
    request("DELETE", path)
}

impl Request {
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn token(self, token: impl Into<String>) -> Self {
        self.header("Authorization", token)
    }

    /// With the policy that may do everything.
    pub fn owner(self) -> Self {
        self.token(super::owner_token())
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json; charset=utf-8").body(body.to_string())
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn to_octets(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: localhost\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() || self.method != "GET" {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        let mut octets = format!("{head}\r\n").into_bytes();
        octets.extend_from_slice(&self.body);
        octets
    }
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// A header by its exact name, case included.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that this is a refusal in the shape of the registry with this status and code, and gives its text.
    #[track_caller]
    pub fn refusal(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("iothub-errorcode"), Some(code));
        assert_eq!(self.header("content-type"), Some("application/json; charset=utf-8"));
        let body = self.json();
        assert!(body["ExceptionMessage"].as_str().unwrap().starts_with("Tracking ID:"), "{body}");
        let message = body["Message"].as_str().unwrap();
        // As Node takes it apart.
        let mut parts = message.split(';');
        assert_eq!(parts.next().and_then(|first| first.split(':').nth(1)), Some(code), "{message}");
        let text = parts.next().unwrap().to_owned();
        assert!(!text.is_empty(), "{message}");
        text
    }

    /// Checks that this is a success with this status.
    #[track_caller]
    pub fn ok(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}

impl Https {
    pub fn new(hub: &Emulator) -> Self {
        Self::showing(hub, None)
    }

    /// As a client that shows a certificate with its key, both as PEM.
    pub fn with_certificate(hub: &Emulator, certificate: &str, key: &str) -> Self {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        Self::showing(hub, Some((certificate, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())))
    }

    fn showing(hub: &Emulator, identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(hub.ca_pem().as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => config.with_client_auth_cert(vec![certificate], key).unwrap(),
        };
        Self { address: hub.https_addr(), config: Arc::new(config) }
    }

    pub async fn connect(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(self.config.clone()).connect(name, stream).await.unwrap()
    }

    /// Sends a request on a connection of its own.
    pub async fn send(&self, request: Request) -> Response {
        let mut stream = self.connect().await;
        exchange(&mut stream, &request).await
    }
}

/// Sends a request and waits for the response.
pub async fn exchange(stream: &mut TlsStream<TcpStream>, request: &Request) -> Response {
    stream.write_all(&request.to_octets()).await.unwrap();
    stream.flush().await.unwrap();
    response(stream, request.method == "HEAD").await
}

/// Reads a response.
pub async fn response(stream: &mut TlsStream<TcpStream>, head_only: bool) -> Response {
    let head = head(stream).await;
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> =
        lines.map(|line| line.split_once(": ").unwrap()).map(|(name, value)| (name.into(), value.into())).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map(|(_, length)| length.parse().unwrap());
    assert!(!headers.iter().any(|(name, _)| name == "transfer-encoding"), "{headers:?}");
    let mut body = vec![0; if head_only { 0 } else { length.unwrap_or(0) }];
    stream.read_exact(&mut body).await.unwrap();
    Response { status, headers, body }
}

async fn head(stream: &mut TlsStream<TcpStream>) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap_or_else(|error| panic!("{error} after {} octets", head.len())));
    }
    String::from_utf8(head).unwrap()
}
