//! What the next link of a name does with what the last one has left.

use super::{
    consumer::Consumer,
    queue::{Queue, Stored},
    termini::{Left, Sent},
};
use amqp1::{link::DeliveryTag, resume::SuspendedSender};
use std::{collections::HashMap, sync::Arc};

impl Left {
    /// Whether nothing of it would be missed: no subscription, and no delivery that is unsettled.
    pub(crate) fn is_empty(&self) -> bool {
        self.subscription.is_none()
            && self.sent.as_ref().is_none_or(|sent| sent.unsettled.is_empty())
            && self.received.as_ref().is_none_or(|received| received.deliveries().is_empty())
    }

    /// Whether the link was attached to this node, or to none as well.
    pub(crate) fn is_at(&self, node: Option<&Arc<Queue>>) -> bool {
        match (&self.node, node) {
            (Some(left), Some(node)) => Arc::ptr_eq(left, node),
            (left, node) => left.is_none() && node.is_none(),
        }
    }

    /// Leaves this node out: the link has it again.
    pub(crate) fn without(mut self, node: &Arc<Queue>) -> Self {
        self.node.take_if(|left| Arc::ptr_eq(left, node));
        self
    }
}

impl Sent {
    /// Settles the deliveries whose outcomes came when the link was detached already: they were live (§2.7.6).
    pub(crate) fn settle_late(&mut self) {
        let deliveries = self.suspended.as_ref().map(SuspendedSender::deliveries).unwrap_or_default();
        for delivery in deliveries {
            let Some(outcome) = delivery.outcome else { continue };
            if let Some(stored) = self.unsettled.remove(&delivery.tag) {
                self.consumer.settle(stored, Ok(outcome));
            }
        }
    }

    /// What the next consumer goes on with. Copies are not resumed: it looks at the queue from the beginning.
    pub(crate) fn go_on(self, next: &Consumer) -> (Option<SuspendedSender>, HashMap<DeliveryTag, Stored>) {
        if !self.consumer.browses && !next.browses {
            return (self.suspended, self.unsettled);
        }
        self.unsettled.into_values().for_each(|stored| self.consumer.give_up(stored, self.in_good_order));
        (None, HashMap::new())
    }
}
