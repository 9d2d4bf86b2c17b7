//! A connection to a hub, authenticated, with a session to attach links in.

use crate::{
    credential::{Auth, Signer, TOKEN_LIFETIME, now},
    error::{Error, ErrorKind, Subject},
    tokens::{Authorized, Keeper, Scope},
};
use amqp1::{
    Client, ClientBuilder, Connection, Delivered, Session,
    auth::{
        UnixSeconds,
        cbs::RenewalPolicy,
        connection_string::HostPort,
        sasl::{Mssbcbs, Plain},
    },
    cbs::Cbs,
    tls::TlsClient,
};
use std::{fmt, path::Path, time::Duration};
use zeroize::Zeroizing;

/// AMQP over TLS, from the first octet.
pub(crate) const AMQPS: u16 = 5671;

/// The largest message that is taken, in octets: the service's links take as much, and its messages are smaller.
pub(crate) const MAX_MESSAGE_SIZE: u64 = 1024 * 1024;

/// What the clients' builders have in common.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) auth: Auth,
    tls: Option<TlsClient>,
    certificate: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
    pub(crate) connect_timeout: Duration,
    pub(crate) operation_timeout: Duration,
    pub(crate) token_lifetime: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            auth: Auth::default(),
            tls: None,
            certificate: None,
            connect_timeout: Duration::from_secs(30),
            operation_timeout: Duration::from_secs(60),
            token_lifetime: TOKEN_LIFETIME,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("auth", &self.auth)
            .field("own_ca", &self.tls.is_some())
            .field("certificate", &self.certificate.is_some())
            .field("connect_timeout", &self.connect_timeout)
            .field("operation_timeout", &self.operation_timeout)
            .field("token_lifetime", &self.token_lifetime)
            .finish()
    }
}

impl Settings {
    pub(crate) fn ca_pem(&mut self, pem: &[u8]) -> Result<(), Error> {
        self.tls = Some(TlsClient::with_ca_pem(pem).map_err(unusable)?);
        Ok(())
    }

    pub(crate) fn ca_file(&mut self, path: &Path) -> Result<(), Error> {
        self.tls = Some(TlsClient::with_ca_file(path).map_err(unusable)?);
        Ok(())
    }

    pub(crate) fn certificate(&mut self, chain_pem: &[u8], key_pem: &[u8]) {
        self.certificate = Some((chain_pem.to_vec(), Zeroizing::new(key_pem.to_vec())));
    }

    pub(crate) fn has_certificate(&self) -> bool {
        self.certificate.is_some()
    }

    pub(crate) fn tls(&self) -> Result<TlsClient, Error> {
        let tls = match &self.tls {
            Some(tls) => tls.clone(),
            None => TlsClient::platform().map_err(unusable)?,
        };
        match &self.certificate {
            Some((chain, key)) => tls.client_certificate(chain, key).map_err(unusable),
            None => Ok(tls),
        }
    }
}

fn unusable(error: amqp1::Error) -> Error {
    Error::new(ErrorKind::Tls, error.to_string()).with_source(error)
}

/// Setters that every client's builder has.
macro_rules! shared_setters {
    () => {
        /// Trusts these certificate authorities, in PEM, instead of the platform's: for a hub on one's own machine.
        /// Verification cannot be switched off.
        ///
        /// # Errors
        ///
        /// [`ErrorKind::Tls`](crate::ErrorKind::Tls) if the text holds no certificate.
        pub fn ca_pem(mut self, pem: impl AsRef<[u8]>) -> Result<Self, $crate::Error> {
            self.settings.ca_pem(pem.as_ref())?;
            Ok(self)
        }

        /// As [`ca_pem`](Self::ca_pem), from a file.
        ///
        /// # Errors
        ///
        /// [`ErrorKind::Tls`](crate::ErrorKind::Tls) if the file cannot be read or holds no certificate.
        pub fn ca_file(mut self, path: impl AsRef<std::path::Path>) -> Result<Self, $crate::Error> {
            self.settings.ca_file(path.as_ref())?;
            Ok(self)
        }

        /// Bounds connecting, from the name's resolution to the hub's open; 30 s unless set.
        pub fn connect_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.settings.connect_timeout = timeout;
            self
        }

        /// Bounds every other exchange with the hub, each; 60 s unless set. Waiting for messages is not bounded.
        pub fn operation_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.settings.operation_timeout = timeout;
            self
        }

        /// Sets how long the tokens are good for that are signed with the connection string's key, in whole seconds;
        /// 1 h unless set. They are renewed after four fifths of it.
        pub fn token_lifetime(mut self, lifetime: std::time::Duration) -> Self {
            self.settings.token_lifetime = lifetime;
            self
        }
    };
}
pub(crate) use shared_setters;

/// Setters that the builders of clients over AMQP have.
macro_rules! common_setters {
    () => {
        $crate::connect::shared_setters!();

        /// Sets how the client shows who it is; [`Auth::Cbs`](crate::Auth::Cbs) unless set.
        pub fn auth(mut self, auth: $crate::Auth) -> Self {
            self.settings.auth = auth;
            self
        }
    };
}
pub(crate) use common_setters;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Whom its certificate must be for, and who is named in SASL and open.
    pub(crate) name: String,
    /// What is dialled.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
}

impl Place {
    pub(crate) fn of(host: &HostPort) -> Self {
        let name = host.host().to_owned();
        Self { host: name.clone(), name, port: host.port_or(AMQPS), tls: true }
    }

    fn url(&self) -> String {
        let scheme = if self.tls { "amqps" } else { "amqp" };
        if self.name.contains(':') {
            format!("{scheme}://[{}]:{}", self.name, self.port)
        } else {
            format!("{scheme}://{}:{}", self.name, self.port)
        }
    }
}

/// How a connection shows who is there.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// Tokens put to `$cbs`.
    Cbs(Signer),
    /// The client certificate of the TLS layer.
    Certificate,
    /// A token as a password.
    Plain { user: String, signer: Signer },
}

/// A connection to a place that is to be made, without what it authenticates with.
pub(crate) fn client(place: &Place, settings: &Settings) -> Result<ClientBuilder, Error> {
    let builder = Client::builder(place.url())
        .dial(&place.host, place.port)
        .connect_timeout(settings.connect_timeout)
        .operation_timeout(settings.operation_timeout);
    Ok(if place.tls { builder.tls(settings.tls()?) } else { builder })
}

/// An authenticated connection and the session for its links; or the session of one identity among others on a
/// connection. Closed when dropped, links apart.
#[derive(Debug)]
pub(crate) struct Hub {
    connection: Connection,
    pub(crate) session: Session,
    subject: Subject,
    operation_timeout: Duration,
    keeper: Option<Keeper>,
    /// When the token expires that SASL PLAIN was done with, and whether there can be another.
    expiry: Option<(UnixSeconds, bool)>,
    /// Whether others have sessions on the connection, which this one must leave to them.
    shared: bool,
}

impl Hub {
    /// Connects, authenticates, and begins a session.
    pub(crate) async fn open(
        place: &Place,
        proof: Proof,
        settings: &Settings,
        subject: Subject,
    ) -> Result<Self, Error> {
        // A token may have been delivered; nothing that the caller has sent was.
        Self::connect(place, proof, settings, subject).await.map_err(|error| error.about(Delivered::No))
    }

    async fn connect(place: &Place, proof: Proof, settings: &Settings, subject: Subject) -> Result<Self, Error> {
        let builder = client(place, settings)?;
        let mut expiry = None;
        let builder = match &proof {
            Proof::Cbs(_) => builder.sasl(Mssbcbs::default()),
            // What the vendor's clients do with a certificate.
            Proof::Certificate => builder.no_sasl(),
            Proof::Plain { user, signer } => {
                let token = signer.token(now()).await?;
                expiry = Some((token.expiry(), signer.can_renew()));
                let plain = Plain::new(user, token.into_secret_text());
                builder.sasl(plain.map_err(|error| Error::invalid(error.to_string()).with_source(error))?)
            }
        };
        let connection = builder.connect().await.map_err(|error| subject.error(error))?;
        let keeper = match proof {
            Proof::Cbs(signer) => {
                let cbs = Cbs::open(&connection).await.map_err(|error| subject.error(error))?;
                let authorized = Authorized::put(cbs, signer, subject, RenewalPolicy::default()).await?;
                Some(Keeper::watch(Scope::Connection(connection.clone()), authorized))
            }
            _ => None,
        };
        let session = connection.begin().await.map_err(|error| subject.error(error))?;
        let operation_timeout = settings.operation_timeout;
        Ok(Self { connection, session, subject, operation_timeout, keeper, expiry, shared: false })
    }

    /// Authorizes one identity on a connection that others use as well, and begins a session for it.
    pub(crate) async fn join(
        connection: &Connection,
        cbs: &Cbs,
        signer: Signer,
        operation_timeout: Duration,
        policy: RenewalPolicy,
    ) -> Result<Self, Error> {
        let subject = Subject::Device;
        // The session afterwards: a hub grants few to a client of which it knows nothing yet.
        let authorized = Authorized::put(cbs.clone(), signer, subject, policy).await;
        let authorized = authorized.map_err(|error| error.about(Delivered::No))?;
        let session = connection.begin().await.map_err(|error| subject.error(error).about(Delivered::No))?;
        let keeper = Some(Keeper::watch(Scope::Session(session.clone()), authorized));
        let connection = connection.clone();
        Ok(Self { connection, session, subject, operation_timeout, keeper, expiry: None, shared: true })
    }

    /// What an error of a link means, given what became of the connection and its token.
    pub(crate) fn error(&self, error: amqp1::Error) -> Error {
        if let Some(failure) = self.keeper.as_ref().and_then(Keeper::failure) {
            return failure.about(error.delivered());
        }
        let error = self.subject.error(error);
        let ended = matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::ConnectionLost);
        match self.expiry {
            Some((expiry, renewable)) if ended && expiry <= now() => {
                let expired = Error::new(ErrorKind::TokenExpired, "the connection's token has expired: connect again");
                expired.with_retry(renewable, None).about(error.delivered()).with_source(error)
            }
            _ => error,
        }
    }

    /// Why the client has ended by itself, if it has.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.keeper.as_ref().and_then(Keeper::failure) {
            // Of what is asked for now, nothing was sent.
            Some(failure) => Err(failure.about(Delivered::No)),
            None => Ok(()),
        }
    }

    pub(crate) const fn operation_timeout(&self) -> Duration {
        self.operation_timeout
    }

    /// Writes what is queued, settlements included, and closes the connection.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        if let Some(keeper) = &self.keeper {
            keeper.stop();
        }
        if self.shared {
            return match self.session.end().await {
                // It was ended before, which is what was wanted.
                Err(error) if error.kind() == amqp1::ErrorKind::Closed => Ok(()),
                ended => ended.map_err(|error| self.error(error)),
            };
        }
        match self.connection.close().await {
            // It was closed before, which is what was wanted.
            Err(error) if error.kind() == amqp1::ErrorKind::Closed => Ok(()),
            closed => closed.map_err(|error| self.error(error)),
        }
    }
}
