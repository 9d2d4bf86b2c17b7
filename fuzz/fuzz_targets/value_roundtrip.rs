//! See `bodies::value_roundtrip`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| amqp1_fuzz::bodies::value_roundtrip(octets));
