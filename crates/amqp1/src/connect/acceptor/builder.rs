//! How an acceptor is configured.

use super::{authenticator::Authenticator, sole};
use crate::{
    connect::nonce,
    observe::{Observed, Observer},
    types::{names, security::Security},
};
use amqp1_auth::sasl::{anonymous, external, plain, scram::ScramDecoy};
use amqp1_codec::Symbol;
use amqp1_engine::{ConnectionConfig, ServerSasl, SessionConfig, Tolerances};
use std::{fmt, sync::Arc, time::Duration};

#[cfg(feature = "tls")]
use crate::driver::transport::TlsServer;

/// An acceptor that is to be made.
#[must_use = "call build"]
pub struct AcceptorBuilder {
    pub(super) mechanisms: Option<Vec<Symbol>>,
    pub(super) authenticator: Option<Box<dyn Authenticator>>,
    pub(super) allow_no_sasl: Option<bool>,
    pub(super) scram_decoy: ScramDecoy,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Tls>,
    pub(super) config: ConnectionConfig,
    pub(super) session_config: SessionConfig,
    pub(super) operation_timeout: Duration,
    pub(super) hold_authentication: bool,
    pub(super) write_timeout: Option<Option<Duration>>,
    pub(super) outcome_timeout: Option<Duration>,
    pub(super) sole: Option<sole::Register>,
    pub(super) observed: Observed,
}

/// When TLS begins.
#[cfg(feature = "tls")]
pub(super) enum Tls {
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

/// Good for as long as the process lives.
fn drawn_decoy() -> ScramDecoy {
    // Without random octets no dialog of SCRAM begins, so this has no effect that can be seen.
    let secret = nonce::draw().unwrap_or_default();
    ScramDecoy::new(secret.to_vec()).expect("32 octets are enough")
}

impl AcceptorBuilder {
    pub(super) fn new() -> Self {
        Self {
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
            observed: Observed::default(),
        }
    }

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

    /// Sets the salts and iterations that clients of SCRAM are told for users that do not exist: drawn at random for each
    /// acceptor unless set, with salts of 16 octets and 4096 iterations. Set it where the credentials have others, and
    /// where such users should look the same after a restart, and on each of several servers, as the others do.
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
    /// [`Tolerances::ACCEPTOR`](crate::connection::Tolerances::ACCEPTOR) unless set:
    ///
    /// ```
    /// use amqp1::{Acceptor, connection::Tolerances};
    ///
    /// let builder = Acceptor::builder().config(|config| config.tolerances = Tolerances::STRICT);
    /// ```
    pub fn config(mut self, change: impl FnOnce(&mut ConnectionConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Sets whether the limits for clients that are not authenticated
    /// ([`max_metadata_unauthenticated`](ConnectionConfig::max_metadata_unauthenticated)) hold until
    /// [`Connection::set_authenticated`](crate::Connection::set_authenticated), and not just until the client's open is
    /// accepted: for servers that authenticate by other means than SASL, such as claims on `$cbs`.
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

    /// Sets who is told what is sent and received on the connections: see [`Observer`].
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observed = Observed(Some(observer));
        self
    }

    /// Offers clients that their container has one connection (the extension `sole-connection-for-container`). For those
    /// that desire it, a second connection of the same container and identity is refused, as
    /// [`accept`](crate::Acceptor::accept) then says; or, with the property `sole-connection-enforcement-policy` of 1, the first
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
    pub(super) fn sasl(&self, security: &Security) -> ServerSasl {
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
}
