//! See `codec::value_roundtrip`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| amqp1_fuzz::codec::value_roundtrip(octets));
