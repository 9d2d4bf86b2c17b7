//! Our attach of a link and the peer's (§2.7.3): what is kept of them, and what is wrong with one.

use super::Link;
use crate::{metadata::is_plain, tolerances::Tolerances, violation::PeerMisbehaved};
use alloc::boxed::Box;
use amqp1_codec::{
    Decode, Encode, EncodeStyle, Limits, Multiple, Reader,
    definitions::Role,
    messaging::{Source, Target},
    performative::Attach,
};
use bytes::{Bytes, BytesMut};

impl Link {
    /// Whether this end attaches without a terminus: it refuses the link.
    pub(crate) fn is_refused(&self) -> bool {
        self.local.source.is_none() && self.local.target.is_none()
    }

    /// Our attach as octets, which are kept; of itself only what is asked for later stays.
    pub(crate) fn pack_local(&mut self, style: EncodeStyle) -> Bytes {
        let octets = encoded(&self.local, style);
        let local = &mut self.local;
        self.reattach = Some(match local.unsettled.take() {
            Some(_) => encoded(local, style),
            None => octets.clone(),
        });
        // A default outcome without heap data is kept. A target alone marks the attach as accepted.
        let refused = local.source.is_none() && local.target.is_none();
        local.source = local.source.take().and_then(|source| {
            let default_outcome = source.default_outcome.filter(is_plain)?;
            Some(Box::new(Source { default_outcome: Some(default_outcome), ..Source::default() }))
        });
        local.target = (!refused && local.source.is_none()).then(|| Target::default().into());
        local.offered_capabilities = Multiple::default();
        local.properties = None;
        octets
    }

    /// Takes our attach out of the octets again.
    pub(crate) fn unpack_local(&mut self, limits: Limits) {
        let octets = self.reattach.take();
        if let Some(local) = octets.and_then(|octets| Attach::decode(&mut Reader::with_limits(&octets, limits)).ok()) {
            *self.local = local;
        }
    }

    /// Forgets what the peer has attached with, but for what counts later.
    pub(crate) fn forget_remote(&mut self) {
        if let Some(remote) = &mut self.remote {
            remote.kept = None;
        }
    }

    /// The largest message that the peer takes.
    pub(crate) fn remote_max_message_size(&self) -> Option<u64> {
        self.remote.as_ref().and_then(|remote| remote.max_message_size).filter(|max| *max > 0)
    }
}

/// Whether a sender does not say where it counts from (§2.7.3), and that is not tolerated.
pub(crate) fn count_missing(attach: &Attach, tolerances: &Tolerances) -> Option<PeerMisbehaved> {
    let missing = attach.role == Role::Sender && attach.initial_delivery_count.is_none();
    (missing && !tolerances.missing_initial_delivery_count).then_some(PeerMisbehaved::InitialDeliveryCountMissing)
}

fn encoded(attach: &Attach, style: EncodeStyle) -> Bytes {
    let mut out = BytesMut::with_capacity(attach.encoded_len(style));
    attach.encode(style, &mut out);
    out.freeze()
}

/// The faults of an attach by itself (§2.7.3, §3.5.3).
pub(crate) fn attach_violation(attach: &Attach, tolerances: &Tolerances) -> Option<PeerMisbehaved> {
    if let Some(violation) = count_missing(attach, tolerances) {
        return Some(violation);
    }
    let source =
        attach.source.as_deref().map(|s| (s.dynamic, s.address.is_some(), s.dynamic_node_properties.is_some()));
    let target = attach
        .target
        .as_ref()
        .and_then(|target| target.as_target())
        .map(|t| (t.dynamic, t.address.is_some(), t.dynamic_node_properties.is_some()));
    // The terminus of the peer's own end may carry what was given to it; the one at our end is what it asks for.
    let asked = match attach.role {
        Role::Sender => target,
        Role::Receiver => source,
    };
    match asked {
        Some((true, true, _)) => Some(PeerMisbehaved::DynamicNodeContradiction),
        Some((false, _, true)) if !tolerances.spare_node_properties => Some(PeerMisbehaved::DynamicNodeContradiction),
        _ => None,
    }
}
