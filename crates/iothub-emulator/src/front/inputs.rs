//! Inputs of modules: `/devices/{id}/modules/{module}/messages/events`, as a module receives from it.

use std::sync::Arc;

use amqp1::{
    Delivered, Outcome, Receipt, Sender,
    link::{DeliveryTag, SendOptions},
};
use tokio::task::JoinSet;

use super::connection::Context;
use crate::hub::{Address, IdentityId, ModuleInput, Wake};
use crate::messages;
use crate::shared::Shared;

/// Most messages of one link that may wait for their settlement.
const MAX_UNSETTLED: usize = 1000;

/// Delivers until the link ends or may not go on.
pub(super) async fn serve(context: Arc<Context>, sender: Sender, address: Address, settled: bool) {
    let Some(id) = address.identity() else { return };
    let mut settlements = JoinSet::new();
    tokio::select! {
        error = context.revoked(&address) => {
            let _ = sender.detach_with(Some(error), true).await;
        }
        () = deliver(&context.shared, &sender, &id, settled, &mut settlements) => {}
    }
    // The link is over, so each of them is decided.
    while settlements.join_next().await.is_some() {}
}

/// Resolves when the link is gone.
async fn deliver(shared: &Arc<Shared>, sender: &Sender, id: &IdentityId, settled: bool, settlements: &mut JoinSet<()>) {
    let mut waiter = shared.waiter(Wake::Inputs(id.clone()));
    let detached = sender.detached();
    tokio::pin!(detached);
    loop {
        while settlements.try_join_next().is_some() {}
        if settlements.len() >= MAX_UNSETTLED {
            tokio::select! {
                _ = settlements.join_next() => continue,
                _ = &mut detached => return,
            }
        }
        let Ok(permit) = sender.reserve().await else { return };
        let taken = shared.hub(|hub, _| {
            let input = hub.take_input(id)?;
            Some((input, DeliveryTag::from(*hub.delivery_tag().as_octets())))
        });
        let Some((input, tag)) = taken else {
            drop(permit);
            tokio::select! {
                () = waiter.woken() => continue,
                _ = &mut detached => return,
            }
        };
        let options = SendOptions { settled, tag: Some(tag), message_format: 0 };
        match permit.send_with(messages::to_input(id, &input), options) {
            Ok(receipt) => {
                settlements.spawn(settle(shared.clone(), id.clone(), input, receipt));
            }
            Err(error) => {
                // The module took its credit back, or is gone.
                tracing::debug!(%error, "not delivered");
                shared.hub(|hub, _| hub.give_back_input(id, input));
            }
        }
    }
}

async fn settle(shared: Arc<Shared>, id: IdentityId, input: ModuleInput, receipt: Receipt) {
    let again = match receipt.await {
        Ok(Outcome::Accepted | Outcome::SentSettled | Outcome::Rejected(_)) => false,
        Ok(_) => true,
        Err(error) => error.delivered() == Delivered::No,
    };
    if again {
        shared.hub(|hub, _| hub.give_back_input(&id, input));
    }
}
