//! Devices and modules of the façade against the emulator, over TLS.

mod certificates;
mod cuts;
mod messages;
mod methods;
mod multiplexed;
mod support;
mod twins;
