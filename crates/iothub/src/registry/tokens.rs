//! The tokens that requests over HTTPS carry.

use crate::{credential::Signer, error::Error};
use amqp1::auth::{UnixSeconds, sas::SasToken};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long requests wait for a new token while the earlier one is still good.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a provider that did not answer in time is left alone while the earlier token is still good.
const PAUSE: Duration = Duration::from_secs(30);

/// Gives each request its token. One that is signed here is signed for each request; one of the application's own is kept
/// for four fifths of its life.
#[derive(Debug)]
pub(super) struct Tokens {
    signer: Signer,
    kept: Mutex<Option<Kept>>,
    /// Held while the provider is asked.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Kept {
    token: SasToken,
    renew_at: UnixSeconds,
}

impl Kept {
    fn is_fresh(&self, now: UnixSeconds) -> bool {
        now < self.renew_at && !self.token.is_expired(now)
    }
}

impl Tokens {
    pub(super) fn new(signer: Signer) -> Self {
        Self { signer, kept: Mutex::new(None), asking: tokio::sync::Mutex::new(()) }
    }

    // Nothing can panic halfway through a change.
    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token that is good now.
    pub(super) async fn get(&self, now: UnixSeconds) -> Result<SasToken, Error> {
        if !self.signer.is_provided() {
            return self.signer.token(now).await;
        }
        let kept = self.kept().clone().filter(|kept| !kept.token.is_expired(now));
        let Some(earlier) = kept else {
            // Requests that come meanwhile wait for the same token.
            let _asking = self.asking.lock().await;
            if let Some(kept) = self.kept().clone().filter(|kept| kept.is_fresh(now)) {
                return Ok(kept.token);
            }
            return self.renew(now).await;
        };
        if earlier.is_fresh(now) {
            return Ok(earlier.token);
        }
        // Another request asks already: the earlier token does for this one.
        let Ok(_asking) = self.asking.try_lock() else { return Ok(earlier.token) };
        match tokio::time::timeout(RENEWAL_TIMEOUT, self.renew(now)).await {
            Ok(Ok(token)) => Ok(token),
            Ok(Err(error)) => {
                // The next request asks again.
                tracing::debug!(%error, "there is no new token; the earlier one is still good");
                Ok(earlier.token)
            }
            Err(_) => {
                tracing::debug!("the token provider does not answer; the earlier token is still good");
                if let Some(kept) = &mut *self.kept()
                    && kept.token.as_str() == earlier.token.as_str()
                {
                    kept.renew_at = now.saturating_add(PAUSE);
                }
                Ok(earlier.token)
            }
        }
    }

    /// Asks the provider, and keeps its token.
    async fn renew(&self, now: UnixSeconds) -> Result<SasToken, Error> {
        let token = self.signer.token(now).await?;
        let life = token.expiry().saturating_duration_since(now);
        *self.kept() = Some(Kept { token: token.clone(), renew_at: now.saturating_add(life * 4 / 5) });
        Ok(token)
    }

    /// The hub has refused this token: the next request asks for another one, unless there is one already.
    pub(super) fn forget(&self, refused: &SasToken) {
        let mut kept = self.kept();
        if kept.as_ref().is_some_and(|kept| kept.token.as_str() == refused.as_str()) {
            *kept = None;
        }
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

    /// A provider that answers only once.
    fn hanging(expiry: UnixSeconds) -> (Tokens, Arc<AtomicU64>) {
        let asked = Arc::new(AtomicU64::new(0));
        let count = asked.clone();
        let provider = move |resource: String| {
            let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                if !is_first {
                    std::future::pending::<()>().await;
                }
                let key = SasKey::from_base64("c2VjcmV0").expect("base64");
                Ok(key.sign(&resource, PercentEncoding::Component, expiry, None))
            }
        };
        (Tokens::new(Signer::provided(Provider(Arc::new(provider)), "hub.example".to_owned())), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn while_a_token_is_good_a_provider_may_hang() {
        let begun = crate::credential::now();
        let (tokens, asked) = hanging(begun.saturating_add(Duration::from_secs(1000)));
        let at = |seconds| begun.saturating_add(Duration::from_secs(seconds));
        tokens.get(begun).await.expect("a token");
        let started = tokio::time::Instant::now();
        let other = async {
            tokens.get(at(900)).await.expect("the earlier one");
            assert_eq!(started.elapsed(), Duration::ZERO, "one request waits for the provider, not the others");
        };
        let (waited, ()) = tokio::join!(tokens.get(at(900)), other);
        waited.expect("the earlier one");
        assert_eq!(started.elapsed(), RENEWAL_TIMEOUT);
        // It is left alone for a while.
        for (seconds, times) in [(929, 2), (930, 3), (959, 3), (999, 4)] {
            tokens.get(at(seconds)).await.expect("the earlier one");
            assert_eq!(asked.load(Ordering::SeqCst), times, "{seconds}");
        }
        tokio::time::timeout(RENEWAL_TIMEOUT * 2, tokens.get(at(1000))).await.expect_err("there is no token");
    }

    #[tokio::test]
    async fn only_the_token_that_was_refused_is_forgotten() {
        let begun = crate::credential::now();
        let (tokens, asked) = provided(begun.saturating_add(Duration::from_secs(1000)), 3);
        let other = SasKey::from_base64("b3RoZXI=").expect("base64");
        let kept = tokens.get(begun).await.expect("a token");
        tokens.forget(&other.sign("hub.example", PercentEncoding::Component, kept.expiry(), None));
        tokens.get(begun).await.expect("the same");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        tokens.forget(&kept);
        tokens.get(begun).await.expect("another one");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}
