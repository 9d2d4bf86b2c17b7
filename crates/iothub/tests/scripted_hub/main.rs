//! The clients against a hub whose every answer the test gives, over TLS on loopback.

mod connecting;
mod device;
mod events;
#[cfg(feature = "rest")]
mod https;
mod methods;
mod providers;
#[cfg(feature = "rest")]
mod registry;
mod service;
mod support;
mod tokens;
mod twins;
mod undecodable;
