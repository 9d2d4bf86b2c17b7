//! See `codec::message_scan`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| amqp1_fuzz::codec::message_scan(octets));
