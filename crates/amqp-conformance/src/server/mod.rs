//! Cases for servers: the tool connects.

pub mod cases;
mod consumer;
mod login;
mod queue;
mod receiving;
pub(crate) mod relay;
mod restart;
mod sheet;
mod target;
mod trial;
pub mod twins;

pub use consumer::{Consumer, Delivered};
pub(crate) use login::SCRAM_NONCE;
pub use login::{Login, PasswordMechanism, ScramHash, UnknownMechanism};
pub(crate) use queue::QueueError;
pub use queue::credit_after;
pub use receiving::{Progress, covers};
pub use relay::Relayed;
pub use sheet::Sheet;
pub use target::ServerTarget;
pub use trial::{Attached, Begun, Opened, ServerTrial};
