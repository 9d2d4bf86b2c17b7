//! The client: a connection that this end begins.

use crate::{
    connect::{
        attempt::{Attempt, Failure, Stage},
        nonce,
    },
    driver::{self, Setup, transport},
    handle::connection::Connection,
    observe::{ConnectionInfo, Observed, Observer},
    state::shared::{Shared, State},
    types::{
        error::{Error, ErrorKind},
        names,
        security::Security,
        url::Url,
    },
};
use amqp1_auth::sasl::{Anonymous, ClientMechanism, Scram, plain, scram::ScramHash};
use amqp1_codec::{Str, printable::printable};
use amqp1_engine::{Connection as Engine, ConnectionConfig, ConnectionError, SaslFailure};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

#[cfg(feature = "tls")]
use transport::TlsClient;

/// Connects to AMQP 1.0 servers.
#[derive(Clone, Copy, Debug)]
pub struct Client;

impl Client {
    /// A connection to this URL: `amqp://` or `amqps://`, then `[user[:password]@]host[:port]`. User and password are
    /// percent-decoded; the port is 5672, or 5671 for `amqps`, unless it is there. What is wrong with the URL comes out
    /// of [`ClientBuilder::connect`].
    pub fn builder(url: impl AsRef<str>) -> ClientBuilder {
        ClientBuilder::new(url.as_ref())
    }
}

#[derive(Debug)]
enum Sasl {
    /// PLAIN with the URL's credentials, or ANONYMOUS.
    ByUrl,
    Mechanism(Box<dyn ClientMechanism>),
    None,
}

/// A connection that is to be made.
#[derive(Debug)]
#[must_use = "call connect"]
pub struct ClientBuilder {
    url: Result<Url, Error>,
    dial: Option<(String, u16)>,
    #[cfg(feature = "tls")]
    tls: Option<TlsClient>,
    #[cfg(feature = "tls")]
    tls_by_header: bool,
    server_name: Option<String>,
    sasl: Sasl,
    config: ConnectionConfig,
    connect_timeout: Duration,
    operation_timeout: Duration,
    write_timeout: Option<Option<Duration>>,
    /// Another limit for outcomes than that.
    outcome_timeout: Option<Option<Duration>>,
    observed: Observed,
}

impl ClientBuilder {
    fn new(url: &str) -> Self {
        let url = Url::parse(url);
        let mut config = ConnectionConfig::new(names::container());
        config.hostname = url.as_ref().ok().map(|url| Str::from(url.host.as_str()));
        config.tolerances = amqp1_engine::Tolerances::CLIENT;
        Self {
            url,
            dial: None,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            tls_by_header: false,
            server_name: None,
            sasl: Sasl::ByUrl,
            config,
            connect_timeout: Duration::from_secs(30),
            operation_timeout: Duration::from_secs(60),
            write_timeout: None,
            outcome_timeout: None,
            observed: Observed::default(),
        }
    }

    /// Sets the name of this container (§2.7.1).
    pub fn container_id(mut self, name: impl Into<Str>) -> Self {
        self.config.container_id = name.into();
        self
    }

    /// Sets the host that is named in open and in SASL; the URL's otherwise.
    pub fn hostname(mut self, hostname: impl Into<Str>) -> Self {
        self.config.hostname = Some(hostname.into());
        self
    }

    /// Sets the name that the server's certificate must be for; the URL's host otherwise.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Connects to another host and port; the certificate and `open` still use the URL's host.
    pub fn dial(mut self, host: impl Into<String>, port: u16) -> Self {
        self.dial = Some((host.into(), port));
        self
    }

    /// Sets the SASL mechanism, one of [`auth::sasl`](crate::auth::sasl) or one's own. Without this it is PLAIN if the
    /// URL has credentials, and ANONYMOUS otherwise.
    pub fn sasl(mut self, mechanism: impl ClientMechanism + 'static) -> Self {
        self.sasl = Sasl::Mechanism(Box::new(mechanism));
        self
    }

    /// Sets SCRAM as the SASL mechanism, with a nonce that is drawn for it: the password does not travel, and the
    /// server has to show that it knows it too. What is wrong with the user name or the password comes out of
    /// [`connect`](Self::connect).
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), amqp1::Error> {
    /// use amqp1::{Client, auth::sasl::scram::ScramHash};
    ///
    /// let client = Client::builder("amqps://broker.example").scram(ScramHash::Sha256, "user", "pencil");
    /// let connection = client.connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn scram(mut self, hash: ScramHash, user: impl Into<String>, password: impl Into<String>) -> Self {
        match Scram::new(hash, user, password, nonce::nonce()) {
            Ok(scram) => self.sasl(scram),
            Err(error) => {
                // Where the other mistakes are kept, the first of which is told.
                self.url = self.url.and(Err(Error::new(ErrorKind::Config, error.to_string())));
                self
            }
        }
    }

    /// Begins with AMQP's own header, without a SASL layer.
    pub fn no_sasl(mut self) -> Self {
        self.sasl = Sasl::None;
        self
    }

    /// Sets whom to trust and how to show who this is; what the platform trusts otherwise.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsClient) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Has TLS begin with AMQP's protocol header for it (§5.2.1), as a server wants that has one port for clients with and
    /// without TLS; from the first octet otherwise. The URL says `amqps` all the same, with that port if it is not 5671. A
    /// server that answers with another header gets nothing more.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), amqp1::Error> {
    /// let client = amqp1::Client::builder("amqps://broker.example:5672").tls_by_header();
    /// let connection = client.connect().await?;
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls_by_header(mut self) -> Self {
        self.tls_by_header = true;
        self
    }

    /// Changes anything about the connection. For example, which deviations of the peer are accepted;
    /// [`Tolerances::CLIENT`](crate::connection::Tolerances::CLIENT) unless set:
    ///
    /// ```
    /// use amqp1::{Client, connection::Tolerances};
    ///
    /// let builder = Client::builder("amqp://localhost").config(|config| config.tolerances = Tolerances::STRICT);
    /// ```
    pub fn config(mut self, change: impl FnOnce(&mut ConnectionConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Bounds connecting, from the name's resolution to the peer's open; 30 s unless set.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Bounds beginning, attaching, sending, draining, detaching and closing, each; 60 s unless set.
    pub fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.operation_timeout = timeout;
        self
    }

    /// Bounds the wait for each outcome; as long as the [operation time-out](Self::operation_timeout) unless set, `None` for
    /// no limit. Each link may say otherwise ([`SenderBuilder::outcome_timeout`](crate::link::SenderBuilder::outcome_timeout)).
    pub fn outcome_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.outcome_timeout = Some(timeout.into());
        self
    }

    /// Sets when a silent peer is given up; 60 s unless set, `None` for never.
    pub fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.config.idle_timeout = timeout;
        self
    }

    /// Sets how long a peer may read nothing of what is written to it, whatever it writes itself; the idle time-out unless
    /// set, `None` for no limit. Beyond it the connection ends with [`ErrorKind::WriteTimeout`]. Some brokers stop reading
    /// from senders while they are short of memory: set more if you would rather wait.
    ///
    /// A transport of your own that buffers must wake the writer when it has written more, and for no other reason.
    /// Otherwise slow peers are cut and silent ones are not.
    pub fn write_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.write_timeout = Some(timeout);
        self
    }

    /// Sets who is told what is sent and received on the connection: see [`Observer`].
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observed = Observed(Some(observer));
        self
    }

    /// Connects, authenticates, and opens the connection. If the host has several addresses, they are tried in an
    /// overlapping way: the families in turn, each 250 ms after the one before (RFC 8305).
    ///
    /// # Errors
    ///
    /// If any of that fails or takes too long; [`Error::kind`] says which, and the text names the host, the port and the
    /// stage: resolve, TCP, TLS, SASL or open.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the connection is closed.
    pub async fn connect(self) -> Result<Connection, Error> {
        let url = self.url.clone()?;
        self.config.check_open()?;
        let (host, port) = self.dial.clone().unwrap_or_else(|| (url.host.clone(), url.port));
        let attempt = self.attempt(&host, port);
        if url.tls {
            return self.connect_tls(&url, &host, port, &attempt).await;
        }
        #[cfg(feature = "tls")]
        if self.tls.is_some() || self.tls_by_header {
            // A caller who configures TLS must not get a connection without it.
            return Err(Error::new(ErrorKind::Config, "TLS is set up, but the URL says amqp: write amqps"));
        }
        let tcp = dial(&host, port, &attempt).await?;
        let attempt = attempt.with_peer(tcp.peer_addr().ok());
        self.open(&url, tcp, Security::default(), &attempt).await
    }

    fn attempt(&self, host: &str, port: u16) -> Attempt {
        let host = printable(host).limit(300);
        let what = if host.to_string().contains(':') {
            format!("cannot connect to [{host}]:{port}")
        } else {
            format!("cannot connect to {host}:{port}")
        };
        Attempt::begin(what, self.connect_timeout)
    }

    #[cfg(feature = "tls")]
    async fn connect_tls(self, url: &Url, host: &str, port: u16, attempt: &Attempt) -> Result<Connection, Error> {
        let tls = self.tls.clone().map_or_else(TlsClient::platform, Ok)?;
        let name = self.server_name.clone().unwrap_or_else(|| url.host.clone());
        let connector = transport::Connector::new(&tls, &name)?;
        let mut tcp = dial(host, port, attempt).await?;
        let attempt = &attempt.clone().with_peer(tcp.peer_addr().ok());
        let by_header = self.tls_by_header;
        let handshake = async {
            if by_header {
                transport::header::ask(&mut tcp).await?;
            }
            connector.connect(tcp).await
        };
        let (stream, security) = attempt.stage(Stage::Tls, handshake).await?;
        self.open(url, stream, security, attempt).await
    }

    #[cfg(not(feature = "tls"))]
    async fn connect_tls(self, _: &Url, _: &str, _: u16, _: &Attempt) -> Result<Connection, Error> {
        Err(Error::new(ErrorKind::Config, "amqps needs the feature tls"))
    }

    /// Opens the connection on a byte stream of one's own: nothing is dialled, and TLS, if any, is the stream's
    /// business.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the connection is closed.
    pub async fn connect_with<IO>(self, io: IO) -> Result<Connection, Error>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let url = self.url.clone()?;
        self.config.check_open()?;
        #[cfg(feature = "tls")]
        if self.tls_by_header {
            return Err(Error::new(ErrorKind::Config, "TLS by its header needs a connection that is dialled here"));
        }
        let attempt = self.attempt(&url.host, url.port);
        self.open(&url, io, Security::default(), &attempt).await
    }

    async fn open<IO>(self, url: &Url, io: IO, security: Security, attempt: &Attempt) -> Result<Connection, Error>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let no_credentials = matches!((&self.sasl, &url.plain), (Sasl::ByUrl, None));
        let mechanism: Option<Box<dyn ClientMechanism>> = match (self.sasl, &url.plain) {
            (Sasl::None, _) => None,
            (Sasl::Mechanism(mechanism), _) => Some(mechanism),
            (Sasl::ByUrl, None) => Some(Box::new(Anonymous::default())),
            (Sasl::ByUrl, Some(plain)) => Some(Box::new(plain.clone())),
        };
        let write_timeout = self.write_timeout.unwrap_or(self.config.idle_timeout);
        let outcome_timeout = self.outcome_timeout.unwrap_or(Some(self.operation_timeout));
        let config = ConnectionConfig { handle_timeout: self.operation_timeout, ..self.config };
        let peer = attempt.peer.or_else(|| transport::peer_address(&io));
        let info = ConnectionInfo::new(false, peer, config.container_id.clone());
        let shared = Shared::new(|now| Engine::client(config, mechanism, now), None, outcome_timeout);
        driver::spawn(&shared, io, Setup { write_timeout, connection: info, observed: self.observed })?;
        let connection = Connection::new(shared, self.operation_timeout, security);
        match attempt.engine(&connection, connection.opened()).await {
            Ok(()) => Ok(connection),
            Err(Failure::Late(error)) => Err(error),
            Err(Failure::Ended(stage, error)) => {
                // Some servers of TLS say nothing to those who do not begin with it.
                let silent = error.kind() == ErrorKind::TransportLost
                    && !url.tls
                    && !connection.shared().look(|state| state.engine.has_heard());
                let hint = match silent {
                    true => Some("it said nothing: if this port speaks TLS, use amqps://"),
                    false => no_credentials.then(|| connection.shared().look(plain_hint)).flatten(),
                };
                let error = if let Some(hint) = hint { error.with_hint(hint) } else { error };
                Err(attempt.failed(stage, error))
            }
        }
    }
}

/// A hint for a client without credentials at a server that offers PLAIN.
fn plain_hint(state: &mut State) -> Option<&'static str> {
    match &state.closed {
        Some(ConnectionError::Sasl(SaslFailure::NotOffered { offered, .. })) => {
            let plain = offered.iter().any(|mechanism| mechanism.as_str() == plain::NAME);
            plain.then_some("put user:password@ before the host of the URL")
        }
        _ => None,
    }
}

/// Resolves and connects.
async fn dial(host: &str, port: u16, attempt: &Attempt) -> Result<TcpStream, Error> {
    let addresses = attempt.stage(Stage::Resolve, transport::resolve(host, port)).await?;
    transport::connect(addresses, attempt.deadline()).await.map_err(|error| match error.kind() {
        ErrorKind::Timeout => attempt.late_after(Stage::Tcp, error),
        _ => attempt.failed(Stage::Tcp, error),
    })
}
