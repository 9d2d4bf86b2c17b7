//! The token of a connection: put when it begins, renewed while it lives.
//!
//! A renewal that fails for good ends the connection, and its reason is what the client's next call reports: nothing
//! stops silently.

use crate::{
    credential::{Key, Material, Provider, Signer, now},
    error::{Error, ErrorKind, Subject},
};
use amqp1::{
    Connection, Session,
    acceptor::BoxFuture,
    auth::{
        cbs::{PutToken, RenewalPolicy},
        sas::SasToken,
    },
    cbs::{Cbs, Token, TokenProvider, TokenRenewal},
};
use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};
use tokio::task::AbortHandle;

/// The longest time between two looks at the wall clock, which may be set.
const CLOCK_CHECK: Duration = Duration::from_secs(60);

/// Watches over the token of a connection or of one identity on it, in a task that ends with it.
#[derive(Debug)]
pub(crate) struct Keeper {
    task: AbortHandle,
    failure: Arc<OnceLock<Error>>,
}

/// What a token was put for, and what ends without it.
#[derive(Debug)]
pub(crate) enum Scope {
    Connection(Connection),
    /// One identity among others.
    Session(Session),
}

impl Scope {
    async fn ended(&self) {
        match self {
            Self::Connection(connection) => drop(connection.closed().await),
            Self::Session(session) => drop(session.ended().await),
        }
    }

    async fn end(&self) {
        let ended = match self {
            Self::Connection(connection) => connection.close().await,
            Self::Session(session) => session.end().await,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "what a token was for did not end cleanly");
        }
    }
}

/// A token that has been put.
#[derive(Debug)]
pub(crate) struct Authorized {
    cbs: Cbs,
    subject: Subject,
    upkeep: Upkeep,
}

#[derive(Debug)]
enum Upkeep {
    Renewed(TokenRenewal),
    /// Put again, the same token would not live longer.
    Until(SasToken),
}

impl Authorized {
    /// Puts the first token, which is tried once since a caller waits for it.
    pub(crate) async fn put(cbs: Cbs, signer: Signer, subject: Subject, policy: RenewalPolicy) -> Result<Self, Error> {
        let resource = signer.resource().to_owned();
        let upkeep = match signer.material {
            Material::Key(key) => {
                let sign = move |resource: &str| Ok(newly_signed(&key, resource));
                let renewal = cbs.keep_renewed_with(resource, sign, policy).await;
                Upkeep::Renewed(renewal.map_err(|error| subject.error(error))?)
            }
            Material::Provider(provider) => {
                let provided = Provided { provider, failure: Arc::default() };
                let failure = provided.failure.clone();
                let renewal = cbs.keep_renewed_with(resource, provided, policy).await;
                let own = |error| taken(&failure).unwrap_or_else(|| subject.error(error));
                Upkeep::Renewed(renewal.map_err(own)?)
            }
            Material::Token(token) => {
                let put = cbs.put_token(&request(&resource, token.clone())).await;
                put.map_err(|error| subject.error(error))?;
                Upkeep::Until(token)
            }
        };
        Ok(Self { cbs, subject, upkeep })
    }

    /// Resolves when there is no token any more, with the reason; `None` if that is because the connection has ended.
    async fn lost(self) -> Option<Error> {
        let Self { cbs, subject, upkeep } = self;
        let lost = match upkeep {
            Upkeep::Renewed(renewal) => {
                let error = renewal.failed().await;
                let is_final = renewal.failure().is_some_and(|failure| failure.is_final);
                is_final.then(|| subject.error(error))
            }
            Upkeep::Until(token) => {
                while !token.is_expired(now()) {
                    tokio::time::sleep(token.expiry().saturating_duration_since(now()).min(CLOCK_CHECK)).await;
                }
                let sentence = "the SharedAccessSignature of the connection string has expired: get a new one";
                Some(Error::new(ErrorKind::TokenExpired, sentence))
            }
        };
        drop(cbs);
        lost
    }
}

/// Asks the application for tokens, and keeps what it says when it has none.
struct Provided {
    provider: Provider,
    failure: Arc<Mutex<Option<Error>>>,
}

impl TokenProvider for Provided {
    fn token<'a>(&'a self, audience: &'a str) -> BoxFuture<'a, Result<Token, amqp1::Error>> {
        Box::pin(async move {
            let token = self.provider.fetch(audience).await.map_err(|error| {
                let why = amqp1::Error::no_token(&error);
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                why
            })?;
            let expiry = token.expiry();
            Ok(Token::new(request(audience, token), expiry))
        })
    }
}

fn taken(failure: &Mutex<Option<Error>>) -> Option<Error> {
    failure.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Keeper {
    /// Watches over a token, and ends what it was for when it is lost.
    pub(crate) fn watch(scope: Scope, authorized: Authorized) -> Self {
        let failure = Arc::new(OnceLock::new());
        let reason = failure.clone();
        let task = tokio::spawn(async move {
            let ended = tokio::select! {
                () = scope.ended() => None,
                lost = authorized.lost() => lost,
            };
            let Some(ended) = ended else { return };
            tracing::warn!(error = %ended, "there is no token any more; what it was for is ended");
            if reason.set(ended).is_ok() {
                scope.end().await;
            }
        });
        Self { task: task.abort_handle(), failure }
    }

    /// Why there is no token any more.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.get().cloned()
    }

    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

fn newly_signed(key: &Key, resource: &str) -> Token {
    let token = key.sign(resource, now());
    let expiry = token.expiry();
    Token::new(request(resource, token), expiry)
}

fn request(resource: &str, token: SasToken) -> PutToken {
    let expiry = token.expiry();
    PutToken::sas(resource, token.into_secret_text()).expiration(expiry)
}
