//! The token of a connection: put when it begins, renewed while it lives.
//!
//! A renewal that fails for good ends the connection, and its reason is what the client's next call reports: nothing
//! stops silently.

use crate::{
    credential::{Key, Material, Signer, now},
    error::{Error, ErrorKind, Subject},
};
use amqp1::{
    Cbs, Connection,
    auth::{cbs::PutToken, sas::SasToken},
    cbs::Token,
};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::task::AbortHandle;

/// The longest time between two looks at the wall clock, which may be set.
const CLOCK_CHECK: Duration = Duration::from_secs(60);

/// Watches over the token of a connection, in a task that ends with it.
#[derive(Debug)]
pub(crate) struct Keeper {
    task: AbortHandle,
    failure: Arc<OnceLock<Error>>,
}

impl Keeper {
    /// Puts the first token, which is tried once since a caller waits for it, and watches over it from then on.
    pub(crate) async fn start(connection: Connection, signer: Signer, subject: Subject) -> Result<Self, Error> {
        let cbs = Cbs::open(&connection).await.map_err(|error| subject.error(error))?;
        let resource = signer.resource().to_owned();
        match signer.material {
            Material::Key(key) => {
                let provider = move |resource: &str| Ok(newly_signed(&key, resource));
                let renewal = cbs.keep_renewed(resource, provider).await.map_err(|error| subject.error(error))?;
                Ok(Self::watch(connection, async move {
                    let error = renewal.failed().await;
                    // Otherwise it is the connection that has ended.
                    let is_final = renewal.failure().is_some_and(|failure| failure.is_final);
                    drop(cbs);
                    is_final.then(|| subject.error(error))
                }))
            }
            Material::Token(token) => {
                let put = cbs.put_token(&request(&resource, token.clone())).await;
                put.map_err(|error| subject.error(error))?;
                Ok(Self::watch(connection, async move {
                    // Put again, the same token would not live longer.
                    while !token.is_expired(now()) {
                        tokio::time::sleep(token.expiry().saturating_duration_since(now()).min(CLOCK_CHECK)).await;
                    }
                    drop(cbs);
                    let sentence = "the SharedAccessSignature of the connection string has expired: get a new one";
                    Some(Error::new(ErrorKind::TokenExpired, sentence))
                }))
            }
        }
    }

    /// Ends the connection when `watching` gives a reason for it.
    fn watch(connection: Connection, watching: impl Future<Output = Option<Error>> + Send + 'static) -> Self {
        let failure = Arc::new(OnceLock::new());
        let reason = failure.clone();
        let task = tokio::spawn(async move {
            let ended = tokio::select! {
                _ = connection.closed() => None,
                ended = watching => ended,
            };
            let Some(ended) = ended else { return };
            tracing::warn!(error = %ended, "there is no token any more; the connection is closed");
            let _ = reason.set(ended);
            let _ = connection.close().await;
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
