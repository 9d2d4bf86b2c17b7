//! What outlives links: durable subscriptions, dynamic nodes, and what is not settled on links that are resumed.

use super::{
    broker::Broker,
    consumer::Consumer,
    queue::{Queue, Stored},
    server::Client,
    topic::Subscription,
};
use amqp1::{
    Connection, Session,
    acceptor::BoxFuture,
    codec::messaging::{TerminusDurability, TerminusExpiryPolicy},
    engine::{
        Instant,
        terminus::{Key, Lost, Suspension},
    },
    error::Cause,
    link::{Attach, DeliveryTag, Detached, Role, TargetArchetype},
    resume::{SuspendedReceiver, SuspendedSender},
};
use futures_util::FutureExt;
use std::{collections::HashMap, slice::from_ref, sync::Arc};
use tokio::{sync::Notify, task::AbortHandle};

/// How long a terminus is kept, and from when on.
pub(crate) type Lifetime = (TerminusDurability, TerminusExpiryPolicy, u32);

/// What a link leaves that may come back under its name.
pub(crate) struct Left {
    /// The node that it was attached to, if it was one.
    pub(crate) node: Option<Arc<Queue>>,
    pub(crate) subscription: Option<Arc<Subscription>>,
    pub(crate) sent: Option<Sent>,
    pub(crate) received: Option<SuspendedReceiver>,
}

/// Deliveries whose outcomes have not come.
pub(crate) struct Sent {
    pub(crate) consumer: Arc<Consumer>,
    pub(crate) suspended: Option<SuspendedSender>,
    pub(crate) unsettled: HashMap<DeliveryTag, Stored>,
    /// Whether the client has left in good order.
    pub(crate) in_good_order: bool,
}

/// A link that is away, and may come back.
pub(crate) struct Away {
    pub(crate) left: Left,
    /// What it was on.
    session: Session,
    connection: Connection,
    /// Looks out for the end of these.
    watch: Task,
}

pub(crate) type Terminus = Suspension<Away>;

/// A task that ends when this is dropped.
#[derive(Default)]
pub(crate) struct Task(Option<AbortHandle>);

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

/// The task that lets go of what has expired, and when it does.
pub(crate) type Expiry = (Instant, Task);

/// A link while it is there.
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) session: Session,
    pub(crate) key: Key,
    /// For a link of which something may be kept.
    pub(crate) claim: Option<Claim>,
    /// Whether something is kept though no delivery is unsettled.
    pub(crate) lasts: bool,
    pub(crate) lifetime: Lifetime,
    pub(crate) resumable: bool,
}

impl Link {
    /// Waits until another link claims the name.
    pub(crate) async fn stolen(&self) {
        match &self.claim {
            Some(claim) => claim.stolen.notified().await,
            None => std::future::pending().await,
        }
    }

    /// The link is attached: from its end on, another of the name waits for what it leaves.
    pub(crate) fn attached(&self, ended: impl Future<Output = Detached> + Send + 'static) {
        if let Some(claim) = &self.claim {
            claim.broker.state().claims.entry(self.key.clone()).and_modify(|it| it.ended = Some(Box::pin(ended)));
        }
    }

    /// The link has ended. What it leaves is kept if it may come back, and let go otherwise.
    pub(crate) fn over(self, left: Left, detached: Option<&Detached>) {
        let Self { client, session, key, claim, lasts, lifetime: (durable, policy, timeout), .. } = self;
        let Client { broker, connection, .. } = client;
        let lost = match detached {
            Some(Detached { closed: true, .. }) => None,
            Some(Detached { by: Cause::Session, .. }) => Some(Lost::Session),
            Some(Detached { by: Cause::Connection, .. }) => Some(Lost::Connection),
            _ => Some(Lost::Link),
        };
        let is_kept = claim.is_some() && (lasts || !left.is_empty());
        let Some(lost) = lost.filter(|_| is_kept) else { return broker.release(&key, left) };
        let away = Away { left, session, connection, watch: Task::default() };
        broker.keep(key, Suspension { state: away, durable, policy, timeout }, lost);
    }
}

/// The one link of a name of which something is kept. Another whose terminus lasts takes the name over (§2.6.1).
pub(crate) struct Claim {
    broker: Arc<Broker>,
    key: Key,
    stolen: Arc<Notify>,
}

/// The link that has claimed a name.
#[derive(Default)]
pub(crate) struct Claimant {
    stolen: Arc<Notify>,
    /// Completes when the link has ended; what it leaves is kept after that.
    ended: Option<BoxFuture<'static, Detached>>,
    has_ended: bool,
}

impl Claimant {
    fn has_ended(&mut self) -> bool {
        let ended = |future: &mut BoxFuture<'static, Detached>| future.now_or_never().is_some();
        if !self.has_ended && self.ended.as_mut().is_some_and(ended) {
            (self.ended, self.has_ended) = (None, true);
        }
        self.has_ended
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.broker.state().claims.remove(&self.key);
        self.broker.unclaimed.notify_waiters();
    }
}

/// Whether something of a link is kept in any case once it is detached and not closed: since it asks for that, since a
/// node is made for it, or since it says what is not settled (§2.6.13).
pub(crate) fn lasts(attach: &Attach) -> bool {
    let kept = |durable, policy, timeout, dynamic| {
        let forever = matches!(policy, TerminusExpiryPolicy::Never | TerminusExpiryPolicy::ConnectionClose);
        dynamic || forever || timeout > 0 || durable != TerminusDurability::None
    };
    let terminus = match (attach.role, &attach.source, attach.target.as_ref().and_then(TargetArchetype::as_target)) {
        (Role::Receiver, Some(source), _) => kept(source.durable, source.expiry_policy, source.timeout, source.dynamic),
        // A null source is one that was left (§2.6.3).
        (Role::Receiver, None, _) => true,
        (Role::Sender, _, Some(target)) => kept(target.durable, target.expiry_policy, target.timeout, target.dynamic),
        (Role::Sender, ..) => false,
    };
    terminus || attach.unsettled.is_some()
}

/// Whether unsettled deliveries and a subscription outlive the detach of a link: with the policy that there is unless
/// another is asked for, until its session ends (§3.5.6).
pub(crate) fn outlives_detach(attach: &Attach) -> bool {
    let policy = match attach.role {
        Role::Receiver => attach.source.as_ref().map(|source| source.expiry_policy),
        Role::Sender => attach.target.as_ref().and_then(TargetArchetype::as_target).map(|target| target.expiry_policy),
    };
    policy.is_some_and(|policy| policy != TerminusExpiryPolicy::LinkDetach)
}

impl Broker {
    /// Claims the name of a link, and returns what an earlier link of the name has left. A live link that has the name is
    /// detached if the new one `takes_over`; otherwise it keeps the name, since some clients give one name to several links.
    pub(crate) async fn claim(self: &Arc<Self>, key: &Key, takes_over: bool) -> Option<(Claim, Option<Terminus>)> {
        loop {
            let unclaimed = self.unclaimed.notified();
            {
                let mut state = self.state();
                match state.claims.get_mut(key) {
                    Some(claimant) if takes_over => claimant.stolen.notify_one(),
                    Some(claimant) => {
                        if !claimant.has_ended() {
                            return None;
                        }
                    }
                    None => {
                        let claimant = Claimant::default();
                        let stolen = claimant.stolen.clone();
                        state.claims.insert(key.clone(), claimant);
                        let left = state.termini.resume(key);
                        return Some((Claim { broker: self.clone(), key: key.clone(), stolen }, left));
                    }
                }
            }
            unclaimed.await;
        }
    }

    /// Keeps what a link has left.
    pub(crate) fn keep(self: &Arc<Self>, key: Key, mut terminus: Terminus, lost: Lost) {
        let oldest = {
            let mut state = self.state();
            // It looks for what is kept here, so that this comes first.
            let watching = self.clone().watch(key.clone(), terminus.state.session.clone(), &terminus.state.connection);
            terminus.state.watch = Task(Some(tokio::spawn(watching).abort_handle()));
            state.termini.suspend(key, terminus, lost, self.clock.now())
        };
        if let Some((key, oldest)) = oldest {
            eprintln!("broker: too many links are away that may come back: what the first one has left is let go");
            self.release(&key, oldest.state.left);
        }
        self.expire();
    }

    /// Waits for the end of the session and of the connection of a link that is away.
    fn watch(self: Arc<Self>, key: Key, session: Session, connection: &Connection) -> impl Future<Output = ()> + use<> {
        let connection = connection.clone();
        async move {
            session.ended().await;
            self.ended_under(&key, &session, Lost::Session);
            connection.closed().await;
            self.ended_under(&key, &session, Lost::Connection);
        }
    }

    /// The session or the connection of a link has ended, on which it was suspended and has not been resumed.
    fn ended_under(self: &Arc<Self>, key: &Key, session: &Session, lost: Lost) {
        {
            let (mut state, now) = (self.state(), self.clock.now());
            if state.termini.get(key).is_none_or(|suspension| suspension.state.session != *session) {
                return;
            }
            match lost {
                Lost::Connection => state.termini.connection_closed(from_ref(key), now),
                _ => state.termini.session_ended(from_ref(key), now),
            }
        }
        self.expire();
    }

    /// Lets go of what has expired, now and when the next is due.
    fn expire(self: &Arc<Self>) {
        let due = {
            let mut state = self.state();
            let due = state.termini.expire(self.clock.now());
            let next = state.termini.poll_timeout();
            if state.expiry.as_ref().map(|(at, _)| *at) != next {
                state.expiry = next.map(|at| (at, Task(Some(tokio::spawn(self.clone().expire_at(at)).abort_handle()))));
            }
            due
        };
        for (key, terminus) in due {
            self.release(&key, terminus.state.left);
        }
    }

    fn expire_at(self: Arc<Self>, at: Instant) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.clock.until(Some(at)).await;
            self.expire();
        })
    }

    /// A link does not come back: its deliveries have their default outcome, its subscription and its node end.
    pub(crate) fn release(&self, key: &Key, left: Left) {
        if let Some(mut sent) = left.sent {
            sent.settle_late();
            let Sent { consumer, unsettled, in_good_order, .. } = sent;
            unsettled.into_values().for_each(|stored| consumer.give_up(stored, in_good_order));
        }
        if let Some(subscription) = left.subscription {
            subscription.end();
        }
        if let Some(node) = left.node {
            self.ended(&node, key);
        }
    }
}
