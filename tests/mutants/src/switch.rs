//! Which mutant is on: at most one, the same for as long as the process lives.

extern crate std;

use std::{
    env, fs,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

static ON: OnceLock<u32> = OnceLock::new();
static REACHED: AtomicBool = AtomicBool::new(false);

/// Whether this mutant is on. The first time that it is, a file is written that says so.
pub(crate) fn is(number: u32) -> bool {
    let on = ON.get_or_init(|| env::var("AMQP1_MUTANT").map_or(0, |on| on.parse().expect("a number")));
    if *on != number {
        return false;
    }
    if !REACHED.swap(true, Ordering::Relaxed) {
        let path = env::var_os("AMQP1_MUTANT_REACHED").expect("a path");
        fs::write(path, "").expect("the file can be written");
    }
    true
}
