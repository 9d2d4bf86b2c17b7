//! A scripted AMQP 1.0 peer: it writes frames, good and bad ones, and says what came back.
//!
//! It stands on the codec alone and knows no rule of the protocol that it does not need for reading frames, so it can
//! break each of them and hold another implementation to all of them.
//!
//! | module | |
//! |---|---|
//! | [`Peer`] | writes, waits, and keeps a [`Transcript`] of both directions |
//! | [`steps`] | brings a peer to a state: opened, begun, attached, in either role |
//! | [`frames`] | well-formed frames with sensible defaults |
//! | [`bad`] | breaks one rule in a good frame |
//! | [`transport`] | a socket, two queues in memory, or a function that answers |
//! | [`Listener`] | accepts connections of clients that are to be tested |
//!
//! - **Every wait has a deadline**, and so has every write. [`Peer::set_patience`] says how long they are.
//! - **Every outcome is a value**: a header, a frame, octets that cannot be read, the end, silence; see [`Got`].
//! - **Nothing that comes in makes it panic**, or allocate more than came.
//! - **Secrets stand in no transcript**: of payloads and SASL responses only the length is shown.
//!
//! Sockets block: a script is a sequence, deadlines are all that it needs, and who runs many has threads.
//!
//! ```
//! use amqp1_script::{Memory, Peer, frames};
//! use amqp1_codec::{frame::ProtocolHeader, performative::{Begin, Open}};
//!
//! let (here, there) = Memory::pair();
//! let (mut client, mut server) = (Peer::new(here), Peer::new(there));
//!
//! client.header(ProtocolHeader::AMQP);
//! client.send(0, frames::open("client"));
//! server.expect_header(ProtocolHeader::AMQP)?;
//! assert_eq!(server.expect::<Open>()?.container_id, *"client");
//!
//! // What does not come is reported with all that did.
//! let unexpected = server.expect::<Begin>().unwrap_err();
//! assert!(unexpected.to_string().contains("<- [0] open container-id=\"client\""));
//! # Ok::<(), amqp1_script::Unexpected>(())
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod bad;
mod body;
pub mod frames;
mod got;
mod listener;
mod peer;
mod refusal;
mod splitter;
pub mod steps;
mod transcript;
pub mod transport;
mod unexpected;

pub use body::{Body, Received};
pub use got::{AmqpFrame, Got, Why};
pub use listener::{AcceptError, Listener};
pub use peer::{Peer, Skip};
pub use refusal::{Refusal, Scope};
pub use splitter::Splitter;
pub use steps::{Link, Session};
pub use transcript::{Direction, Line, Transcript};
pub use transport::{Answer, Answering, Memory, Read, Tcp, Transport, Written};
pub use unexpected::Unexpected;

/// The README's examples are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
