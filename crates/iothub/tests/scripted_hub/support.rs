//! A hub that does as the test says: it answers `$cbs` and SASL by rules, and hands every other link to the test.

use amqp1::{
    AcceptedLink, Acceptor, Connection, Delivery, IncomingLink, Receiver, Sender, ServerConnection, Symbol,
    acceptor::{Authenticator, SaslAttempt, SaslDecision},
    auth::cbs::{Reply, Request, is_address},
    error::{AmqpError, ErrorCondition},
    tls::TlsServer,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
};

/// A key in base64.
pub(crate) const KEY: &str = "a2V5IG9mIHRoZSBzY3JpcHRlZCBodWI=";

/// Everything that should happen happens long before.
const EVENTUALLY: Duration = Duration::from_secs(60);

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(EVENTUALLY, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

pub(crate) struct Pki {
    pub(crate) ca: String,
    /// The server's.
    pub(crate) chain: String,
    pub(crate) key: String,
    /// A device's certificate and key.
    pub(crate) device: (String, String),
}

/// One authority for all tests, and a certificate for `localhost`.
pub(crate) fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(new_pki)
}

pub(crate) fn new_pki() -> Pki {
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = authority.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let chain = server.signed_by(&key, &issuer).expect("a certificate").pem();
    let device_key = KeyPair::generate().expect("a key");
    let device = CertificateParams::new(vec!["d1".to_owned()]).expect("parameters");
    let device = device.signed_by(&device_key, &issuer).expect("a certificate").pem();
    Pki { ca, chain, key: key.serialize_pem(), device: (device, device_key.serialize_pem()) }
}

/// How the hub answers by itself.
pub(crate) struct Rules {
    /// The answer to the n-th token, from 0; `None` is silence.
    pub(crate) cbs: fn(usize) -> Option<Reply>,
    pub(crate) login: fn(&SaslAttempt) -> SaslDecision,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            cbs: |_| Some(Reply::accepted()),
            login: |_| SaslDecision::Accept { identity: "client".to_owned(), additional_data: None },
        }
    }
}

/// A token as the hub has got it.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) name: String,
    pub(crate) token: String,
}

pub(crate) struct ScriptedHub {
    pub(crate) port: u16,
    links: mpsc::UnboundedReceiver<(IncomingLink, Connection)>,
    pub(crate) tokens: mpsc::UnboundedReceiver<Put>,
    pub(crate) logins: mpsc::UnboundedReceiver<SaslAttempt>,
}

impl ScriptedHub {
    pub(crate) async fn start() -> Self {
        Self::with(Rules::default()).await
    }

    pub(crate) async fn with(rules: Rules) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (tell_link, links) = mpsc::unbounded_channel();
        let (tell_token, tokens) = mpsc::unbounded_channel();
        let (tell_login, logins) = mpsc::unbounded_channel();
        let tls = TlsServer::from_pem(pki().chain.as_bytes(), pki().key.as_bytes()).expect("a certificate");
        let acceptor = Acceptor::builder()
            .mechanisms(["MSSBCBS", "PLAIN"].map(Symbol::from_static))
            .authenticator(Logins { tell: tell_login, decide: rules.login })
            .allow_no_sasl(true)
            .tls(tls.request_client_certificates(pki().ca.as_bytes()).expect("a certificate"))
            .build();
        let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, count) = (acceptor.clone(), count.clone());
                let (tell_link, tell_token) = (tell_link.clone(), tell_token.clone());
                tokio::spawn(async move {
                    let Ok(incoming) = acceptor.accept(stream).await else { return };
                    let Ok(connection) = incoming.accept().await else { return };
                    let answer = move || (rules.cbs)(count.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
                    serve(connection, answer, tell_link, tell_token).await;
                });
            }
        });
        Self { port, links, tokens, logins }
    }

    pub(crate) fn service_string(&self) -> String {
        format!("HostName=localhost:{};SharedAccessKeyName=service;SharedAccessKey={KEY}", self.port)
    }

    pub(crate) fn device_string(&self) -> String {
        format!("HostName=localhost:{};DeviceId=d1;SharedAccessKey={KEY}", self.port)
    }

    /// The next link that a client wants, and the connection that it is on.
    pub(crate) async fn next_link(&mut self) -> (IncomingLink, Connection) {
        soon("an attach", self.links.recv()).await.expect("the hub runs")
    }

    /// Accepts the next link, to which the client sends.
    pub(crate) async fn next_receiver(&mut self, address: &str) -> Receiver {
        let (link, _) = self.next_link().await;
        assert_eq!(link.address(), Some(address));
        match link.accept_default().expect("the link is there") {
            AcceptedLink::Receiver(receiver) => receiver,
            AcceptedLink::Sender(_) => panic!("the client should send"),
        }
    }

    /// Accepts the next link, from which the client receives.
    pub(crate) async fn next_sender(&mut self, address: &str) -> Sender {
        let (link, _) = self.next_link().await;
        assert_eq!(link.address(), Some(address));
        accept_sender(link)
    }

    pub(crate) async fn next_token(&mut self) -> Put {
        soon("a put-token", self.tokens.recv()).await.expect("the hub runs")
    }
}

pub(crate) fn accept_sender(link: IncomingLink) -> Sender {
    match link.accept_default().expect("the link is there") {
        AcceptedLink::Sender(sender) => sender,
        AcceptedLink::Receiver(_) => panic!("the client should receive"),
    }
}

pub(crate) async fn delivery(receiver: &mut Receiver) -> Delivery {
    soon("a delivery", receiver.recv()).await.expect("the link is there").expect("not detached")
}

pub(crate) fn error(condition: &'static str, description: &'static str) -> AmqpError {
    AmqpError::new(ErrorCondition::from_static(condition), description)
}

struct Logins {
    tell: mpsc::UnboundedSender<SaslAttempt>,
    decide: fn(&SaslAttempt) -> SaslDecision,
}

impl Authenticator for Logins {
    fn authenticate(&self, attempt: SaslAttempt) -> amqp1::acceptor::BoxFuture<'_, SaslDecision> {
        let decision = (self.decide)(&attempt);
        let _ = self.tell.send(attempt);
        Box::pin(async move { decision })
    }
}

async fn serve(
    mut connection: ServerConnection,
    answer: impl Fn() -> Option<Reply> + Clone + Send + 'static,
    tell_link: mpsc::UnboundedSender<(IncomingLink, Connection)>,
    tell_token: mpsc::UnboundedSender<Put>,
) {
    let replies: Arc<Mutex<Option<Sender>>> = Arc::default();
    while let Some(link) = connection.next_link().await {
        if !link.address().is_some_and(is_address) {
            let _ = tell_link.send((link, connection.connection().clone()));
            continue;
        }
        match link.accept_default() {
            Ok(AcceptedLink::Sender(sender)) => *replies.lock().await = Some(sender),
            Ok(AcceptedLink::Receiver(requests)) => {
                tokio::spawn(answer_tokens(requests, replies.clone(), answer.clone(), tell_token.clone()));
            }
            Err(_) => {}
        }
    }
}

async fn answer_tokens(
    mut requests: Receiver,
    replies: Arc<Mutex<Option<Sender>>>,
    answer: impl Fn() -> Option<Reply>,
    tell: mpsc::UnboundedSender<Put>,
) {
    while let Ok(Some(delivery)) = requests.recv().await {
        let request = Request::parse(delivery.message());
        let _ = delivery.accept();
        if let Ok(put) = &request.operation {
            let _ = tell.send(Put { name: put.name().to_owned(), token: put.token().to_owned() });
        }
        let sender = replies.lock().await.clone();
        if let (Some(reply), Some(sender)) = (answer(), sender) {
            let _ = sender.send(reply.encode(&request, amqp1::message::EncodeStyle::Full)).await;
        }
    }
}
