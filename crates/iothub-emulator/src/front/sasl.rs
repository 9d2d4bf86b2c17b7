//! Who is talking, as far as SASL says it.

use std::sync::{Arc, OnceLock};

use amqp1::auth::sasl::{anonymous, mssbcbs, plain};
use amqp1::codec::sasl::SaslCode;
use amqp1::{Authenticator, SaslAttempt, SaslDecision};
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

/// Decides for one connection.
#[derive(Debug)]
pub(crate) struct Sasl {
    pub(crate) shared: Arc<Shared>,
    pub(crate) grants: Arc<Grants>,
    /// When the token of SASL PLAIN expires, and the connection with it.
    pub(crate) expires: Arc<OnceLock<UnixMillis>>,
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
        let refuse = |reason: &dyn core::fmt::Display| {
            tracing::info!(%reason, "SASL PLAIN refused");
            // The real hub says sys, not auth.
            SaslDecision::Refuse(SaslCode::Sys)
        };
        let credentials = match plain::Credentials::parse(attempt.response.as_deref().unwrap_or_default()) {
            Ok(credentials) => credentials,
            Err(error) => return refuse(&error),
        };
        let user = credentials.authcid();
        let verified = self.shared.hub(|hub, now| {
            let verified = verify(hub, now, Presented::Plain(user), credentials.password())?;
            Ok::<_, crate::token::TokenError>((now, verified))
        });
        match verified {
            Ok((now, verified)) => {
                let _ = self.expires.set(verified.expires);
                match self.grants.put(now, verified) {
                    Ok(()) => accept(user.into()),
                    Err(error) => refuse(&error),
                }
            }
            Err(error) => refuse(&error),
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
