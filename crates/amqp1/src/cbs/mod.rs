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

mod provider;
mod renewal;

pub use provider::{Token, TokenProvider};
pub use renewal::{RenewalFailure, TokenRenewal};

use crate::{
    handle::connection::Connection,
    request::Requester,
    state::wait::within,
    types::error::{Error, ErrorKind, Retry},
};
use amqp1_auth::cbs::{ADDRESS, CbsError, PutToken, Refusal, RenewalPolicy, Reply};
use amqp1_codec::{
    EncodeStyle, Str,
    definitions::{AmqpError, SenderSettleMode},
    messaging::MessageId,
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Semaphore;

/// The peer's node `$cbs`: a session of its own with a link each way. Clones are handles of the same one; when the last
/// is dropped, renewals stop.
#[derive(Clone, Debug)]
pub struct Cbs {
    node: Arc<Node>,
}

#[derive(Debug)]
pub(crate) struct Node {
    connection: Connection,
    links: Links,
    /// Held by the one who attaches the links.
    attaching: tokio::sync::Mutex<()>,
    /// One for each token that may be in flight.
    turns: Semaphore,
}

/// Tokens that may wait for their answers at a time: a thousand identities of a connection are renewed without flooding
/// the node, and without a round trip for each of them in turn.
const MAX_IN_FLIGHT: usize = 16;

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
        let links = Links::default();
        links.set(attach(connection).await?);
        let turns = Semaphore::new(MAX_IN_FLIGHT);
        Ok(Self {
            node: Arc::new(Node {
                connection: connection.clone(),
                links,
                attaching: tokio::sync::Mutex::default(),
                turns,
            }),
        })
    }

    /// Puts a token and waits until the peer has accepted it. Up to 16 tokens are in flight at a time; others wait for
    /// their turn.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Authentication`] with the condition that corresponds to the node's status if it refuses the token;
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

impl Node {
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Puts a token; an error comes with what it means to a renewal.
    pub(crate) async fn put(&self, token: &PutToken) -> Result<(), (Error, Refusal)> {
        let temporary = |error| (error, Refusal::Temporary);
        let limit = self.connection.handle().timeout;
        // The turn is waited for as well: those before may be stuck.
        let put = within(self.connection.shared(), limit, "putting a token", async {
            let _turn = self.turns.acquire().await;
            let (number, requester) = self.requester().await?;
            // However this ends, unless it works.
            let unanswered = Unanswered { links: &self.links, number };
            let encode = |id: &MessageId, _: Option<&Str>| token.encode(id, EncodeStyle::Compact);
            let answer = requester.request_with(limit, encode).await?;
            std::mem::forget(unanswered);
            Ok(Reply::parse(&answer))
        });
        let reply = put.await.map_err(temporary)?;
        reply.and_then(|reply| reply.outcome()).map_err(|error| (refused(&error), error.refusal()))
    }

    /// The links, and their number; attached again if the last ones failed.
    async fn requester(&self) -> Result<(u64, Requester), Error> {
        let _attaching = self.attaching.lock().await;
        if let Some(links) = self.links.get() {
            return Ok(links);
        }
        Ok(self.links.set(attach(&self.connection).await?))
    }
}

/// The links, and how many were attached before them. `None` after they failed; the next token attaches others.
#[derive(Debug, Default)]
struct Links(Mutex<(u64, Option<Requester>)>);

impl Links {
    // Nothing can panic under this lock.
    fn slot(&self) -> MutexGuard<'_, (u64, Option<Requester>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self) -> Option<(u64, Requester)> {
        let slot = self.slot();
        slot.1.clone().map(|requester| (slot.0, requester))
    }

    fn set(&self, requester: Requester) -> (u64, Requester) {
        let mut slot = self.slot();
        slot.0 += 1;
        slot.1 = Some(requester.clone());
        (slot.0, requester)
    }
}

/// A token that was put on these links and is not answered. Dropped, it has no further token put on them; those who wait
/// for an answer on them keep them.
struct Unanswered<'a> {
    links: &'a Links,
    number: u64,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        let failed = {
            let mut slot = self.links.slot();
            if slot.0 == self.number { slot.1.take() } else { None }
        };
        // Outside the lock.
        drop(failed);
    }
}

/// Attaches the links, in a session of their own.
async fn attach(connection: &Connection) -> Result<Requester, Error> {
    let session = connection.begin().await?;
    // Each link names the node at both of its ends, as the services' own libraries do.
    let requester = session.requester(ADDRESS).reply_to_unsaid();
    requester.sender(|sender| sender.settle_mode(SenderSettleMode::Unsettled)).attach().await
}

/// How long to wait when the node says that it may do better later.
const LATER: Duration = Duration::from_secs(5);

fn refused(error: &CbsError) -> Error {
    let (kind, text) = match error {
        CbsError::Refused { .. } => (ErrorKind::Authentication, "the peer refused the token"),
        _ => (ErrorKind::Protocol, "the peer's answer to the token cannot be understood"),
    };
    let retry = match error.refusal() {
        Refusal::Temporary => Retry::After(LATER),
        Refusal::Final => Retry::Never,
    };
    let said = AmqpError::new(error.condition(), error.to_string());
    Error::new(kind, text).with_amqp(Some(said)).with_retry(retry)
}
