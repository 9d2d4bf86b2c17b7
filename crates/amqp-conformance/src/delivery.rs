//! Puts deliveries together from their transfers.

use amqp1_codec::{SequenceNo, performative::Transfer};
use amqp1_script::Received;
use bytes::{Bytes, BytesMut};

/// A whole delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The channel on which the peer sent it.
    pub channel: u16,
    /// Its transfers, in their order; at least one.
    pub transfers: Vec<Transfer>,
    /// Its message: the payloads of the transfers, one after another.
    pub message: Bytes,
}

impl Delivery {
    /// The delivery-id, from the first transfer.
    pub fn id(&self) -> Option<SequenceNo> {
        self.first().and_then(|transfer| transfer.delivery_id)
    }

    /// The delivery-id as a number; 0 if the peer gave none.
    pub fn number(&self) -> u32 {
        self.id().unwrap_or_default().0
    }

    /// The first transfer.
    pub fn first(&self) -> Option<&Transfer> {
        self.transfers.first()
    }

    /// The delivery-tag, from the first transfer; empty if the peer gave none.
    pub fn tag(&self) -> &[u8] {
        self.first().and_then(|transfer| transfer.delivery_tag.as_ref()).map_or(&[], |tag| tag.as_slice())
    }

    /// `true` if the sender has settled it: one of its transfers says so (§2.7.5).
    pub fn is_settled(&self) -> bool {
        self.transfers.iter().any(|transfer| transfer.settled == Some(true))
    }

    /// `true` if the sender has abandoned it.
    pub fn is_aborted(&self) -> bool {
        self.transfers.last().is_some_and(|transfer| transfer.aborted)
    }
}

/// The number of octets of one delivery that are kept, and of its transfers: a peer may never finish it.
const MOST_OCTETS: usize = 64 * 1024 * 1024;
const MOST_TRANSFERS: usize = 64 * 1024;

/// The deliveries of a connection of which a part has come. Of a delivery without end, the beginning is kept.
#[derive(Debug, Default)]
pub struct Assembly {
    partial: Vec<(Vec<Transfer>, BytesMut, u16)>,
}

impl Assembly {
    /// Adds a transfer. Returns the delivery that it completes.
    pub fn add(&mut self, transfer: &Received<Transfer>) -> Option<Delivery> {
        let belongs = |(transfers, _, channel): &(Vec<Transfer>, BytesMut, u16)| {
            let is_same_link = transfers.first().is_some_and(|first| first.handle == transfer.handle);
            is_same_link && *channel == transfer.channel
        };
        let found = self.partial.iter().position(belongs).map(|index| self.partial.swap_remove(index));
        let (mut transfers, mut message, channel) =
            found.unwrap_or_else(|| (vec![], BytesMut::new(), transfer.channel));
        if transfers.len() >= MOST_TRANSFERS {
            transfers.pop();
        }
        transfers.push(transfer.body.clone());
        let free = MOST_OCTETS.saturating_sub(message.len());
        message.extend_from_slice(transfer.payload.get(..free).unwrap_or(&transfer.payload));
        if transfer.more && !transfer.aborted {
            self.partial.push((transfers, message, channel));
            return None;
        }
        Some(Delivery { channel, transfers, message: message.freeze() })
    }
}
