//! Tells how well an AMQP 1.0 server or client keeps the specification.
//!
//! Cases speak raw frames through [`amqp1_script`]. No protocol engine is linked, so that none is judged by itself.
#![forbid(unsafe_code)]

pub mod case;
#[doc(hidden)]
pub mod cli;
pub mod client;
pub mod coverage;
pub mod decode;
pub mod delivery;
mod either;
pub mod judge;
pub mod octets;
pub mod profile;
pub mod report;
pub mod repro;
pub mod run;
pub mod server;
pub mod transport;
pub mod verdict;
pub mod wire;

pub use case::{Case, Check, Need, Role, Severity, Tag, Twin};
pub use delivery::Delivery;
pub use report::Report;
pub use run::{Options, run};
pub use verdict::{Outcome, Stop, Verdict};

/// Every case: those for servers, then those for clients.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    server::cases::all().chain(client::cases::all())
}
