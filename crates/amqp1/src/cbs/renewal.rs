//! A token that is kept fresh.

use super::{
    node::Node,
    provider::{Token, TokenProvider, now},
};
use crate::{
    state::ids::Place,
    types::error::{Error, ErrorKind},
};
use amqp1_auth::cbs::{Action, Clocks, Refusal, Renewal, RenewalPolicy};
use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Weak},
    task::Poll,
    time::Duration,
};
use tokio::{sync::watch, task::AbortHandle, time::Instant};

/// Something went wrong with a renewal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RenewalFailure {
    /// The audience of the token.
    pub audience: String,
    /// The error.
    pub error: Error,
    /// Whether the renewal has stopped: the token has expired, or it will not be renewed.
    pub is_final: bool,
}

/// A token that is renewed until this is dropped. What goes wrong is kept here and logged, never swallowed.
#[derive(Debug)]
#[must_use = "dropped, the token is not renewed any more"]
pub struct TokenRenewal {
    failure: watch::Receiver<Option<RenewalFailure>>,
    task: AbortHandle,
}

impl TokenRenewal {
    pub(super) async fn start(
        node: &Arc<Node>,
        audience: String,
        provider: Box<dyn TokenProvider>,
        policy: RenewalPolicy,
    ) -> Result<Self, Error> {
        let clock = Clock(Instant::now());
        let mut schedule = Renewal::new(policy.clone());
        // It asks for the first token at once. The caller waits for that one, so it is tried once only.
        schedule.poll(clock.read());
        let Token { put, expiry } = provider.token(&audience).await?;
        schedule.handle_sent(clock.read(), expiry);
        node.put(&put).await.map_err(|(error, _)| error)?;
        schedule.handle_reply(clock.read(), Ok(()));

        let (failed, failure) = watch::channel(None);
        // Not the connection's handle, which would keep it open.
        let shared = node.connection().shared().clone();
        let keeper = Keeper { node: Arc::downgrade(node), audience, provider, policy, clock, failed };
        let task = tokio::spawn(async move {
            let mut closed = pin!(shared.wait(Place::Connection, |state| state.closed.is_some().then_some(())));
            let mut run = pin!(keeper.run(schedule));
            poll_fn(|cx| match closed.as_mut().poll(cx) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => run.as_mut().poll(cx),
            })
            .await;
        });
        Ok(Self { failure, task: task.abort_handle() })
    }

    /// The latest error since the last success, if any.
    pub fn failure(&self) -> Option<RenewalFailure> {
        self.failure.borrow().clone()
    }

    /// Waits until the renewal has stopped, and says why.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn failed(&self) -> Error {
        let mut failure = self.failure.clone();
        let stopped = failure.wait_for(|failure| failure.as_ref().is_some_and(|failure| failure.is_final)).await;
        match stopped.as_deref() {
            Ok(Some(failure)) => failure.error.clone(),
            _ => Error::new(ErrorKind::Closed, "the connection ended, and the renewal of its token with it"),
        }
    }
}

impl Drop for TokenRenewal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Keeper {
    node: Weak<Node>,
    audience: String,
    provider: Box<dyn TokenProvider>,
    policy: RenewalPolicy,
    clock: Clock,
    failed: watch::Sender<Option<RenewalFailure>>,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("audience", &self.audience).finish_non_exhaustive()
    }
}

impl Keeper {
    /// Runs until the token is lost or the last handle of the node is dropped.
    async fn run(self, mut schedule: Renewal) {
        loop {
            while let Some(action) = schedule.poll(self.clock.read()) {
                let Some(node) = self.node.upgrade() else { return };
                match action {
                    Action::PutToken => match self.attempt(&node, &mut schedule).await {
                        Ok(()) => {
                            tracing::debug!(audience = self.audience, "token renewed");
                            schedule.handle_reply(self.clock.read(), Ok(()));
                            self.failed.send_replace(None);
                        }
                        Err((error, refusal)) => {
                            schedule.handle_reply(self.clock.read(), Err(refusal));
                            self.fail(error, false);
                        }
                    },
                    Action::Expired => {
                        let last = self.failed.borrow().as_ref().map(|failure| failure.error.clone());
                        let expired = Error::new(ErrorKind::Authentication, "the token has expired");
                        return self.fail(last.unwrap_or(expired), true);
                    }
                }
            }
            let Some(next) = schedule.poll_timeout() else { return };
            tokio::time::sleep_until(self.clock.0 + next).await;
        }
    }

    async fn attempt(&self, node: &Node, schedule: &mut Renewal) -> Result<(), (Error, Refusal)> {
        let limit = self.policy.reply_timeout;
        let late = || (Error::timeout("renewing a token", limit), Refusal::Temporary);
        let attempt = async {
            let made = self.provider.token(&self.audience).await;
            let Token { put, expiry } = made.map_err(|error| (error, Refusal::Temporary))?;
            schedule.handle_sent(self.clock.read(), expiry);
            node.put(&put).await
        };
        tokio::time::timeout(limit, attempt).await.unwrap_or_else(|_| Err(late()))
    }

    fn fail(&self, error: Error, is_final: bool) {
        tracing::warn!(audience = self.audience, %error, is_final, "a token was not renewed");
        self.failed.send_replace(Some(RenewalFailure { audience: self.audience.clone(), error, is_final }));
    }
}

#[derive(Clone, Copy, Debug)]
struct Clock(Instant);

impl Clock {
    fn read(self) -> Clocks {
        let monotonic: Duration = self.0.elapsed();
        Clocks { monotonic, wall: now() }
    }
}
