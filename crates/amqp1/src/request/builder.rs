//! How a requester's links are attached.

use super::{requester::Requester, waiting::Naming};
use crate::{
    handle::{
        builders::{ReceiverBuilder, SenderBuilder},
        counted::SessionHandle,
        session::Session,
    },
    types::{
        capability::{TEMPORARY_QUEUE, VOLATILE_QUEUE},
        error::{Error, ErrorKind},
        names,
    },
};
use amqp1_codec::{
    Str, Symbol,
    definitions::SenderSettleMode,
    messaging::{LifetimePolicy, NodeProperties, Source, Target, TerminusExpiryPolicy},
};
use std::{sync::Arc, time::Duration};

/// The link property of a pair.
pub(super) const PAIRED: &str = "paired";

/// The reply-to of a request of a pair: the other link of the pair.
const ME: Str = Str::from_static("$me");

/// Where answers go.
#[derive(Clone, Debug)]
enum ReplyTo {
    /// To a node that the peer makes for them.
    Dynamic,
    /// To this address, which is that of a link.
    Address(Str),
    /// To this node, which others may use as well.
    Queue(Str),
    /// Requests do not say.
    Unsaid,
}

/// A [`Requester`] whose links are to be attached.
#[derive(Clone, Debug)]
#[must_use = "call attach"]
pub struct RequesterBuilder {
    node: Str,
    sender: SenderBuilder,
    receiver: ReceiverBuilder,
    reply_to: ReplyTo,
    timeout: Duration,
}

impl RequesterBuilder {
    pub(crate) fn new(session: Arc<SessionHandle>, node: Str) -> Self {
        let timeout = session.connection.timeout;
        let sender = SenderBuilder::new(session.clone(), node.clone());
        let receiver = ReceiverBuilder::new(session, node.clone());
        Self { node, sender, receiver, reply_to: ReplyTo::Dynamic, timeout }.dynamic()
    }

    /// Has the peer make a node for the answers, which goes when the links do (§3.5.3, §3.5.10). This is what is done
    /// unless something else is asked for.
    ///
    /// Artemis makes one, and RabbitMQ from 4.1 on. RabbitMQ 4.0 refuses it: see [`reply_to`](Self::reply_to).
    pub fn dynamic(self) -> Self {
        let properties = NodeProperties::default().with_lifetime_policy(LifetimePolicy::DeleteOnClose);
        let source = Source {
            dynamic: true,
            dynamic_node_properties: Some(properties),
            // RabbitMQ wants to know.
            capabilities: TEMPORARY_QUEUE.into(),
            ..Source::default()
        };
        self.made_by_the_peer(source)
    }

    /// Has answers sent to the connection itself, without a queue, as RabbitMQ can from 4.2 on (direct reply-to): fast,
    /// and an answer is lost for which there is no credit.
    pub fn direct_reply_to(self) -> Self {
        let source = Source {
            dynamic: true,
            expiry_policy: TerminusExpiryPolicy::LinkDetach,
            capabilities: VOLATILE_QUEUE.into(),
            ..Source::default()
        };
        let mut this = self.made_by_the_peer(source);
        this.receiver = this.receiver.settle_mode(SenderSettleMode::Settled);
        this
    }

    fn made_by_the_peer(mut self, source: Source) -> Self {
        self.receiver = self.receiver.source(source).target(Target::default());
        self.sender = self.sender.source(Source::default());
        self.reply_to = ReplyTo::Dynamic;
        // Nothing else says which two belong together, if this is not the only requester of the node.
        let name = names::link(&self.node);
        self.named(name)
    }

    /// Gives both links this name.
    fn named(mut self, name: Str) -> Self {
        self.sender = self.sender.name(name.clone());
        self.receiver = self.receiver.name(name);
        self
    }

    /// Has answers sent to a node that is there, such as a queue of a broker: the requester receives from it, and requests
    /// name it as their reply-to.
    ///
    /// Each requester wants a queue of its own, since it accepts and drops what answers no request of its own. Requests are
    /// named by texts that no other requester uses, so that answers which an earlier one has left in the queue are not
    /// mistaken.
    ///
    /// ```no_run
    /// # async fn example(session: &amqp1::Session) -> Result<(), amqp1::Error> {
    /// use amqp1::{Message, brokers::rabbitmq};
    ///
    /// let prices = session.requester(rabbitmq::queue("prices")).reply_to(rabbitmq::queue("answers")).attach().await?;
    /// let answer = prices.request(Message::builder().data("tea")).await?;
    /// # Ok(()) }
    /// ```
    pub fn reply_to(self, address: impl Into<Str>) -> Self {
        let address = address.into();
        let name = names::link(&self.node);
        let mut this = self.named(name);
        this.receiver = this.receiver.source(Source::at(address.clone())).target(Target::default());
        this.sender = this.sender.source(Source::default());
        this.reply_to = ReplyTo::Queue(address);
        this
    }

    /// Has the node itself answer on a link from it, which is known by an address that is chosen here: both links name it
    /// as their end at this side, and requests as their reply-to. The nodes of Azure's services want it so.
    pub fn reply_to_link(self, address: impl Into<Str>) -> Self {
        let address = address.into();
        let mut this = self.between(address.clone());
        this.reply_to = ReplyTo::Address(address);
        this
    }

    /// As [`reply_to_link`](Self::reply_to_link), with an address that no other link has.
    pub fn reply_to_unique_link(self) -> Self {
        let address = names::link(&self.node);
        self.reply_to_link(address)
    }

    /// Says nothing of where answers go: the node answers on the link of the same session, as `$cbs` does.
    pub fn reply_to_unsaid(self) -> Self {
        let node = self.node.clone();
        let mut this = self.between(node);
        this.reply_to = ReplyTo::Unsaid;
        this
    }

    /// Attaches the links as a pair: under one name, each said to be `paired`, and answers go to the other link
    /// ([`LINK_PAIR`](crate::link::capability::LINK_PAIR)).
    pub fn paired(self) -> Self {
        let (name, node) = (names::link(&self.node), self.node.clone());
        let mut this = self.between(node).named(name);
        let paired = Symbol::from_static(PAIRED);
        this.sender = this.sender.property(paired.clone(), true);
        this.receiver = this.receiver.property(paired, true);
        this.reply_to = ReplyTo::Address(ME);
        this
    }

    fn between(mut self, here: Str) -> Self {
        self.sender = self.sender.source(Source::at(here.clone()));
        let name = names::link(&self.node);
        self.receiver = self.receiver.source(Source::at(self.node.clone())).target(Target::at(here)).name(name);
        self
    }

    /// Changes the link that requests are sent on.
    pub fn sender(mut self, change: impl FnOnce(SenderBuilder) -> SenderBuilder) -> Self {
        self.sender = change(self.sender);
        self
    }

    /// Changes the link that answers come on.
    pub fn receiver(mut self, change: impl FnOnce(ReceiverBuilder) -> ReceiverBuilder) -> Self {
        self.receiver = change(self.receiver);
        self
    }

    /// Sets how long a request waits for its answer, sending included, unless it says otherwise; the connection's
    /// operation time-out unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Attaches the links, the one for answers first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LinkRefused`] with what the peer said, or if it does not answer in time, or the session ends.
    /// [`ErrorKind::NotGranted`] if it does not say which node it has made for the answers.
    ///
    /// # Cancel safety
    ///
    /// Links that are attached and not returned are closed.
    pub async fn attach(self) -> Result<Requester, Error> {
        let Self { sender, receiver, reply_to, timeout, .. } = self;
        let receiver = receiver.attach().await?;
        let mut naming = Naming::Numbers;
        let reply_to = match reply_to {
            ReplyTo::Unsaid => None,
            ReplyTo::Queue(address) => {
                // Others who may write to the queue are not to answer in the name of the node.
                naming = Naming::Texts(names::unguessable("request"));
                Some(address)
            }
            ReplyTo::Address(address) => Some(address),
            ReplyTo::Dynamic => {
                let made = receiver.remote_attach().source.and_then(|source| source.address);
                let unsaid = || Error::new(ErrorKind::Protocol, "the peer does not name the node that it made");
                Some(made.ok_or_else(unsaid)?)
            }
        };
        let sender = sender.attach().await?;
        Ok(Requester::start(sender, receiver, reply_to, naming, timeout))
    }
}

impl Session {
    /// Links to this node and from it, to be attached: for requests and their answers.
    pub fn requester(&self, node: impl Into<Str>) -> RequesterBuilder {
        RequesterBuilder::new(self.handle().clone(), node.into())
    }
}
