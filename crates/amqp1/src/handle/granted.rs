//! Whether the peer grants what a link was asked for (§2.6.3, M-3.5.1-2).

use crate::types::error::{Error, ErrorKind};
use amqp1_broker::terminus::{Difference, differences, target_differences};
use amqp1_codec::{
    definitions::{ReceiverSettleMode, SenderSettleMode},
    messaging::{DistributionMode, Source, Target},
    performative::{Attach, TargetArchetype},
};

/// The caller's wishes for the peer's end. A link without any has nothing to be checked.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    source: Option<Source>,
    target: Option<Target>,
    sender_mode: SenderSettleMode,
    receiver_mode: ReceiverSettleMode,
}

impl Asked {
    /// Of a sender, by a receiver.
    pub(crate) fn of_sender(source: Option<&Source>, sender_mode: SenderSettleMode) -> Self {
        let special =
            |source: &&Source| source.dynamic || source.filter.is_some() || source.distribution_mode.is_some();
        Self { source: source.filter(special).cloned(), sender_mode, ..Self::default() }
    }

    /// Of a receiver, by a sender.
    pub(crate) fn of_receiver(target: Option<&TargetArchetype>, receiver_mode: ReceiverSettleMode) -> Self {
        let target = target.and_then(TargetArchetype::as_target).filter(|target| target.dynamic).cloned();
        Self { target, receiver_mode, ..Self::default() }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        let modes = (self.sender_mode, self.receiver_mode);
        self.source.is_none() && self.target.is_none() && modes == (SenderSettleMode::Mixed, ReceiverSettleMode::First)
    }

    /// Compares it with what is in force. A settle mode is missed only if the peer's is the opposite.
    ///
    /// # Errors
    ///
    /// The differences from what was asked for.
    pub(crate) fn check(&self, granted: &Attach) -> Result<(), Error> {
        let source = match (&self.source, &granted.source) {
            (Some(asked), Some(granted)) => differences(asked, granted).into_iter().find_map(|difference| {
                let moved = asked.distribution_mode == Some(DistributionMode::MOVE);
                Some(match difference {
                    Difference::AddressMissing => "a dynamic node: there is no address in its answer".to_owned(),
                    Difference::FilterMissing(name) => format!("the filter {:?}", name.as_str()),
                    // What a sender does that names no mode is to move.
                    Difference::OtherMode if moved && granted.distribution_mode.is_none() => return None,
                    Difference::OtherMode => {
                        let asked = asked.distribution_mode.as_ref().map_or("", |mode| mode.as_str());
                        format!("the distribution mode {asked:?}")
                    }
                    _ => return None,
                })
            }),
            _ => None,
        };
        let target = match (&self.target, granted.target.as_ref().and_then(TargetArchetype::as_target)) {
            (Some(asked), Some(granted)) => target_differences(asked, granted)
                .contains(&Difference::AddressMissing)
                .then(|| "a dynamic node: there is no address in its answer".to_owned()),
            _ => None,
        };
        let sender_mode = match (self.sender_mode, granted.snd_settle_mode) {
            (SenderSettleMode::Settled, SenderSettleMode::Unsettled) => {
                Some("the sender-settle-mode settled".to_owned())
            }
            (SenderSettleMode::Unsettled, SenderSettleMode::Settled) => {
                Some("the sender-settle-mode unsettled".to_owned())
            }
            _ => None,
        };
        let receiver_mode = (self.receiver_mode == ReceiverSettleMode::Second
            && granted.rcv_settle_mode == ReceiverSettleMode::First)
            .then(|| "the receiver-settle-mode second".to_owned());
        match source.or(target).or(sender_mode).or(receiver_mode) {
            Some(missing) => Err(Error::new(
                ErrorKind::NotGranted,
                format!("the peer does not grant {missing}; allow_differences() attaches the link all the same"),
            )),
            None => Ok(()),
        }
    }
}
