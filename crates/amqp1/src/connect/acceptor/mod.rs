//! The acceptor: connections that the peer begins.

mod authenticator;
mod dialog;
mod sole;

use self::dialog::Dialog;
use crate::{
    connect::{
        attempt::{Attempt, Failure, Stage},
        nonce,
    },
    driver::{self, transport},
    handle::{
        connection::{Connection, Security},
        incoming::{Identity, IncomingConnection},
    },
    state::{
        shared::{SaslStep, ServerState, Shared},
        wait::Place,
    },
    types::{error::Error, names},
};
use amqp1_auth::sasl::{anonymous, external, plain, scram::ScramDecoy};
use amqp1_codec::Symbol;
use amqp1_engine::{Connection as Engine, ConnectionConfig, ServerSasl, SessionConfig, Tolerances};
pub use authenticator::{Authenticator, SaslAttempt, SaslDecision};
use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite};

#[cfg(feature = "tls")]
use crate::driver::transport::{TlsServer, header::Begun};

/// Takes connections that others have made to us. Clones share their configuration.
#[derive(Clone)]
pub struct Acceptor {
    inner: Arc<AcceptorBuilder>,
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("container_id", &self.inner.config.container_id).finish_non_exhaustive()
    }
}

/// An acceptor that is to be made.
#[must_use = "call build"]
pub struct AcceptorBuilder {
    mechanisms: Option<Vec<Symbol>>,
    authenticator: Option<Box<dyn Authenticator>>,
    allow_no_sasl: Option<bool>,
    scram_decoy: ScramDecoy,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    config: ConnectionConfig,
    session_config: SessionConfig,
    operation_timeout: Duration,
    hold_authentication: bool,
    write_timeout: Option<Option<Duration>>,
    outcome_timeout: Option<Duration>,
    sole: Option<sole::Register>,
}

/// When TLS begins.
#[cfg(feature = "tls")]
enum Tls {
    /// With the first octet.
    AtOnce(TlsServer),
    /// With its protocol header (§5.2.1).
    ByHeader { server: TlsServer, required: bool },
}

impl fmt::Debug for AcceptorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptorBuilder").field("mechanisms", &self.mechanisms).finish_non_exhaustive()
    }
}

impl Acceptor {
    /// An acceptor that admits everybody until it is given an authenticator.
    pub fn builder() -> AcceptorBuilder {
        AcceptorBuilder {
            mechanisms: None,
            authenticator: None,
            allow_no_sasl: None,
            scram_decoy: drawn_decoy(),
            #[cfg(feature = "tls")]
            tls: None,
            config: ConnectionConfig { tolerances: Tolerances::ACCEPTOR, ..ConnectionConfig::new(names::container()) },
            session_config: SessionConfig::default(),
            hold_authentication: false,
            operation_timeout: Duration::from_secs(60),
            write_timeout: None,
            outcome_timeout: None,
            sole: None,
        }
    }

    /// Takes a connection: TLS if that is configured, SASL, and the peer's open. The open is not answered yet.
    ///
    /// # Errors
    ///
    /// If any of that fails, or takes longer than the handshake may. A client that takes too long is told: by a SASL
    /// outcome while it is in SASL, by a close with `amqp:resource-limit-exceeded` after that.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the connection is closed.
    pub async fn accept<IO>(&self, io: IO) -> Result<IncomingConnection, Error>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        transport::set_nodelay(&io);
        let what = match transport::peer_address(&io) {
            Some(address) => format!("the handshake with {address} failed"),
            None => "the handshake with a client failed".to_owned(),
        };
        let attempt = Attempt::begin(what, self.inner.config.handshake_timeout);
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.inner.tls {
            let (server, io) = match tls {
                Tls::AtOnce(server) => (server, io),
                Tls::ByHeader { server, required } => {
                    let heard = attempt.stage(Stage::Tls, transport::header::hear(io, *required));
                    match heard.await? {
                        Begun::Tls(io) => (server, io),
                        Begun::Plain(io) => return self.open(io, Security::default(), &attempt).await,
                    }
                }
            };
            let (stream, security) = attempt.stage(Stage::Tls, transport::accept_tls(server, io)).await?;
            return self.open(stream, security, &attempt).await;
        }
        self.open(io, Security::default(), &attempt).await
    }

    async fn open<IO>(&self, io: IO, security: Security, attempt: &Attempt) -> Result<IncomingConnection, Error>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let inner = &self.inner;
        let sasl = inner.sasl(&security);
        let offered = match &sasl {
            ServerSasl::Required(mechanisms) | ServerSasl::Allowed(mechanisms) => mechanisms.clone(),
            ServerSasl::None => Vec::new(),
        };
        let make = |now| {
            let config = ConnectionConfig { handle_timeout: inner.operation_timeout, ..inner.config.clone() };
            let mut engine = Engine::server(config, sasl, now);
            engine.hold_open(true);
            if inner.hold_authentication {
                engine.hold_authentication();
            }
            engine
        };
        let server = ServerState { session_config: inner.session_config.clone(), ..ServerState::default() };
        let shared = Shared::new(make, Some(server), inner.outcome_timeout);
        driver::spawn(&shared, io, inner.write_timeout.unwrap_or(inner.config.idle_timeout))?;
        let connection = Connection::new(shared, inner.operation_timeout, security);
        let identity = match attempt.engine(&connection, self.introduction(&connection, &offered)).await {
            Ok(identity) => identity,
            Err(Failure::Late(error)) => return Err(error),
            Err(Failure::Ended(stage, error)) => return Err(attempt.failed(stage, error)),
        };
        let incoming = IncomingConnection::new(connection, identity);
        match &inner.sole {
            Some(register) => {
                let admitted = tokio::time::timeout_at(attempt.deadline(), register.admit(incoming));
                admitted.await.unwrap_or_else(|_| Err(attempt.late(Stage::Open)))
            }
            None => Ok(incoming),
        }
    }

    /// SASL, until the client's open is there: who it is.
    async fn introduction(&self, connection: &Connection, offered: &[Symbol]) -> Result<Option<Identity>, Error> {
        let mut dialog = Dialog::new(self, connection);
        let mut identity = None;
        loop {
            match next_step(connection.shared()).await {
                Ok(Some(step)) => {
                    let answered = while_open(connection, dialog.answer(step)).await;
                    identity = answered.transpose()?.flatten().or(identity);
                }
                Ok(None) => return Ok(identity),
                Err(error) => return Err(dialog.explain(error, offered)),
            }
        }
    }
}

/// Good for as long as the process lives.
fn drawn_decoy() -> ScramDecoy {
    // Without random octets no dialog of SCRAM begins, so nobody sees what comes of this.
    let secret = nonce::draw().unwrap_or_default();
    ScramDecoy::new(secret.to_vec()).expect("32 octets are enough")
}

/// What comes of something while there is a client that it is for. Otherwise the next step says why there is none.
async fn while_open<T>(connection: &Connection, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut closed) = (pin!(work), pin!(connection.closed()));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => closed.as_mut().poll(cx).map(|_| None),
    })
    .await
}

/// The next step of SASL, or `None` when the peer's open is there.
async fn next_step(shared: &Shared) -> Result<Option<SaslStep>, Error> {
    let step = shared.wait(Place::Connection, |state| {
        let error = state.closed_error();
        let server = state.server.as_mut()?;
        if let Some(error) = error {
            return Some(Err(error));
        }
        match server.sasl.pop_front() {
            Some(step) => Some(Ok(Some(step))),
            None => server.open_received.then_some(Ok(None)),
        }
    });
    step.await?
}

impl AcceptorBuilder {
    /// Sets the SASL mechanisms that clients are offered, most wanted first; ANONYMOUS alone unless set, or PLAIN alone
    /// with an authenticator. EXTERNAL is offered only to clients that have shown a certificate, since some clients
    /// take it whenever it is there.
    pub fn mechanisms(mut self, mechanisms: impl IntoIterator<Item = Symbol>) -> Self {
        self.mechanisms = Some(mechanisms.into_iter().collect());
        self
    }

    /// Sets who decides who a client is. Without one everybody is accepted, whatever they say, and SASL may be left
    /// out.
    pub fn authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticator = Some(Box::new(authenticator));
        self
    }

    /// Sets whether clients may leave SASL out. With an authenticator they may not, unless this says so.
    pub fn allow_no_sasl(mut self, allow: bool) -> Self {
        self.allow_no_sasl = Some(allow);
        self
    }

    /// Sets what clients of SCRAM are told of users that do not exist. Drawn anew for each acceptor unless set, with
    /// salts of 16 octets and 4096 iterations: set it where the credentials have others, and where such users should
    /// look the same after a restart, and on each of several servers, as the others do.
    pub fn scram_decoy(mut self, decoy: ScramDecoy) -> Self {
        self.scram_decoy = decoy;
        self
    }

    /// Begins every connection with TLS.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsServer) -> Self {
        self.tls = Some(Tls::AtOnce(tls));
        self
    }

    /// Takes TLS from clients that ask for it with its protocol header (§5.2.1). Others are answered with that header, and
    /// the end.
    #[cfg(feature = "tls")]
    pub fn tls_by_header(mut self, tls: TlsServer) -> Self {
        self.tls = Some(Tls::ByHeader { server: tls, required: true });
        self
    }

    /// As [`tls_by_header`](Self::tls_by_header), and clients that do not ask for it are served without TLS: whatever they
    /// say, passwords included, can be read on the way.
    #[cfg(feature = "tls")]
    pub fn tls_by_header_or_none(mut self, tls: TlsServer) -> Self {
        self.tls = Some(Tls::ByHeader { server: tls, required: false });
        self
    }

    /// Changes anything about the connections. For example, which deviations of clients are accepted;
    /// [`Tolerances::ACCEPTOR`](crate::Tolerances::ACCEPTOR) unless set:
    ///
    /// ```
    /// use amqp1::{Acceptor, Tolerances};
    ///
    /// let builder = Acceptor::builder().config(|config| config.tolerances = Tolerances::STRICT);
    /// ```
    pub fn config(mut self, change: impl FnOnce(&mut ConnectionConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Sets whether the limits for clients that are not authenticated
    /// ([`max_metadata_unauthenticated`](ConnectionConfig::max_metadata_unauthenticated)) hold until
    /// [`Connection::set_authenticated`], and not just until the client's open is accepted: for servers that
    /// authenticate by other means than SASL, such as claims on `$cbs`.
    pub fn hold_authentication(mut self, hold: bool) -> Self {
        self.hold_authentication = hold;
        self
    }

    /// Sets how sessions that clients begin are accepted.
    pub fn session_config(mut self, config: SessionConfig) -> Self {
        self.session_config = config;
        self
    }

    /// Bounds the handshake: TLS, SASL and the peer's open; 30 s unless set.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.config.handshake_timeout = timeout;
        self
    }

    /// Bounds waiting for credit, draining, detaching and closing, each; 60 s unless set. Outcomes are waited for as
    /// [`outcome_timeout`](Self::outcome_timeout) says.
    pub fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.operation_timeout = timeout;
        self
    }

    /// Sets when a client is given up that reads nothing of what is written to it, whatever it writes itself; as the idle
    /// time-out unless set, `None` for never. A transport of your own that buffers has to wake the writer when it has written
    /// on, and not for other reasons, or slow peers are cut and silent ones are not. The connection then ends with
    /// [`ErrorKind::WriteTimeout`](crate::ErrorKind::WriteTimeout).
    pub fn write_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.write_timeout = Some(timeout);
        self
    }

    /// Bounds the wait for each outcome; no limit unless set, since a client may work on a message for as long as it has to.
    /// Each link may say otherwise ([`Sender::set_outcome_timeout`](crate::Sender::set_outcome_timeout)).
    pub fn outcome_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.outcome_timeout = timeout.into();
        self
    }

    /// Offers clients that their container has one connection (the extension `sole-connection-for-container`). For those
    /// that desire it, a second connection of the same container and identity is refused, as
    /// [`accept`](Acceptor::accept) then says; or, with the property `sole-connection-enforcement-policy` of 1, the first
    /// one is closed before the second is there. Where both connections ask for it, what the first one has asked for counts.
    /// The answer to the open announces the policy. Clones of the acceptor count together.
    pub fn sole_connections(mut self) -> Self {
        if self.sole.is_none() {
            self.sole = Some(sole::Register::default());
            self.config.offered_capabilities.push(sole::CAPABILITY);
            sole::announce(&mut self.config.properties);
        }
        self
    }

    /// Which layers are wanted of a client.
    fn sasl(&self, security: &Security) -> ServerSasl {
        let default = if self.authenticator.is_some() { plain::NAME } else { anonymous::NAME };
        let mut mechanisms = self.mechanisms.clone().unwrap_or_else(|| vec![Symbol::from_static(default)]);
        if mechanisms.is_empty() {
            // Nothing to authenticate with is no permission to go without.
            let open = self.allow_no_sasl.unwrap_or_else(|| self.authenticator.is_none());
            return if open { ServerSasl::None } else { ServerSasl::Required(mechanisms) };
        }
        let external = |mechanism: &Symbol| mechanism.as_str() == external::NAME;
        // Where there is nothing else, it is offered and the authenticator refuses.
        if !security.has_certificate() && !mechanisms.iter().all(external) {
            mechanisms.retain(|mechanism| !external(mechanism));
        }
        if self.allow_no_sasl.unwrap_or_else(|| self.authenticator.is_none()) {
            ServerSasl::Allowed(mechanisms)
        } else {
            ServerSasl::Required(mechanisms)
        }
    }

    /// The acceptor.
    pub fn build(self) -> Acceptor {
        Acceptor { inner: Arc::new(self) }
    }
}
