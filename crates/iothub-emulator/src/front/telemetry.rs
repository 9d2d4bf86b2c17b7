//! Telemetry from devices: `/devices/{id}/messages/events`.

use std::sync::Arc;

use amqp1::{AmqpError, Delivery, Receiver};

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
        let octets = delivery.message().encoded_len();
        let throttled = context.shared.throttle(Operation::DeviceToCloud, octets).await;
        let taken = match throttled {
            Ok(()) => append(&context, &address, &auth_method, &delivery),
            Err(error) => Err(messages::throttled(&error)),
        };
        let settled = match taken {
            Ok(()) => delivery.accept(),
            Err(error) => {
                context.refused("telemetry", &address, &error);
                delivery.reject(error)
            }
        };
        if let Err(error) = settled {
            tracing::debug!(%error, "the device was gone before its telemetry was settled");
        }
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
