//! Transactions: what is posted within one is stored when it is committed. The library holds back the outcomes of what
//! is retired or acquired.

use super::{broker::Broker, queue::Queue};
use amqp1::{
    broker::terminus::HeldMessage,
    error::{AmqpError, ErrorCondition},
    message::Str,
    transaction::{ControlLink, Discharge},
};
use std::sync::Arc;

/// A message that was posted within a transaction.
pub(crate) struct Posted {
    pub(crate) node: Arc<Queue>,
    pub(crate) message: HeldMessage,
    pub(crate) publisher: Str,
}

/// Serves a control link. What is rolled back is dropped.
pub(crate) async fn serve(mut control: ControlLink<Posted>, broker: &Broker) {
    while let Some(discharge) = control.next().await {
        let Discharge::Commit(mut commit) = discharge else { continue };
        let answered = if commit.work().iter().any(|posted| posted.node.is_deleted()) {
            commit.refuse(AmqpError::new(ErrorCondition::RESOURCE_DELETED, "a node was deleted meanwhile"))
        } else {
            for Posted { node, message, publisher } in commit.take_work() {
                broker.publish(&node, message, &publisher);
            }
            commit.confirm()
        };
        if let Err(error) = answered {
            eprintln!("broker: the end of a transaction could not be told: {error}");
        }
    }
}
