//! What a link is for, and how its attach is answered.

use super::{
    broker::Kind,
    consumer::Consumer,
    incoming::{Incoming, window},
    outgoing::Outgoing,
    queue::Queue,
    server::Client,
    termini::{Claim, Left, Lifetime, Link, Terminus, lasts, outlives_detach},
    topic::Subscription,
    transactions,
    waiting::Cursor,
};
use amqp1::{
    AcceptedLink, AmqpError, AttachReply, Credit, DrainMode, ErrorCondition, IncomingLink, Role, Str, Symbol,
    TargetArchetype,
    broker::terminus::{Key, Lost, MessageFilters, Support},
    codec::messaging::{DistributionMode, NodeProperties, TerminusDurability},
};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

/// How long a consumer's drain may take.
const DRAIN: DrainMode = DrainMode::Application { timeout: Duration::from_secs(10) };

/// How long termini are kept at most, in seconds.
const KEPT: u32 = 24 * 3600;

/// An attach that is to be answered.
struct Offer {
    client: Client,
    key: Key,
    claim: Option<Claim>,
    lasts: bool,
    /// What an earlier link of the name has left.
    left: Option<Terminus>,
}

/// Answers an attach, and serves the link.
pub(crate) async fn answer(client: Client, link: IncomingLink) {
    if link.is_coordinator() {
        return match link.coordinate(&client.coordinator) {
            Ok(control) => transactions::serve(control, &client.broker).await,
            Err(error) => eprintln!("broker: a control link was not accepted: {error}"),
        };
    }
    let key = Key::new(client.container.clone(), link.attach().name.clone(), link.role().opposite());
    let lasts = lasts(link.attach());
    let claimed = match lasts || outlives_detach(link.attach()) {
        true => client.broker.claim(&key, lasts).await,
        false => None,
    };
    let (claim, left) = claimed.map_or((None, None), |(claim, left)| (Some(claim), left));
    let offer = Offer { client, key, claim, lasts, left };
    match link.role() {
        Role::Sender => offer.incoming(link).await,
        Role::Receiver => offer.outgoing(link).await,
    }
}

impl Offer {
    /// What is served.
    fn support(&self) -> Support {
        Support {
            distribution_modes: vec![DistributionMode::MOVE, DistributionMode::COPY],
            filters: MessageFilters::is_served,
            durable: match self.client.broker.options.take_durable {
                true => TerminusDurability::UnsettledState,
                false => TerminusDurability::None,
            },
            outlives_connections: true,
            timeout: KEPT,
            ..Support::default()
        }
    }

    /// Refuses the link. What an earlier one has left stays.
    fn refuse(self, link: IncomingLink, error: AmqpError) {
        link.reject(error);
        if let Some(left) = self.left {
            self.client.broker.keep(self.key, left, Lost::Link);
        }
    }

    fn link(self, link: &IncomingLink, lifetime: Lifetime, resumable: bool) -> Link {
        let Self { client, key, claim, lasts, .. } = self;
        Link { client, session: link.session(), key, claim, lasts, lifetime, resumable }
    }

    /// A client that sends.
    async fn incoming(mut self, link: IncomingLink) {
        let (node, mut reply) = match self.target(&link) {
            Ok(answer) => answer,
            Err(error) => return self.refuse(link, error),
        };
        let window = window(&self.client.broker, node.as_ref());
        (reply.credit, reply.resumable) = (Credit::Window(window), self.claim.is_some());
        reply.max_message_size = Some(self.client.broker.options.max_message_size);
        // Its consumers could not read it either.
        reply.reject_undecodable = true;
        if self.client.broker.options.settle_second {
            reply.rcv_settle_mode = link.attach().rcv_settle_mode;
        }
        let granted = reply.target.as_ref().and_then(TargetArchetype::as_target);
        let lifetime = granted.map(|target| (target.durable, target.expiry_policy, target.timeout));
        if let Some(other) = self.left.take_if(|terminus| !terminus.state.left.is_at(node.as_ref())) {
            self.client.broker.release(&self.key, other.state.left);
        }
        let left = self.left.take().and_then(|terminus| terminus.state.left.received);
        let left = left.filter(|_| link.attach().unsettled.is_some());
        let serving = self.link(&link, lifetime.unwrap_or_default(), reply.resumable);
        let incoming = Incoming { link: serving, node, window };
        // Before the client learns that the link is attached, so that no dynamic node goes that it uses.
        if let Some(node) = &incoming.node {
            incoming.link.client.broker.attached(node, incoming.link.key.clone());
        }
        let accepted = match &left {
            Some(left) => link.resume_receiver(reply, left).map(AcceptedLink::Receiver),
            None => link.accept(reply),
        };
        match accepted {
            Ok(AcceptedLink::Receiver(receiver)) => {
                incoming.link.attached(receiver.detached());
                incoming.run(receiver).await;
            }
            _ => incoming.over(left, None),
        }
    }

    /// Where the messages of a client go, and how its attach is answered.
    fn target(&self, link: &IncomingLink) -> Result<(Option<Arc<Queue>>, AttachReply), AmqpError> {
        let target = link.attach().target.as_ref().and_then(TargetArchetype::as_target);
        let kind = Kind::of_capabilities(target.map(|target| &target.capabilities[..]).unwrap_or_default());
        // First, so that a link that is refused makes no node.
        let mut reply = link.reply_with(&self.support(), Some(Str::default()))?;
        let node = match target {
            Some(target) if target.dynamic => {
                Some(self.dynamic(target.dynamic_node_properties.as_ref(), &target.capabilities)?)
            }
            _ if link.is_anonymous() => None,
            _ => link.address().map(|address| self.client.broker.node(address, kind)).transpose()?,
        };
        if let (Some(TargetArchetype::Target(granted)), Some(target)) = (&mut reply.target, target) {
            granted.capabilities = Kind::capabilities_among(&target.capabilities);
            if let (true, Some(node)) = (granted.dynamic, &node) {
                granted.address = Some(node.name.clone());
                self.say_lifetime(node, &mut granted.dynamic_node_properties);
            }
        }
        Ok((node, reply))
    }

    /// The node that is made for the link.
    fn dynamic(&self, asked: Option<&NodeProperties>, capabilities: &[Symbol]) -> Result<Arc<Queue>, AmqpError> {
        let node = self.client.broker.dynamic(self.key.clone(), asked, Kind::of_capabilities(capabilities))?;
        if capabilities.iter().any(|name| name.starts_with("temporary-")) {
            node.owner.store(self.client.number, Relaxed);
        }
        Ok(node)
    }

    /// Puts the lifetime policy of a dynamic node into an answer that says one: a link that comes back may ask for another
    /// than that which the node was made with.
    fn say_lifetime(&self, node: &Queue, said: &mut Option<NodeProperties>) {
        if let (Some(said), Some(policy)) = (said, self.client.broker.lifetime_policy(node)) {
            *said = NodeProperties::default().with_lifetime_policy(policy);
        }
    }

    /// A client that receives.
    async fn outgoing(mut self, link: IncomingLink) {
        let Taken { node, subscription, filters, mut reply } = match self.source(&link) {
            Ok(taken) => taken,
            Err(error) => return self.refuse(link, error),
        };
        (reply.drain_mode, reply.max_unsettled) = (DRAIN, self.client.broker.options.max_unsettled);
        reply.resumable = self.claim.is_some();
        let granted = reply.source.clone().unwrap_or_default();
        let consumer = Arc::new(Consumer {
            broker: self.client.broker.clone(),
            queue: subscription.as_ref().map_or(&node, |subscription| &subscription.queue).clone(),
            number: self.client.broker.new_link(),
            container: self.client.container.clone(),
            filters,
            cursor: Cursor::default(),
            browses: subscription.is_none() && granted.distribution_mode == Some(DistributionMode::COPY),
            default_outcome: granted.default_outcome,
        });
        let mut sent = self.left.take().and_then(|terminus| terminus.state.left.sent);
        if let Some(sent) = sent.as_mut().filter(|_| link.attach().unsettled.is_none()) {
            sent.settle_late();
        }
        let (suspended, unsettled) = sent.map(|sent| sent.go_on(&consumer)).unwrap_or_default();
        // A client that says nothing of what is not settled has forgotten it.
        let suspended = suspended.filter(|_| link.attach().unsettled.is_some());
        let lifetime = (granted.durable, granted.expiry_policy, granted.timeout);
        let serving = self.link(&link, lifetime, reply.resumable);
        let outgoing = Outgoing { link: serving, node, subscription, consumer };
        outgoing.link.client.broker.attached(&outgoing.node, outgoing.link.key.clone());
        let accepted = match &suspended {
            Some(left) => link.resume_sender(reply, left).map(AcceptedLink::Sender),
            None => link.accept(reply),
        };
        match accepted {
            Ok(AcceptedLink::Sender(sender)) => {
                outgoing.link.attached(sender.detached());
                outgoing.run(sender, unsettled).await;
            }
            // It has ended meanwhile.
            _ => outgoing.over(suspended, unsettled, true, None),
        }
    }

    /// What a client receives from, and how its attach is answered.
    fn source(&mut self, link: &IncomingLink) -> Result<Taken, AmqpError> {
        let missing = || AmqpError::new(ErrorCondition::NOT_FOUND, "there is no subscription of this name");
        let earlier = self.left.as_ref().and_then(|terminus| terminus.state.left.subscription.clone());
        // A null source is the one that there is (§2.6.3).
        let source = match (link.attach().source.as_deref(), &earlier) {
            (Some(source), _) => source,
            (None, Some(earlier)) => &earlier.asked,
            (None, None) => return Err(missing()),
        };
        if source.capabilities.iter().any(|name| matches!(name.as_str(), "shared" | "global")) {
            return Err(AmqpError::new(ErrorCondition::NOT_IMPLEMENTED, "subscriptions are not shared here"));
        }
        let (filters, kind) = (MessageFilters::of(source)?, Kind::of_capabilities(&source.capabilities));
        let mut reply = match link.attach().source {
            Some(_) => link.reply_with(&self.support(), Some(Str::default()))?,
            None => AttachReply { source: Some(self.support().grant(source)), ..link.reply() },
        };
        let node = match source.dynamic {
            true => self.dynamic(source.dynamic_node_properties.as_ref(), &source.capabilities)?,
            false => self.client.broker.node(source.address.as_deref().ok_or_else(missing)?, kind)?,
        };
        if ![0, self.client.number].contains(&node.owner.load(Relaxed)) {
            let text = "only the connection that has made a temporary queue or topic receives from it";
            return Err(AmqpError::new(ErrorCondition::RESOURCE_LOCKED, text));
        }
        if let Some(granted) = &mut reply.source {
            granted.capabilities = Kind::capabilities_among(&source.capabilities);
            if granted.dynamic {
                granted.address = Some(node.name.clone());
                self.say_lifetime(&node, &mut granted.dynamic_node_properties);
            }
        }
        // The same name for something else is something else.
        let same = |left: &Left| {
            let asked = earlier.as_ref().map(|earlier| (&earlier.asked.address, &earlier.asked.filter));
            left.node.as_ref().is_some_and(|earlier| Arc::ptr_eq(earlier, &node))
                && asked.is_none_or(|asked| asked == (&source.address, &source.filter))
        };
        let is_same = self.left.as_ref().is_some_and(|terminus| same(&terminus.state.left));
        if let Some(other) = self.left.take_if(|_| !is_same) {
            self.client.broker.release(&self.key, other.state.left.without(&node));
        }
        if node.subscriptions.is_none() {
            return Ok(Taken { node, subscription: None, filters, reply });
        }
        let subscription = earlier.clone().filter(|_| is_same).unwrap_or_else(|| {
            let (queue, subscriber) = (self.client.broker.new_queue(node.name.clone()), self.key.container_id.clone());
            let (topic, asked) = (node.clone(), source.clone());
            Subscription { queue, topic, asked, filters, subscriber }.begin()
        });
        Ok(Taken { node, subscription: Some(subscription), filters: MessageFilters::default(), reply })
    }
}

/// What a client receives from.
struct Taken {
    node: Arc<Queue>,
    subscription: Option<Arc<Subscription>>,
    filters: MessageFilters,
    reply: AttachReply,
}
