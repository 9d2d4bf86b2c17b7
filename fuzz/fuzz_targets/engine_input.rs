//! See `engine_input::engine_input`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| amqp1_fuzz::engine_input::engine_input(octets));
