//! How a requester's links are attached.

use super::requester::Requester;
use crate::{
    handle::{
        builders::{ReceiverBuilder, SenderBuilder},
        session::SessionHandle,
    },
    types::{
        error::{Error, ErrorKind},
        names,
    },
};
use amqp1_codec::{
    Str, Symbol,
    messaging::{LifetimePolicy, NodeProperties, Source, Target},
};
use std::{sync::Arc, time::Duration};

/// The link property of a pair.
pub(super) const PAIRED: &str = "paired";

/// What a request of a pair names as the place for its answer: the other link of the pair.
const ME: Str = Str::from_static("$me");

/// Where answers go.
#[derive(Clone, Debug)]
enum ReplyTo {
    /// To a node that the peer makes for them.
    Dynamic,
    /// To this address.
    Address(Str),
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
    pub fn dynamic(mut self) -> Self {
        let properties = NodeProperties::default().with_lifetime_policy(LifetimePolicy::DeleteOnClose);
        let source = Source { dynamic: true, dynamic_node_properties: Some(properties), ..Source::default() };
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

    /// Has answers sent to an address that is chosen here: both links name it as their end at this side, as the nodes of
    /// Azure's services want it.
    pub fn reply_to(self, address: impl Into<Str>) -> Self {
        let address = address.into();
        let mut this = self.between(address.clone());
        this.reply_to = ReplyTo::Address(address);
        this
    }

    /// As [`reply_to`](Self::reply_to), with an address that nobody else has.
    pub fn reply_to_unique(self) -> Self {
        let address = names::link(&self.node);
        self.reply_to(address)
    }

    /// Says nothing of where answers go: the node answers on the link of the same session, as `$cbs` does.
    pub fn reply_to_unsaid(self) -> Self {
        let node = self.node.clone();
        let mut this = self.between(node);
        this.reply_to = ReplyTo::Unsaid;
        this
    }

    /// Attaches the links as a pair: under one name, each said to be `paired`, and answers go to the other link
    /// ([`LINK_PAIR`](crate::capability::LINK_PAIR)).
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
        let reply_to = match reply_to {
            ReplyTo::Unsaid => None,
            ReplyTo::Address(address) => Some(address),
            ReplyTo::Dynamic => {
                let made = receiver.remote_attach().source.and_then(|source| source.address);
                let unsaid = || Error::new(ErrorKind::Protocol, "the peer does not name the node that it made");
                Some(made.ok_or_else(unsaid)?)
            }
        };
        let sender = sender.attach().await?;
        Ok(Requester::start(sender, receiver, reply_to, timeout))
    }
}
