//! Where tokens come from.

use crate::types::{error::Error, future::BoxFuture};
use amqp1_auth::{UnixSeconds, cbs::PutToken};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A token to be put, and when it expires. Its text is not shown.
#[derive(Clone, Debug)]
pub struct Token {
    pub(crate) put: PutToken,
    pub(crate) expiry: UnixSeconds,
}

impl Token {
    /// This token, which expires at that time.
    pub fn new(put: PutToken, expiry: UnixSeconds) -> Self {
        Self { put, expiry }
    }

    /// So many seconds from now.
    pub fn expiry_in(seconds: u64) -> UnixSeconds {
        now().saturating_add(Duration::from_secs(seconds))
    }
}

pub(crate) fn now() -> UnixSeconds {
    // Before 1970 the clock is not set, and every token will seem to be good for long.
    UnixSeconds::new(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

/// Makes tokens, or fetches them.
///
/// A function of the audience that makes a token at once is one.
pub trait TokenProvider: Send + Sync + 'static {
    /// A token for the audience, newly made.
    ///
    /// # Errors
    ///
    /// Why there is none. It is tried again while an earlier token is good.
    fn token<'a>(&'a self, audience: &'a str) -> BoxFuture<'a, Result<Token, Error>>;
}

impl<F> TokenProvider for F
where
    F: Fn(&str) -> Result<Token, Error> + Send + Sync + 'static,
{
    fn token<'a>(&'a self, audience: &'a str) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(std::future::ready(self(audience)))
    }
}
