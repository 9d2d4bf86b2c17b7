//! Cases for links with a peer in either role.

pub(crate) mod attach;
mod client;
pub(crate) mod credit;
pub(crate) mod deliveries;
pub(crate) mod detach;
pub(crate) mod disposition;
pub(crate) mod drain;
pub(crate) mod flow;
pub(crate) mod multi_frame;
pub(crate) mod octets;
mod server;
pub(crate) mod sizes;
pub(crate) mod transfer;
mod trial;

pub(crate) use trial::{AnyLink, Checked, LinkTrial, transfers};
