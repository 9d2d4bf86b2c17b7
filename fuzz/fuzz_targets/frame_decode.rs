//! See `bodies::frame_decode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| amqp1_fuzz::bodies::frame_decode(octets));
