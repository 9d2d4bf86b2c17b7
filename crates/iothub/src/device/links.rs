//! Where the links of a device or a module go, and what they say of themselves.
//!
//! What an application has opened is described by [`Subscription`]s, which hold no state of a connection: each can be
//! opened on another one.

use crate::{
    connect::{Hub, MAX_MESSAGE_SIZE},
    error::Error,
    message::device_path,
    random::uuid,
};
use amqp1::{
    Credit, Receiver, Sender, Symbol,
    link::{OnDrop, ReceiverSettleMode, SenderSettleMode},
};

/// The version of the service's protocol that these links follow.
const API_VERSION: &str = "2020-09-30";

/// Who made the links.
const CLIENT_VERSION: &str = concat!("iothub-rust/", env!("CARGO_PKG_VERSION"));

/// What a device or a module receives from its hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subscription {
    /// Messages that services send.
    CloudToDevice,
    /// Messages that an IoT Edge gateway routes to a module.
    Inputs,
    /// Calls of direct methods, and their answers.
    Methods,
    /// Answers about the twin, and its changes.
    Twin,
}

/// A device, or a module of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: String,
    pub(crate) module: Option<String>,
}

impl Identity {
    pub(crate) fn telemetry_address(&self) -> String {
        self.address("messages/events")
    }

    pub(crate) fn subscription_address(&self, subscription: Subscription) -> String {
        self.address(match subscription {
            Subscription::CloudToDevice => "messages/devicebound",
            Subscription::Inputs => "messages/events",
            Subscription::Methods => "methods/devicebound",
            Subscription::Twin => "twin",
        })
    }

    fn address(&self, rest: &str) -> String {
        format!("{}/{rest}", device_path(&self.device, self.module.as_deref()))
    }
}

/// What every link says of itself.
pub(crate) fn properties() -> [(Symbol, String); 2] {
    [("com.microsoft:api-version", API_VERSION), ("com.microsoft:client-version", CLIENT_VERSION)]
        .map(|(name, value)| (Symbol::from_static(name), value.to_owned()))
}

impl Subscription {
    /// Attaches the two links of a pair: requests or answers go out on one, and `credit` of the others come in on the other.
    pub(crate) async fn attach_pair(
        self,
        hub: &Hub,
        identity: &Identity,
        credit: u32,
    ) -> Result<(Sender, Receiver), Error> {
        hub.check()?;
        let address = identity.subscription_address(self);
        let mut sender = hub
            .session
            .sender(address.as_str())
            .settle_mode(SenderSettleMode::Settled)
            .receiver_settle_mode(ReceiverSettleMode::First)
            .allow_differences();
        let mut receiver = hub
            .session
            .receiver(address)
            .settle_mode(SenderSettleMode::Settled)
            .receiver_settle_mode(ReceiverSettleMode::First)
            .allow_differences()
            .on_drop(OnDrop::LeaveUnsettled)
            .max_message_size(MAX_MESSAGE_SIZE)
            .credit(Credit::Window(credit));
        for (name, value) in self.pair_properties() {
            sender = sender.property(name.clone(), value.as_str());
            receiver = receiver.property(name, value);
        }
        tokio::try_join!(sender.attach(), receiver.attach()).map_err(|error| hub.error(error))
    }

    /// What the two links of a pair say, by which the hub knows that they belong together.
    fn pair_properties(self) -> [(Symbol, String); 3] {
        let kind = match self {
            Self::Methods => "methods",
            _ => "twin",
        };
        let [version, client] = properties();
        let pair = (Symbol::from_static("com.microsoft:channel-correlation-id"), format!("{kind}:{}", uuid()));
        [version, client, pair]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_hub() {
        let device = Identity { device: "d#1".to_owned(), module: None };
        let module = Identity { module: Some("m".to_owned()), ..device.clone() };
        assert_eq!(device.telemetry_address(), "/devices/d%231/messages/events");
        for (subscription, expected) in [
            (Subscription::CloudToDevice, "messages/devicebound"),
            (Subscription::Inputs, "messages/events"),
            (Subscription::Methods, "methods/devicebound"),
            (Subscription::Twin, "twin"),
        ] {
            assert_eq!(device.subscription_address(subscription), format!("/devices/d%231/{expected}"));
            assert_eq!(module.subscription_address(subscription), format!("/devices/d%231/modules/m/{expected}"));
        }
    }

    #[test]
    fn a_pair_names_itself_by_its_kind_and_a_uuid() {
        let [_, _, (name, first)] = Subscription::Twin.pair_properties();
        let [_, _, (_, second)] = Subscription::Methods.pair_properties();
        assert_eq!(name.as_str(), "com.microsoft:channel-correlation-id");
        assert!(first.starts_with("twin:") && second.starts_with("methods:"), "{first} {second}");
        assert_eq!(first.len(), "twin:".len() + 36);
    }
}
