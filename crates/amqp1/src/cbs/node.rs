//! The links to `$cbs`.

use crate::{
    handle::connection::Connection,
    request::Requester,
    state::wait::within,
    types::error::{Error, ErrorKind, Retry},
};
use amqp1_auth::cbs::{ADDRESS, CbsError, PutToken, Refusal, Reply};
use amqp1_codec::{
    EncodeStyle, Str,
    definitions::{AmqpError, SenderSettleMode},
    messaging::MessageId,
};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Semaphore;

/// Tokens that may wait for their answers at a time: a thousand identities of a connection are renewed without flooding
/// the node, and without a round trip for each of them in turn.
const MAX_IN_FLIGHT: usize = 16;

/// The node `$cbs`, with the links to it.
#[derive(Debug)]
pub(crate) struct Node {
    connection: Connection,
    links: Links,
    /// Held by the one who attaches the links.
    attaching: tokio::sync::Mutex<()>,
    /// One for each token that may be in flight.
    turns: Semaphore,
}

impl Node {
    /// Attaches the links.
    pub(crate) async fn attach(connection: &Connection) -> Result<Self, Error> {
        let links = Links::default();
        links.set(attach(connection).await?);
        let turns = Semaphore::new(MAX_IN_FLIGHT);
        Ok(Self { connection: connection.clone(), links, attaching: tokio::sync::Mutex::default(), turns })
    }

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
