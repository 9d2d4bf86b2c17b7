//! Who is talking: SASL mechanisms, shared access signatures, connection strings and claims-based security for
//! AMQP 1.0.
//!
//! Nothing here does input or output, reads a clock or draws random numbers. Octets, texts and times come in as
//! arguments, and what is to be sent comes out.
//!
//! | module | what it holds |
//! |---|---|
//! | [`sasl`] | ANONYMOUS, PLAIN, EXTERNAL, MSSBCBS, SCRAM-SHA-1, -256 and -512, OAUTHBEARER and XOAUTH2: the client's half as [`sasl::ClientMechanism`], the server's half as parsers, SCRAM's as a state machine |
//! | [`sas`] | shared access signature tokens: make, parse, verify |
//! | [`connection_string`] | what the Azure portal hands out, and what is wrong with a string that was mistyped |
//! | [`cbs`] | the put-token exchange with the `$cbs` node, both sides, and the schedule of renewals |
//!
//! # Secrets
//!
//! Keys, passwords and token texts are wiped when they are dropped, `Debug` and `Display` never show them, and no
//! error text repeats what it was given.
//!
//! # Example
//!
//! ```
//! use amqp1_auth::sas::{PercentEncoding, SasKey, SasToken};
//! use amqp1_auth::UnixSeconds;
//!
//! let key = SasKey::from_base64("c2VjcmV0IGtleSBmb3IgdGhlIGV4YW1wbGU=")?;
//! let expiry = UnixSeconds::new(1_800_000_000);
//! let token = key.sign("hub.example/devices/d1", PercentEncoding::Component, expiry, None);
//!
//! let received = SasToken::parse(token.as_str())?;
//! assert_eq!(received.resource(), "hub.example/devices/d1");
//! received.verify(&key, UnixSeconds::new(1_799_999_999))?;
//! # Ok::<(), amqp1_auth::sas::SasError>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod cbs;
pub mod connection_string;
pub mod sas;
pub mod sasl;
mod secret;
mod time;

pub use time::UnixSeconds;
