//! See `codec::transfer_fast_vs_table`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| amqp1_fuzz::codec::transfer_fast_vs_table(octets));
