//! Scripts that repeat the conversation of a case.
//!
//! A script is text. `--repro ID` writes it, `--replay FILE` runs it:
//!
//! ```text
//! amqp-conformance-script 1
//! # T-2.4.1-1/begin: The first frame of a connection is an open (§2.4.1).
//! role server
//! 1 connect
//! 1 send 414d515000010000
//! 1 send 0000001402000000005311c00704404343520852 08
//! 1 expect header
//! 1 expect close
//! 1 leave
//! ```
//!
//! | line | |
//! |---|---|
//! | `role server`, `role client SCENARIO COUNT` | the role of the peer; a client is started for this scenario |
//! | `N connect` | connection N is opened, or the client's next connection is accepted |
//! | `N send HEX` | octets are written; `{password}` stands for those of `--password` |
//! | `N expect NAME` | something is waited for: a performative, `header`, `end`, `reset` |
//! | `N finish` | writing is finished |
//! | `N leave` | the connection is left |
//! | `wait MS` | a pause in milliseconds; all of them together take up to an hour |
//! | `# …` | a remark |
//!
//! Octets are repeated as they are: what a peer chooses at random, a transaction id or a dynamic address, is not adapted.

mod replay;
mod script;

pub use replay::{ReplayError, Replayed, replay};
pub use script::{Line, Octets, Script, ScriptError};
