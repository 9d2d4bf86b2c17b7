//! The service's side of the façade against the emulator: events, processors, the registry over HTTPS, C2D.
#![allow(missing_docs)]

mod both_ends;
mod bulk;
mod events;
mod files;
mod messages;
mod outages;
mod processes;
mod processor;
mod queries;
mod registry;
mod stores;
mod support;
