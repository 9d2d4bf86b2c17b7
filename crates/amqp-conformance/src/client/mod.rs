//! Cases for clients: the tool listens, and a command connects.

pub mod cases;
mod driver;
mod trial;
pub mod twins;

pub use driver::{ClientTarget, Scenario};
pub use trial::{Accepted, Attached, Begun, ClientTrial};
