//! See `engine::sasl_server`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| amqp1_fuzz::engine::sasl_server(octets));
