//! Cases for clients: the tool listens, and a command connects.
#![doc = ""]
#![doc = include_str!("../../docs/clients.md")]

mod attached;
pub mod cases;
mod driver;
mod process;
mod progress;
mod sheet;
pub mod stand;
mod trial;
pub mod twins;

pub use attached::{Attached, Attaching, receives_from_node, sends_to_coordinator, sends_to_node};
pub use driver::{ClientTarget, Scenario};
pub use progress::{Progress, TXN_ID};
pub use sheet::sheet_of;
pub use trial::{Accepted, Begun, ClientTrial};
