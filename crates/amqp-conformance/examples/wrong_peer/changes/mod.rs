//! The wrong peers.

mod attaches;
mod connections;
mod deliveries;
mod refusals;

use crate::wrong::Wrong;

/// Every wrong peer, those first that fail most cases.
pub(crate) static ALL: &[Wrong] = &[
    refusals::SWALLOWS,
    refusals::NARROWER,
    refusals::OTHER_CONDITION,
    refusals::MUTE,
    refusals::CLOSES_AT_ONCE,
    refusals::ECHOES,
    refusals::CLOSES_AFTER_OPEN,
    refusals::REFUSES_SESSIONS,
    refusals::REFUSES_LINKS,
    connections::OTHER_HEADER,
    connections::NO_CLOSE,
    connections::TALKS_AFTER_CLOSE,
    connections::STAYS_AFTER_CLOSE,
    connections::NO_HEARTBEAT,
    connections::OPEN_ON_CHANNEL_1,
    connections::OPEN_TWICE,
    connections::LARGE_OPEN,
    connections::NO_REMOTE_CHANNEL,
    connections::WRONG_REMOTE_CHANNEL,
    connections::NO_END,
    connections::SASL_ALWAYS_OK,
    connections::SASL_NO_MECHANISM,
    connections::SASL_WITH_DATA,
    attaches::OTHER_NAME,
    attaches::SAME_ROLE,
    attaches::NO_TERMINI,
    attaches::NO_INITIAL_DELIVERY_COUNT,
    attaches::OTHER_SETTLE_MODES,
    attaches::ECHOES_TERMINI,
    attaches::NO_DETACH,
    attaches::DETACHES_WITHOUT_CLOSED,
    attaches::FORGETS_UNSETTLED,
    attaches::NO_LIMITS,
    deliveries::NO_FLOW,
    deliveries::WRONG_FLOW_COUNTS,
    deliveries::ECHOES_ECHO,
    deliveries::NO_DISPOSITION,
    deliveries::OTHER_OUTCOME,
    deliveries::NOT_SETTLED,
    deliveries::NO_STATE,
    deliveries::TWICE,
    deliveries::CHANGED_PAYLOAD,
    deliveries::NO_TAG,
    deliveries::SETTLED_FLIPPED,
    deliveries::LARGE_FRAMES,
    deliveries::IGNORES_DISPOSITIONS,
    deliveries::IGNORES_CREDIT,
    deliveries::ACCEPTS_WITHOUT_KEEPING,
];
