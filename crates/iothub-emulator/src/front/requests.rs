//! Nodes that answer: `$cbs` and `$management`. Which link an answer goes to.

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use amqp1::auth::cbs::reply_link;
use amqp1::{
    Receiver, Sender, Session,
    link::SendOptions,
    message::{EncodedMessage, Str},
};

use super::connection::Context;
use crate::hub::Address;
use crate::signal::{Signal, Waiter};

/// How long an answer waits for a link to go to, and for credit on it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Some clients never settle an answer.
pub(super) const SETTLED: SendOptions = SendOptions { settled: true, tag: None, message_format: 0 };

/// A node that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Cbs,
    Management,
}

impl Node {
    pub(super) fn of(address: &Address) -> Self {
        match address {
            Address::Cbs => Self::Cbs,
            _ => Self::Management,
        }
    }
}

/// The links of a connection that answers can go to.
#[derive(Debug, Default)]
pub(super) struct ReplyLinks {
    links: Mutex<Vec<ReplyLink>>,
    changed: Signal,
}

#[derive(Clone, Debug)]
struct ReplyLink {
    number: u64,
    node: Node,
    session: Session,
    target: Option<Str>,
    sender: Sender,
}

impl ReplyLinks {
    fn with<R>(&self, work: impl FnOnce(&mut Vec<ReplyLink>) -> R) -> R {
        work(&mut self.links.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn find(&self, node: &Node, session: &Session, reply_to: Option<&str>) -> Option<Sender> {
        self.with(|links| {
            let suitable = links.iter().filter(|link| link.node == *node && link.session == *session);
            reply_link(reply_to, suitable.map(|link| (&link.sender, link.target.as_ref().map(Str::as_str)))).cloned()
        })
    }

    /// Sends the answer to a request that came from `requests`; gives up where the client has no link for it, gives no
    /// credit, or is gone.
    pub(super) async fn send(
        &self,
        (node, session): (&Node, &Session),
        requests: &Receiver,
        reply_to: Option<&str>,
        answer: EncodedMessage,
    ) {
        let mut changed = Waiter::new(&self.changed);
        let sent = async {
            let sender = loop {
                match self.find(node, session, reply_to) {
                    Some(sender) => break sender,
                    None => changed.woken().await,
                }
            };
            sender.reserve().await?.send_with(answer, SETTLED).map(drop)
        };
        tokio::select! {
            sent = tokio::time::timeout(PATIENCE, sent) => match sent {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, ?node, "answer not sent"),
                Err(_) => tracing::debug!(?node, "no link or no credit for an answer"),
            },
            _ = requests.detached() => tracing::debug!(?node, "an answer came too late"),
        }
    }
}

/// Keeps a link that answers can go to, until it ends or may not go on.
pub(super) async fn hold(
    context: Arc<Context>,
    session: Session,
    sender: Sender,
    node: Node,
    address: Address,
    target: Option<Str>,
) {
    let target = target.map(|target| target.to_detached());
    let number = context.replies.with(|links| {
        let number = links.iter().map(|link| link.number).max().map_or(0, |last| last + 1);
        links.push(ReplyLink { number, node, session, target, sender: sender.clone() });
        number
    });
    context.replies.changed.raise();
    if node == Node::Cbs {
        // It is open to everybody, and every connection has one.
        sender.detached().await;
    } else {
        let revoked = async {
            tokio::select! {
                error = context.revoked(&address) => {
                    let _ = Box::pin(sender.detach_with(Some(error), true)).await;
                }
                _ = sender.detached() => {}
            }
        };
        Box::pin(revoked).await;
    }
    context.replies.with(|links| links.retain(|link| link.number != number));
}
