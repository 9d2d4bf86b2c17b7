//! The clients against a hub whose every answer the test gives, over TLS on loopback.

mod connecting;
mod device;
mod events;
mod service;
mod support;
mod tokens;
