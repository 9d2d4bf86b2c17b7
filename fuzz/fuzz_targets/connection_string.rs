//! See `auth::connection_string`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| amqp1_fuzz::auth::connection_string(octets));
