//! Cloud-to-device messages from the service: `/messages/devicebound`.

use std::sync::Arc;

use amqp1::{Delivery, Receiver};

use super::connection::Context;
use super::deliveries;
use crate::hub::{Address, Operation, ServiceError};
use crate::messages::{self, refused, to_device};

/// Takes messages until the link ends or may not go on.
pub(super) async fn serve(context: Arc<Context>, mut receiver: Receiver, address: Address) {
    let mut revoked = context.revoked(&address);
    loop {
        let delivery = match deliveries::next(&mut receiver, &mut revoked).await {
            Ok(delivery) => delivery,
            Err(over) => return over.conclude(&receiver, &address).await,
        };
        let octets = delivery.message().encoded_len();
        let throttled = context.shared.throttle(Operation::CloudToDevice, octets).await;
        take(&context, &address, delivery, throttled);
    }
}

fn take(context: &Context, address: &Address, delivery: Delivery, throttled: Result<(), ServiceError>) {
    let message = throttled.map_err(|error| messages::throttled(&error)).and_then(|()| to_device(delivery.message()));
    let taken = message.and_then(|(id, message)| {
        if context.shared.take_drop() {
            tracing::warn!(%id, "a message was accepted and lost, as was asked for");
            return Ok(());
        }
        context.shared.hub(|hub, now| hub.enqueue(now, &id, message)).map(drop).map_err(|error| refused(&error))
    });
    let settled = match taken {
        Ok(()) => delivery.accept(),
        Err(error) => {
            let to = delivery.message().properties().ok().flatten().and_then(|properties| properties.to);
            match to {
                Some(to) => context.refused("message", to, &error),
                None => context.refused("message", address, &error),
            }
            delivery.reject(error)
        }
    };
    if let Err(error) = settled {
        tracing::debug!(%error, "the service was gone before its message was settled");
    }
}
