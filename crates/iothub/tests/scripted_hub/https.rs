//! A hub over HTTPS that answers as the test says, in order, and hands the requests to it.

use crate::support::{KEY, pki, soon};
use amqp1::tls::TlsServer;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

#[derive(Debug)]
pub(crate) struct Request {
    /// Method and path with its query.
    pub(crate) line: String,
    /// By names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// What the hub does with a request.
pub(crate) enum Answer {
    Status(u16, &'static [(&'static str, &'static str)], String),
    /// Closes the connection without an answer.
    Cut,
    /// Never answers.
    Silence,
}

pub(crate) fn ok(body: impl ToString) -> Answer {
    Answer::Status(200, &[], body.to_string())
}

pub(crate) struct HttpsHub {
    pub(crate) port: u16,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: mpsc::UnboundedReceiver<Request>,
}

impl HttpsHub {
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let tls = TlsServer::from_pem(pki().chain.as_bytes(), pki().key.as_bytes()).expect("a certificate");
        let acceptor = TlsAcceptor::from(tls.to_config().expect("a key"));
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let (tell, requests) = mpsc::unbounded_channel();
        let script = answers.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, script, tell) = (acceptor.clone(), script.clone(), tell.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    while let Some(request) = read(&mut stream).await {
                        let _ = tell.send(request);
                        let answer = script.lock().expect("not poisoned").pop_front();
                        match answer.expect("a request that the test does not expect") {
                            Answer::Status(status, headers, body) => {
                                let mut text = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n", body.len());
                                for (name, value) in headers {
                                    text.push_str(&format!("{name}: {value}\r\n"));
                                }
                                let text = format!("{text}content-type: application/json\r\n\r\n{body}");
                                if stream.write_all(text.as_bytes()).await.is_err() {
                                    return;
                                }
                            }
                            Answer::Cut => return,
                            Answer::Silence => std::future::pending().await,
                        }
                    }
                });
            }
        });
        Self { port, answers, requests }
    }

    pub(crate) async fn next(&mut self) -> Request {
        soon("a request", self.requests.recv()).await.expect("the hub runs")
    }

    /// Whether every answer was given, and every request was looked at.
    pub(crate) fn is_done(&mut self) -> bool {
        self.answers.lock().expect("not poisoned").is_empty() && self.requests.try_recv().is_err()
    }

    pub(crate) fn string() -> String {
        // The port is the one of AMQP.
        format!("HostName=localhost:5671;SharedAccessKeyName=iothubowner;SharedAccessKey={KEY}")
    }
}

async fn read(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).expect("ASCII");
    let mut lines = head.lines();
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().expect("a number"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { line, headers, body: String::from_utf8(body).expect("UTF-8") })
}

/// A proxy that says which way it was asked for, and goes to the port instead.
pub(crate) async fn proxy(port: u16) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (tell, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let Some(request) = read(&mut stream).await else { return };
                tell.send(request.line).ok();
                let mut hub = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("a hub");
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("written");
                tokio::io::copy_bidirectional(&mut stream, &mut hub).await.ok();
            });
        }
    });
    (address.port(), asked)
}
