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
    Credit, IncomingLink, Session, Source, Symbol, Target,
    acceptor::{ReceiverRequest, SenderRequest},
    broker::terminus::{Key, Lost, MessageFilters, Support},
    codec::messaging::{DistributionMode, NodeProperties, TerminusDurability},
    error::{AmqpError, ErrorCondition},
    link::{DrainMode, TargetArchetype},
    message::Str,
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
    if let IncomingLink::Coordinator(request) = link {
        return match request.coordinate(&client.coordinator) {
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
    match link {
        IncomingLink::Receiver(request) => offer.incoming(request).await,
        IncomingLink::Sender(request) => offer.outgoing(request).await,
        // There are no others.
        _ => {}
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

    /// The link is refused. What an earlier one has left stays.
    fn refused(self) {
        if let Some(left) = self.left {
            self.client.broker.keep(self.key, left, Lost::Link);
        }
    }

    fn link(self, session: Session, lifetime: Lifetime, resumable: bool) -> Link {
        let Self { client, key, claim, lasts, .. } = self;
        Link { client, session, key, claim, lasts, lifetime, resumable }
    }

    /// A client that sends.
    async fn incoming(mut self, mut request: ReceiverRequest) {
        let (node, target) = match self.target(&mut request) {
            Ok(answer) => answer,
            Err(error) => {
                request.reject(error);
                return self.refused();
            }
        };
        let window = window(&self.client.broker, node.as_ref());
        let resumable = self.claim.is_some();
        let lifetime = target.as_ref().map(|target| (target.durable, target.expiry_policy, target.timeout));
        request = request.target(target).credit(Credit::Window(window)).resumable(resumable);
        request = request.max_message_size(self.client.broker.options.max_message_size);
        // Its consumers could not read it either.
        request = request.reject_undecodable(true);
        if self.client.broker.options.settle_second {
            let mode = request.attach().rcv_settle_mode;
            request = request.receiver_settle_mode(mode);
        }
        if let Some(other) = self.left.take_if(|terminus| !terminus.state.left.is_at(node.as_ref())) {
            self.client.broker.release(&self.key, other.state.left);
        }
        let left = self.left.take().and_then(|terminus| terminus.state.left.received);
        let left = left.filter(|_| request.is_resumed());
        let serving = self.link(request.session(), lifetime.unwrap_or_default(), resumable);
        let incoming = Incoming { link: serving, node, window };
        // Before the client learns that the link is attached, so that no dynamic node goes that it uses.
        if let Some(node) = &incoming.node {
            incoming.link.client.broker.attached(node, incoming.link.key.clone());
        }
        if let Some(left) = &left {
            request = request.resume(left);
        }
        match request.accept() {
            Ok(receiver) => {
                incoming.link.attached(receiver.detached());
                incoming.run(receiver).await;
            }
            Err(_) => incoming.over(left, None),
        }
    }

    /// Where the messages of a client go, and the target that is answered.
    fn target(&self, request: &mut ReceiverRequest) -> Result<(Option<Arc<Queue>>, Option<Target>), AmqpError> {
        // First, so that a link that is refused makes no node.
        request.grant(&self.support(), Some(Str::default()))?;
        let target = request.attach().target.as_ref().and_then(TargetArchetype::as_target);
        let kind = Kind::of_capabilities(target.map(|target| &target.capabilities[..]).unwrap_or_default());
        let node = match target {
            Some(target) if target.dynamic => {
                Some(self.dynamic(target.dynamic_node_properties.as_ref(), &target.capabilities)?)
            }
            _ if request.is_anonymous() => None,
            _ => request.address().map(|address| self.client.broker.node(address, kind)).transpose()?,
        };
        let mut granted = request.granted_target().cloned();
        if let (Some(granted), Some(target)) = (&mut granted, target) {
            granted.capabilities = Kind::capabilities_among(&target.capabilities);
            if let (true, Some(node)) = (granted.dynamic, &node) {
                granted.address = Some(node.name.clone());
                self.say_lifetime(node, &mut granted.dynamic_node_properties);
            }
        }
        Ok((node, granted))
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
    async fn outgoing(mut self, mut request: SenderRequest) {
        let Taken { node, subscription, filters, granted } = match self.source(&mut request) {
            Ok(taken) => taken,
            Err(error) => {
                request.reject(error);
                return self.refused();
            }
        };
        let resumable = self.claim.is_some();
        request = request.source(granted.clone()).drain_mode(DRAIN).resumable(resumable);
        request = request.max_unsettled(self.client.broker.options.max_unsettled);
        let granted = granted.unwrap_or_default();
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
        if let Some(sent) = sent.as_mut().filter(|_| !request.is_resumed()) {
            sent.settle_late();
        }
        let (suspended, unsettled) = sent.map(|sent| sent.go_on(&consumer)).unwrap_or_default();
        // A client that says nothing of what is not settled has forgotten it.
        let suspended = suspended.filter(|_| request.is_resumed());
        let lifetime = (granted.durable, granted.expiry_policy, granted.timeout);
        let serving = self.link(request.session(), lifetime, resumable);
        let outgoing = Outgoing { link: serving, node, subscription, consumer };
        outgoing.link.client.broker.attached(&outgoing.node, outgoing.link.key.clone());
        if let Some(left) = &suspended {
            request = request.resume(left);
        }
        match request.accept() {
            Ok(sender) => {
                outgoing.link.attached(sender.detached());
                outgoing.run(sender, unsettled).await;
            }
            // It has ended meanwhile.
            Err(_) => outgoing.over(suspended, unsettled, true, None),
        }
    }

    /// What a client receives from, and the source that is answered.
    fn source(&mut self, request: &mut SenderRequest) -> Result<Taken, AmqpError> {
        let missing = || AmqpError::new(ErrorCondition::NOT_FOUND, "there is no subscription of this name");
        let earlier = self.left.as_ref().and_then(|terminus| terminus.state.left.subscription.clone());
        // A null source is the one that there is (§2.6.3).
        let source = match (request.attach().source.as_deref(), &earlier) {
            (Some(source), _) => source.clone(),
            (None, Some(earlier)) => earlier.asked.clone(),
            (None, None) => return Err(missing()),
        };
        if source.capabilities.iter().any(|name| matches!(name.as_str(), "shared" | "global")) {
            return Err(AmqpError::new(ErrorCondition::NOT_IMPLEMENTED, "subscriptions are not shared here"));
        }
        let (filters, kind) = (MessageFilters::of(&source)?, Kind::of_capabilities(&source.capabilities));
        let mut granted = match request.attach().source {
            Some(_) => {
                request.grant(&self.support(), Some(Str::default()))?;
                request.granted_source().cloned()
            }
            None => Some(self.support().grant(&source)),
        };
        let node = match source.dynamic {
            true => self.dynamic(source.dynamic_node_properties.as_ref(), &source.capabilities)?,
            false => self.client.broker.node(source.address.as_deref().ok_or_else(missing)?, kind)?,
        };
        if ![0, self.client.number].contains(&node.owner.load(Relaxed)) {
            let text = "only the connection that has made a temporary queue or topic receives from it";
            return Err(AmqpError::new(ErrorCondition::RESOURCE_LOCKED, text));
        }
        if let Some(granted) = &mut granted {
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
            return Ok(Taken { node, subscription: None, filters, granted });
        }
        let subscription = earlier.clone().filter(|_| is_same).unwrap_or_else(|| {
            let (queue, subscriber) = (self.client.broker.new_queue(node.name.clone()), self.key.container_id.clone());
            let (topic, asked) = (node.clone(), source);
            Subscription { queue, topic, asked, filters, subscriber }.begin()
        });
        Ok(Taken { node, subscription: Some(subscription), filters: MessageFilters::default(), granted })
    }
}

/// What a client receives from.
struct Taken {
    node: Arc<Queue>,
    subscription: Option<Arc<Subscription>>,
    filters: MessageFilters,
    granted: Option<Source>,
}
