//! Connections and sessions (§2.1 to §2.5, §2.7.1, §2.7.2, §2.7.8 to §2.8).

mod handshake;

use crate::case::Case;

pub(super) const TABLES: &[&[Case]] = &[handshake::CASES];
