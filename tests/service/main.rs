//! The service's side of the façade against the emulator: events, processors, the registry over HTTPS, C2D.
#![allow(missing_docs)]

mod events;
mod messages;
mod outages;
mod processes;
mod processor;
mod registry;
mod stores;
mod support;
