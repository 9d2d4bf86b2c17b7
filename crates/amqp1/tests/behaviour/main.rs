//! Behaviour of the client and the acceptor, over memory or sockets of this machine.
#![allow(missing_docs)]

mod peers;
#[path = "../support/mod.rs"]
mod support;

mod acceptor_hostile;
mod advisory;
mod batches;
mod bounded;
mod cancellation;
mod cbs;
mod connecting;
mod drain;
mod endings;
mod exact_relay;
mod frame_size;
mod granting;
mod handed_over;
mod handle_max;
mod leaving;
mod links;
mod management;
mod one_read;
mod outcomes;
mod owners;
mod pairing;
mod quiet;
mod relay;
mod request;
mod resources;
mod resume;
mod resume_clones;
mod resume_cuts;
mod resume_rounds;
mod resume_scripted;
mod roundtrip;
mod sasl;
mod settled;
mod sole;
mod streams;
mod streams_hostile;
mod tls;
mod tls_end;
mod tls_header;
mod transactions;
mod transactions_acceptor;
mod transactions_acquired;
mod transactions_attacked;
mod transactions_half_sent;
mod transactions_scripted;
mod transactions_tasks;
mod withheld;
mod write_timeout;
