//! The tokens that requests over HTTPS carry.

use crate::{credential::Signer, error::Error};
use amqp1::auth::{UnixSeconds, sas::SasToken};
use tokio::sync::Mutex;

/// Gives each request its token. One that is signed here is signed for each request; one of the application's own is kept
/// for four fifths of its life.
#[derive(Debug)]
pub(super) struct Tokens {
    signer: Signer,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    token: SasToken,
    renew_at: UnixSeconds,
}

impl Tokens {
    pub(super) fn new(signer: Signer) -> Self {
        Self { signer, kept: Mutex::new(None) }
    }

    /// A token that is good now.
    pub(super) async fn get(&self, now: UnixSeconds) -> Result<SasToken, Error> {
        if !self.signer.is_provided() {
            return self.signer.token(now).await;
        }
        // Requests that come meanwhile wait for the same token.
        let mut kept = self.kept.lock().await;
        if let Some(kept) = &*kept
            && now < kept.renew_at
        {
            return Ok(kept.token.clone());
        }
        match self.signer.token(now).await {
            Ok(token) => {
                let life = token.expiry().saturating_duration_since(now);
                *kept = Some(Kept { token: token.clone(), renew_at: now.saturating_add(life * 4 / 5) });
                Ok(token)
            }
            Err(error) => match &*kept {
                // The next request asks again.
                Some(kept) if !kept.token.is_expired(now) => {
                    tracing::debug!(%error, "there is no new token; the earlier one is still good");
                    Ok(kept.token.clone())
                }
                _ => Err(error),
            },
        }
    }

    /// The hub has refused the token: the next request asks for another one.
    pub(super) async fn forget(&self) {
        *self.kept.lock().await = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Provider;
    use amqp1::auth::sas::{PercentEncoding, SasKey};
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        time::Duration,
    };

    /// A provider whose tokens are good until `expiry`, and how often it was asked. After `tokens` of them it has none.
    fn provided(expiry: UnixSeconds, tokens: u64) -> (Tokens, Arc<AtomicU64>) {
        let asked = Arc::new(AtomicU64::new(0));
        let count = asked.clone();
        let provider = move |resource: String| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let key = SasKey::from_base64("c2VjcmV0").expect("base64");
            let token = key.sign(&resource, PercentEncoding::Component, expiry, None);
            std::future::ready(if number < tokens { Ok(token) } else { Err("no more".into()) })
        };
        (Tokens::new(Signer::provided(Provider(Arc::new(provider)), "hub.example".to_owned())), asked)
    }

    #[tokio::test]
    async fn a_provided_token_is_kept_for_four_fifths_of_its_life() {
        let begun = crate::credential::now();
        let (tokens, asked) = provided(begun.saturating_add(Duration::from_secs(1000)), 2);
        for (seconds, times) in [(0, 1), (799, 1), (800, 2), (801, 2)] {
            tokens.get(begun.saturating_add(Duration::from_secs(seconds))).await.expect("a token");
            assert_eq!(asked.load(Ordering::SeqCst), times, "{seconds}");
        }
    }

    #[tokio::test]
    async fn while_a_token_is_good_a_provider_may_fail() {
        let begun = crate::credential::now();
        let (tokens, asked) = provided(begun.saturating_add(Duration::from_secs(1000)), 1);
        tokens.get(begun).await.expect("a token");
        for seconds in [900, 999] {
            tokens.get(begun.saturating_add(Duration::from_secs(seconds))).await.expect("the earlier one");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        tokens.get(begun.saturating_add(Duration::from_secs(1000))).await.expect_err("expired");
    }
}
