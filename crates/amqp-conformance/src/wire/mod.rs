//! The connections of a case, and the log of what went over them.

mod log;
mod logs;
mod recorder;

use log::Deadline;
pub(crate) use log::shorten;
pub use log::{Entry, Step, WireLog};
pub use logs::Logs;
pub(crate) use recorder::GRACE;
pub use recorder::Recorder;

/// A scripted peer whose conversation is logged.
pub type Connection = amqp1_script::Peer<Recorder>;
