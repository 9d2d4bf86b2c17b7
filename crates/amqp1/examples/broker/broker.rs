//! What the broker has: queues, and the nodes that clients had made.

use super::{
    Options,
    queue::{Clock, Queue},
};
use amqp1::{
    AmqpError, Delivery, ErrorCondition, Str,
    codec::messaging::NodeProperties,
    engine::terminus::{DynamicNodes, HeldMessage, Key},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Where rejected messages go.
pub(crate) const DEAD_LETTERS: &str = "dead-letters";

pub(crate) struct Broker {
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queues: HashMap<Str, Arc<Queue>>,
    dynamic: DynamicNodes,
    links: u64,
}

impl State {
    fn delete(&mut self, gone: Vec<Str>) {
        for queue in gone.iter().filter_map(|address| self.queues.remove(address)) {
            queue.delete();
        }
    }
}

impl Broker {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, clock: Clock::start(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many messages there are.
    pub(crate) fn len(&self) -> usize {
        self.state().queues.values().map(|queue| queue.len()).sum()
    }

    /// How many queues there are.
    #[cfg(test)]
    pub(crate) fn queues(&self) -> usize {
        self.state().queues.len()
    }

    /// A number by which messages tell the links apart that they were given to.
    pub(crate) fn new_link(&self) -> u64 {
        let mut state = self.state();
        state.links += 1;
        state.links
    }

    /// The queue of this name, which is made unless the name is one of a dynamic node.
    pub(crate) fn queue(&self, name: &str) -> Result<Arc<Queue>, AmqpError> {
        let mut state = self.state();
        if let Some(queue) = state.queues.get(name) {
            return Ok(queue.clone());
        }
        if name.starts_with("dynamic/") {
            return Err(AmqpError::new(ErrorCondition::NOT_FOUND, "there is no such dynamic node, or no longer"));
        }
        let name = Str::from(name);
        let queue = Arc::new(Queue::new(name.clone(), self.options.depth, self.clock));
        state.queues.insert(name, queue.clone());
        Ok(queue)
    }

    /// The queue of a dynamic node, for the link that asks for it; the one that the link had before, if it comes back.
    pub(crate) fn dynamic(&self, link: Key, properties: Option<&NodeProperties>) -> Arc<Queue> {
        let mut state = self.state();
        let name = state.dynamic.create(link, properties);
        let made = || Arc::new(Queue::new(name.clone(), self.options.depth, self.clock));
        state.queues.entry(name.clone()).or_insert_with(made).clone()
    }

    /// A link to this queue was attached.
    pub(crate) fn attached(&self, queue: &Queue, link: Key) {
        self.state().dynamic.attached(&queue.name, link);
    }

    /// A link to this queue has ended; `closed` says that it does not come back.
    pub(crate) fn ended(&self, queue: Arc<Queue>, link: &Key, closed: bool) {
        let mut state = self.state();
        let gone = state.dynamic.detached(&queue.name, link, closed);
        state.delete(gone);
        self.forget(&mut state, queue);
    }

    /// Forgets a queue that nobody uses and that is empty.
    fn forget(&self, state: &mut State, queue: Arc<Queue>) {
        let (name, empty) = (queue.name.clone(), queue.len() == 0);
        drop(queue);
        let unused = state.queues.get(&name).is_some_and(|queue| Arc::strong_count(queue) == 1);
        if empty && unused && !state.dynamic.contains(&name) {
            state.queues.remove(&name);
        }
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

    /// Keeps a message that was rejected. Of those that there is no room for the oldest are dropped.
    pub(crate) fn dead_letter(&self, message: &HeldMessage, publisher: Str, why: Option<&AmqpError>) {
        if let Ok(queue) = self.queue(DEAD_LETTERS) {
            queue.drop_oldest();
            queue.push(message.dead_letter(why, self.clock.now()), publisher);
        }
    }
}
