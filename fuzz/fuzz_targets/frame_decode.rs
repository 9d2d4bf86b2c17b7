//! See `codec::frame_decode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| amqp1_fuzz::codec::frame_decode(octets));
