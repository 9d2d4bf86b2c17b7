//! See `serde::serde_body`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| amqp1_fuzz::serde::serde_body(octets));
