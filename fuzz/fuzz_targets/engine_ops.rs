//! See `engine_ops::engine_ops`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| amqp1_fuzz::engine_ops::engine_ops(octets));
