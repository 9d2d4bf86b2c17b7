//! Right peers for rules that our own peers do not show: the change makes them do so.

use super::attaches::DETACHES_WITHOUT_CLOSED;
use crate::wrong::Wrong;
use amqp_conformance::Role;

/// The cases that our own peer fails or skips, and the change that makes it a right one.
pub(crate) static ALL: &[(Role, &str, Wrong)] = &[
    // It closes the links that it refuses, so that they may be attached again to be closed.
    (Role::Server, "T-2.6.5-3", DETACHES_WITHOUT_CLOSED),
    (Role::Client, "T-2.6.5-3", DETACHES_WITHOUT_CLOSED),
];
