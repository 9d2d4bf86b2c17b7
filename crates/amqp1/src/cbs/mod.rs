//! Claims-based security: tokens put to the peer's node `$cbs`, and kept fresh.
//!
//! ```no_run
//! # async fn example(connection: amqp1::Connection) -> Result<(), amqp1::Error> {
//! use amqp1::{
//!     auth::{cbs::PutToken, sas::{PercentEncoding, SasKey}},
//!     cbs::{Cbs, Token},
//! };
//!
//! let key = SasKey::from_base64("c2VjcmV0IGtleSBmb3IgdGhlIGV4YW1wbGU=").expect("Base64");
//! let cbs = Cbs::open(&connection).await?;
//! let renewal = cbs.keep_renewed("hub.example/devices/d1", move |audience: &str| {
//!     let token = key.sign(audience, PercentEncoding::Component, Token::expiry_in(3600), None);
//!     let expiry = token.expiry();
//!     Ok(Token::new(PutToken::sas(audience, token.into_secret_text()), expiry))
//! });
//! let renewal = renewal.await?;
//! // Links to the audience can be attached from here on. If the token is lost, this says so:
//! let error = renewal.failed().await;
//! # Ok(()) }
//! ```

mod node;
mod provider;
mod renewal;

pub use provider::{Token, TokenProvider};
pub use renewal::{RenewalFailure, TokenRenewal};

use self::node::Node;
use crate::{handle::connection::Connection, types::error::Error};
use amqp1_auth::cbs::{PutToken, RenewalPolicy};
use std::sync::Arc;

/// The peer's node `$cbs`: a session of its own with a link each way. Clones are handles of the same one; when the last
/// is dropped, renewals stop.
#[derive(Clone, Debug)]
pub struct Cbs {
    node: Arc<Node>,
}

impl Cbs {
    /// Attaches the links to `$cbs`.
    ///
    /// # Errors
    ///
    /// If the peer has no such node, or does not answer in time.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the links are closed.
    pub async fn open(connection: &Connection) -> Result<Self, Error> {
        Ok(Self { node: Arc::new(Node::attach(connection).await?) })
    }

    /// Puts a token and waits until the peer has accepted it. Up to 16 tokens are in flight at a time; others wait for
    /// their turn.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Authentication`](crate::ErrorKind::Authentication) with the condition that corresponds to the node's status if it refuses the token;
    /// otherwise why it did not get there or why the answer cannot be understood.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the token may have been put.
    pub async fn put_token(&self, token: &PutToken) -> Result<(), Error> {
        self.node.put(token).await.map_err(|(error, _)| error)
    }

    /// Puts a token that `provider` makes, waits until the peer has accepted it, and from then on puts a new one in
    /// time before each expires, in a task that ends with the connection, with the last clone of this, or with the
    /// [`TokenRenewal`].
    ///
    /// # Errors
    ///
    /// As [`put_token`](Self::put_token), or as the provider says, of the first token. It is tried once.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing is renewed.
    pub async fn keep_renewed(
        &self,
        audience: impl Into<String>,
        provider: impl TokenProvider,
    ) -> Result<TokenRenewal, Error> {
        self.keep_renewed_with(audience, provider, RenewalPolicy::default()).await
    }

    /// As [`keep_renewed`](Self::keep_renewed), on another schedule.
    ///
    /// # Errors
    ///
    /// As [`keep_renewed`](Self::keep_renewed).
    ///
    /// # Cancel safety
    ///
    /// As [`keep_renewed`](Self::keep_renewed).
    pub async fn keep_renewed_with(
        &self,
        audience: impl Into<String>,
        provider: impl TokenProvider,
        policy: RenewalPolicy,
    ) -> Result<TokenRenewal, Error> {
        TokenRenewal::start(&self.node, audience.into(), Box::new(provider), policy).await
    }
}
