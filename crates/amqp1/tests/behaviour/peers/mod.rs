//! Peers that several subjects share.

pub(crate) mod node;
pub(crate) mod peer;
pub(crate) mod raw;
pub(crate) mod resource;
pub(crate) mod world;
