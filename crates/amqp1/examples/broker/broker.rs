//! What the broker has: queues and topics, and the nodes that clients had made.

use super::{
    Options,
    clock::Clock,
    queue::Queue,
    termini::{Away, Claimant, Expiry},
};
use amqp1::{
    Delivery, Symbol, Value,
    broker::terminus::{DynamicNodes, HeldMessage, Key, TerminusStore},
    codec::{
        Multiple,
        messaging::{LifetimePolicy, NodeProperties},
    },
    error::{AmqpError, ErrorCondition},
    message::Str,
};
use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// Where rejected messages go.
pub(crate) const DEAD_LETTERS: &str = "dead-letters";

pub(crate) struct Broker {
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    state: Mutex<State>,
    /// A link has given up its claim on a name.
    pub(crate) unclaimed: Notify,
}

pub(crate) struct State {
    nodes: HashMap<(Kind, Str), Arc<Queue>>,
    dynamic: DynamicNodes,
    links: u64,
    pub(crate) termini: TerminusStore<Away>,
    pub(crate) expiry: Option<Expiry>,
    pub(crate) claims: BTreeMap<Key, Claimant>,
}

/// What a node is. A queue and a topic may have the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Queue,
    Topic,
}

/// How many links may be away that may come back; a tenth of them of one container.
const MAX_TERMINI: usize = 10_000;

impl Kind {
    /// What clients of JMS say of a node, by the capabilities of a source or a target.
    pub(crate) fn of_capabilities(capabilities: &[Symbol]) -> Self {
        let topic = |name: &Symbol| matches!(name.as_str(), "topic" | "temporary-topic");
        if capabilities.iter().any(topic) { Self::Topic } else { Self::Queue }
    }

    /// Those of these capabilities that nodes here have.
    pub(crate) fn capabilities_among(capabilities: &[Symbol]) -> Multiple<Symbol> {
        let known = |name: &&Symbol| matches!(name.as_str(), "queue" | "topic" | "temporary-queue" | "temporary-topic");
        capabilities.iter().filter(known).cloned().collect()
    }

    /// What they say of the node that a message goes to, by an annotation.
    pub(crate) fn of_destination(annotation: Option<&Value>) -> Self {
        match annotation.and_then(Value::as_integer) {
            Some(1 | 3) => Self::Topic,
            _ => Self::Queue,
        }
    }
}

/// Addresses of dynamic nodes begin like this.
fn is_dynamic(name: &str) -> bool {
    name.starts_with("dynamic/")
}

/// The name of a node, and what it is: the address may say so.
fn named(address: &str, kind: Kind) -> (Str, Kind) {
    let said = [("queue://", Kind::Queue), ("topic://", Kind::Topic)];
    let said = said.iter().find_map(|(prefix, kind)| Some((address.strip_prefix(prefix)?, *kind)));
    let (name, kind) = said.unwrap_or((address, kind));
    (name.into(), kind)
}

impl State {
    fn delete(&mut self, gone: Vec<Str>) {
        for name in gone {
            for kind in [Kind::Queue, Kind::Topic] {
                if let Some(node) = self.nodes.remove(&(kind, name.clone())) {
                    node.delete();
                }
            }
        }
    }
}

impl Broker {
    pub(crate) fn new(options: Options) -> Self {
        let state = State {
            nodes: HashMap::new(),
            dynamic: DynamicNodes::new(),
            links: 0,
            termini: TerminusStore::new(MAX_TERMINI).max_of_container(MAX_TERMINI / 10),
            expiry: None,
            claims: BTreeMap::new(),
        };
        Self { options, clock: Clock::start(), state: Mutex::new(state), unclaimed: Notify::new() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many messages there are.
    pub(crate) fn len(&self) -> usize {
        self.state().nodes.values().map(|node| node.total()).sum()
    }

    /// A number by which messages tell the links apart that they were given to.
    pub(crate) fn new_link(&self) -> u64 {
        let mut state = self.state();
        state.links += 1;
        state.links
    }

    pub(crate) fn new_queue(&self, name: Str) -> Arc<Queue> {
        Arc::new(Queue::new(name, self.options.depth, self.clock))
    }

    fn new_node(&self, kind: Kind, name: Str) -> Arc<Queue> {
        match kind {
            Kind::Queue => self.new_queue(name),
            Kind::Topic => Arc::new(Queue::topic(name, self.options.depth, self.clock)),
        }
    }

    /// The node at this address, if there is one.
    pub(crate) fn find(&self, address: &str, kind: Kind) -> Result<Arc<Queue>, AmqpError> {
        let (name, kind) = named(address, kind);
        let state = self.state();
        let of = |kind| state.nodes.get(&(kind, name.clone()));
        // A dynamic node is what it was made as.
        let other = || of(Kind::Queue).or_else(|| of(Kind::Topic)).filter(|_| is_dynamic(&name));
        let missing = || AmqpError::new(ErrorCondition::NOT_FOUND, "there is no such node, or no longer");
        of(kind).or_else(other).cloned().ok_or_else(missing)
    }

    /// The node at this address, which is made unless the address is one of a dynamic node.
    pub(crate) fn node(&self, address: &str, kind: Kind) -> Result<Arc<Queue>, AmqpError> {
        let (name, made) = named(address, kind);
        match self.find(address, kind) {
            Err(_) if !is_dynamic(&name) => self.make(&mut self.state(), made, name),
            found => found,
        }
    }

    fn make(&self, state: &mut State, kind: Kind, name: Str) -> Result<Arc<Queue>, AmqpError> {
        let full = state.nodes.len() >= self.options.max_nodes;
        match state.nodes.entry((kind, name.clone())) {
            Entry::Occupied(node) => Ok(node.get().clone()),
            Entry::Vacant(_) if full => {
                let text = "there are as many nodes as there may be";
                Err(AmqpError::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, text))
            }
            Entry::Vacant(place) => Ok(place.insert(self.new_node(kind, name)).clone()),
        }
    }

    /// A dynamic node for the link that asks for it; the one that the link had before, if it comes back.
    pub(crate) fn dynamic(
        &self,
        link: Key,
        properties: Option<&NodeProperties>,
        kind: Kind,
    ) -> Result<Arc<Queue>, AmqpError> {
        let mut state = self.state();
        let name = state.dynamic.create(link.clone(), properties);
        self.make(&mut state, kind, name.clone()).inspect_err(|_| drop(state.dynamic.detached(&name, &link, true)))
    }

    /// The lifetime policy of a dynamic node: the one that it was made with.
    pub(crate) fn lifetime_policy(&self, node: &Queue) -> Option<LifetimePolicy> {
        self.state().dynamic.lifetime_policy(&node.name)
    }

    /// A link to this node was attached.
    pub(crate) fn attached(&self, node: &Queue, link: Key) {
        self.state().dynamic.attached(&node.name, link);
    }

    /// A link to this node has ended, and does not come back.
    pub(crate) fn ended(&self, node: &Queue, link: &Key) {
        let mut state = self.state();
        let gone = state.dynamic.detached(&node.name, link, true);
        state.delete(gone);
    }

    /// The number of messages in a queue has changed, which may be the end of a dynamic node.
    pub(crate) fn changed(&self, queue: &Queue) {
        let mut state = self.state();
        if state.dynamic.contains(&queue.name) {
            let gone = state.dynamic.holds(&queue.name, queue.len());
            state.delete(gone);
        }
    }

    /// A delivery as a message that is held here.
    pub(crate) fn hold(&self, delivery: &Delivery) -> Result<HeldMessage, AmqpError> {
        let message = HeldMessage::new(delivery.message().to_detached(), self.clock.now())
            .map_err(|error| AmqpError::new(ErrorCondition::DECODE_ERROR, error.to_string()))?;
        if message.is_durable() && !self.options.take_durable {
            let text = "no message here outlives the process: the broker has to be told to take durable ones";
            return Err(AmqpError::new(ErrorCondition::PRECONDITION_FAILED, text));
        }
        Ok(message)
    }

    pub(crate) fn publish(&self, node: &Queue, message: HeldMessage, publisher: &Str) {
        node.publish(message, publisher);
        self.changed(node);
    }

    /// Keeps a message that was rejected. Of those that there is no room for the oldest are dropped.
    pub(crate) fn dead_letter(&self, message: &HeldMessage, publisher: Str, why: Option<&AmqpError>) {
        if let Ok(queue) = self.node(DEAD_LETTERS, Kind::Queue) {
            if queue.drop_oldest() {
                eprintln!("broker: there is no room for another dead letter: the oldest is dropped");
            }
            queue.push(message.dead_letter(why, self.clock.now()), publisher);
        }
    }
}
