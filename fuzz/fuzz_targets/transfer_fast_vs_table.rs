//! See `bodies::transfer_fast_vs_table`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| amqp1_fuzz::bodies::transfer_fast_vs_table(octets));
