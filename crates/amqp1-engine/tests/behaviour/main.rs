//! Behaviour of the engine: two engines that talk over a pipe on a virtual clock, or one that talks to a script.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod attach_detach;
mod bad_attach;
mod bad_transfer;
mod begin_end;
mod commits;
mod credit;
mod cut;
mod disposition;
mod errant;
mod handshake;
mod headers;
mod held;
mod idle;
mod limits;
mod malformed;
mod model;
mod one_read;
mod open_close;
mod resume;
mod reviewed;
mod roles;
mod rules;
mod sasl;
mod serials;
mod share;
mod states;
mod streams;
mod sweep;
mod terminus;
mod text;
mod tolerated;
mod transactions;
mod transfer;
mod violation_close;
mod window;
