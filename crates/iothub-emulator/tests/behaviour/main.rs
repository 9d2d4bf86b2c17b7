//! Behaviour of the emulator, over its sockets.

mod support;

mod authentication;
mod captures;
mod cloud_to_device;
mod connected_twice;
mod edge;
mod ended_links;
mod file_uploads;
mod https;
mod lifecycle;
mod limits;
mod listening;
mod malformed;
mod management;
mod methods;
mod modules;
mod refusals;
mod rest_bulk;
mod rest_messages;
mod rest_methods;
mod rest_query;
mod rest_registry;
mod rest_sdks;
mod rest_twins;
mod telemetry;
mod tiers;
mod twins;
mod websocket;
mod x509;
