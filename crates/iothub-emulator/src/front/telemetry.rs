//! Telemetry from devices: `/devices/{id}/messages/events`.

use std::sync::Arc;

use amqp1::{Delivery, Error, Receiver, error::AmqpError};

use super::connection::Context;
use super::deliveries;
use crate::hub::{Address, AppendError, Operation};
use crate::messages::{self, error_of, malformed};

/// Takes telemetry until the link ends or may not go on.
pub(super) async fn serve(context: Arc<Context>, mut receiver: Receiver, address: Address, auth_method: Arc<str>) {
    let mut revoked = context.revoked(&address);
    loop {
        let delivery = match deliveries::next(&mut receiver, &mut revoked).await {
            Ok(delivery) => delivery,
            Err(over) => return over.conclude(&receiver, &address).await,
        };
        if context.shared.is_bounded() {
            // On the heap where it may have to wait: a link is quiet most of the time.
            Box::pin(take_in_time(&context, &address, &auth_method, delivery)).await;
        } else {
            take(&context, &address, &auth_method, delivery);
        }
    }
}

/// Takes a delivery when the rates of the hub's tier allow it.
async fn take_in_time(context: &Context, address: &Address, auth_method: &Arc<str>, delivery: Delivery) {
    let octets = delivery.message().encoded_len();
    match context.shared.throttle(Operation::DeviceToCloud, octets).await {
        Ok(()) => take(context, address, auth_method, delivery),
        Err(error) => reject(context, address, delivery, messages::throttled(&error)),
    }
}

/// Takes a delivery, and settles it.
fn take(context: &Context, address: &Address, auth_method: &Arc<str>, delivery: Delivery) {
    match append(context, address, auth_method, &delivery) {
        Ok(()) => settled(delivery.accept()),
        Err(error) => reject(context, address, delivery, error),
    }
}

fn reject(context: &Context, address: &Address, delivery: Delivery, error: AmqpError) {
    context.refused("telemetry", address, &error);
    settled(delivery.reject(error));
}

fn settled(settled: Result<(), Error>) {
    if let Err(error) = settled {
        tracing::debug!(%error, "the device was gone before its telemetry was settled");
    }
}

/// Takes all messages of a transfer, or none.
fn append(context: &Context, address: &Address, auth_method: &Arc<str>, delivery: &Delivery) -> Result<(), AmqpError> {
    let Some(device) = address.device() else { return Ok(()) };
    let mut batch = Vec::new();
    let mut total = 0_usize;
    for message in messages::telemetry(delivery.message(), delivery.message_format())? {
        let size = messages::size(&message).map_err(malformed)?;
        total = total.saturating_add(size);
        batch.push((size, messages::stored(&message)));
    }
    let appended = context.shared.hub(|hub, now| {
        let max = hub.settings().telemetry.max_size;
        if total > max {
            return Err(AppendError::TooLarge { size: total, max });
        }
        for (size, payload) in batch {
            hub.append(now, device, address.module(), auth_method, size, payload)?;
        }
        Ok(())
    });
    appended.map_err(|error| error_of(error.condition(), &error))
}
