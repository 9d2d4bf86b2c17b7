//! Who a client is: asked of the application.

use crate::types::future::BoxFuture;
use amqp1_auth::sasl::scram::{ScramHash, StoredCredential};
use amqp1_codec::{Str, Symbol, sasl::SaslCode};
use bytes::Bytes;
use std::fmt;

/// Decides who a client is. It may look things up: the connection waits, within its handshake's time.
///
/// Passwords in the clear come to [`authenticate`](Self::authenticate), which PLAIN over TLS may do:
///
/// ```
/// use amqp1::{acceptor::{Authenticator, BoxFuture, SaslAttempt, SaslCode, SaslDecision}, auth::sasl::plain::Credentials};
///
/// struct OneUser;
///
/// impl Authenticator for OneUser {
///     fn authenticate(&self, attempt: SaslAttempt) -> BoxFuture<'_, SaslDecision> {
///         Box::pin(async move {
///             match Credentials::parse(attempt.response.as_deref().unwrap_or_default()) {
///                 Ok(user) if user.authcid() == "user" && user.password_matches("pencil") => {
///                     SaslDecision::Accept { identity: "user".to_owned(), additional_data: None }
///                 }
///                 _ => SaslDecision::Refuse(SaslCode::Auth),
///             }
///         })
///     }
/// }
/// # amqp1::Acceptor::builder().authenticator(OneUser).build();
/// ```
///
/// With SCRAM the server never sees them:
///
/// ```
/// use amqp1::{Acceptor, acceptor::{Authenticator, BoxFuture, SaslCode, ScramHash, StoredCredential}, Symbol};
///
/// /// One user; a real one looks into a database.
/// struct Users(StoredCredential);
///
/// impl Authenticator for Users {
///     fn scram_credential<'a>(
///         &'a self,
///         user: &'a str,
///         _: ScramHash,
///     ) -> BoxFuture<'a, Result<Option<StoredCredential>, SaslCode>> {
///         Box::pin(async move { Ok((user == "user").then(|| self.0.clone())) })
///     }
/// }
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let salt = b"drawn at random once".as_slice();
/// let users = Users(StoredCredential::from_password(ScramHash::Sha256, "pencil", salt, 4096)?);
/// let acceptor = Acceptor::builder().authenticator(users).mechanisms([Symbol::from_static("SCRAM-SHA-256")]).build();
/// # Ok(()) }
/// # example().unwrap();
/// ```
pub trait Authenticator: Send + Sync + 'static {
    /// Looks at what the client has said.
    ///
    /// The parsers are in [`auth::sasl`](crate::auth::sasl): `plain::Credentials`, `oauthbearer::Request` and so on.
    /// The SCRAM mechanisms do not come here, but to [`scram_credential`](Self::scram_credential). Who chooses EXTERNAL
    /// without having shown a certificate is refused without this being asked.
    ///
    /// Unless it is overridden everybody is refused.
    fn authenticate(&self, _attempt: SaslAttempt) -> BoxFuture<'_, SaslDecision> {
        Box::pin(std::future::ready(SaslDecision::Refuse(SaslCode::Auth)))
    }

    /// Gives what is stored of a user's password, for the SCRAM mechanisms; the acceptor does the rest. `None` is for
    /// users that do not exist, which the client is not told; an error is an outcome other than ok, as
    /// [`SaslCode::SysTemp`] while a database is down. A user that asks to act as another is refused.
    ///
    /// Unless it is overridden there are no users.
    fn scram_credential<'a>(
        &'a self,
        _user: &'a str,
        _hash: ScramHash,
    ) -> BoxFuture<'a, Result<Option<StoredCredential>, SaslCode>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// A client's part of a SASL dialog so far.
#[derive(Clone)]
#[non_exhaustive]
pub struct SaslAttempt {
    /// The mechanism, one of those offered.
    pub mechanism: Symbol,
    /// The initial response, or the answer to the latest challenge. It may hold a password.
    pub response: Option<Bytes>,
    /// The client's earlier responses, each with the challenge that followed it; empty at first.
    pub earlier: Vec<(Bytes, Bytes)>,
    /// The host that the client believes it talks to.
    pub hostname: Option<Str>,
    /// The certificates that the client has shown in TLS, its own first; `None` if it has shown none.
    #[cfg(feature = "tls")]
    pub peer_certificates: Option<Vec<rustls::pki_types::CertificateDer<'static>>>,
}

impl fmt::Debug for SaslAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaslAttempt")
            .field("mechanism", &self.mechanism)
            .field("hostname", &self.hostname)
            .field("challenges", &self.earlier.len())
            .finish_non_exhaustive()
    }
}

/// The authenticator's decision about a client.
#[derive(Clone)]
pub enum SaslDecision {
    /// It is this one.
    Accept {
        /// Who it is: for [`IncomingConnection::identity`](crate::acceptor::IncomingConnection::identity).
        identity: String,
        /// Additional data of the outcome.
        additional_data: Option<Bytes>,
    },
    /// It is asked for more: its answer comes to [`Authenticator::authenticate`], with what was said before in
    /// [`SaslAttempt::earlier`]. After 16 challenges it is refused.
    ///
    /// With OAUTHBEARER and XOAUTH2 a challenge only says, in JSON, why the client is refused: its answer is not asked
    /// for, and the outcome is [`SaslCode::Auth`].
    Challenge(Bytes),
    /// It is refused. With OAUTHBEARER and XOAUTH2, [`SaslCode::Auth`] tells it first that the token is invalid.
    Refuse(SaslCode),
}

impl fmt::Debug for SaslDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept { identity, .. } => {
                f.debug_struct("Accept").field("identity", identity).finish_non_exhaustive()
            }
            Self::Challenge(_) => f.write_str("Challenge(..)"),
            Self::Refuse(code) => f.debug_tuple("Refuse").field(code).finish(),
        }
    }
}
