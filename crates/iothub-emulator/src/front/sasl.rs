//! Who is talking, as far as SASL says it.

use std::sync::{Arc, OnceLock};

use amqp1::acceptor::{Authenticator, SaslAttempt, SaslDecision};
use amqp1::auth::sasl::{anonymous, mssbcbs, plain};
use amqp1::codec::sasl::SaslCode;
use bytes::Bytes;

use crate::clock::BoxFuture;
use crate::grants::Grants;
use crate::hub::UnixMillis;
use crate::shared::Shared;
use crate::token::{Presented, verify};

/// The mechanisms that are offered, in the hub's order. EXTERNAL is left out: it would need a client certificate, and
/// some clients pick it whenever they see it.
pub(crate) const MECHANISMS: [&str; 3] = [mssbcbs::NAME, anonymous::NAME, plain::NAME];

/// What the hub says on success.
const WELCOME: &[u8] = b"Welcome!";

/// Why no token is taken from a client whose certificate is that of a device.
pub(crate) const KNOWN_BY_CERTIFICATE: &str =
    "this connection is authenticated by its client certificate: no token is taken";

/// Why a client was refused, for the log.
#[derive(Debug)]
pub(crate) struct SaslRefusal {
    /// The user name that it gave.
    pub(crate) user: String,
    pub(crate) why: String,
}

/// Decides for one connection.
#[derive(Debug)]
pub(crate) struct Sasl {
    pub(crate) shared: Arc<Shared>,
    pub(crate) grants: Arc<Grants>,
    /// When the token of SASL PLAIN expires, and the connection with it.
    pub(crate) expires: Arc<OnceLock<UnixMillis>>,
    /// Set when a client is refused.
    pub(crate) refusal: Arc<OnceLock<SaslRefusal>>,
}

impl Sasl {
    fn decide(&self, attempt: &SaslAttempt) -> SaslDecision {
        match attempt.mechanism.as_str() {
            // They authorise nothing but $cbs.
            anonymous::NAME | mssbcbs::NAME => accept(attempt.mechanism.as_str().into()),
            plain::NAME => self.plain(attempt),
            _ => SaslDecision::Refuse(SaslCode::Auth),
        }
    }

    fn plain(&self, attempt: &SaslAttempt) -> SaslDecision {
        let refuse = |user: &str, why: &dyn core::fmt::Display| {
            // The first one counts; there is no second.
            self.refusal.get_or_init(|| SaslRefusal { user: user.into(), why: why.to_string() });
            // The real hub says sys, not auth.
            SaslDecision::Refuse(SaslCode::Sys)
        };
        let credentials = match plain::Credentials::parse(attempt.response.as_deref().unwrap_or_default()) {
            Ok(credentials) => credentials,
            Err(error) => return refuse("unknown", &error),
        };
        let user = credentials.authcid();
        if let Some(certificate) = self.shared.client_certificate(attempt.peer_certificates.as_deref()) {
            self.grants.set_certificate(certificate);
        }
        if self.shared.hub(|hub, _| self.grants.takes_no_tokens(hub)) {
            return refuse(user, &KNOWN_BY_CERTIFICATE);
        }
        let verified = self.shared.hub(|hub, now| {
            let verified = verify(hub, now, Presented::Plain(user), credentials.password())?;
            Ok::<_, crate::token::TokenError>((now, verified))
        });
        match verified {
            Ok((now, verified)) => {
                let _ = self.expires.set(verified.expires);
                match self.grants.put(now, verified) {
                    Ok(()) => accept(user.into()),
                    Err(error) => refuse(user, &error),
                }
            }
            Err(error) => refuse(user, &error),
        }
    }
}

fn accept(identity: String) -> SaslDecision {
    SaslDecision::Accept { identity, additional_data: Some(Bytes::from_static(WELCOME)) }
}

impl Authenticator for Sasl {
    fn authenticate(&self, attempt: SaslAttempt) -> BoxFuture<'_, SaslDecision> {
        let decision = self.decide(&attempt);
        Box::pin(async move { decision })
    }
}
