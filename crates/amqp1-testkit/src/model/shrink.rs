//! Finds a short list that still fails.

use super::{Operation, Tally, run};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a list. What the panic said, if something does not hold.
///
/// # Errors
///
/// What did not hold.
pub fn try_run(seed: u64, operations: &[Operation]) -> Result<Tally, String> {
    try_run_with(seed, operations, |_| {})
}

/// As [`try_run`]; `trace` is shown each operation before it happens.
///
/// # Errors
///
/// What did not hold.
pub fn try_run_with(seed: u64, operations: &[Operation], trace: impl FnMut(&Operation)) -> Result<Tally, String> {
    caught(|| run(seed, operations, trace))
}

/// What the panic said, if there is one.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or_else(String::new, |text| (*text).to_owned()),
    })
}

/// Leaves out of a failing list what it fails without: halves first, then ever smaller pieces, until nothing can go.
pub fn shrink(seed: u64, mut operations: Vec<Operation>) -> Vec<Operation> {
    let mut size = operations.len().div_ceil(2);
    while size > 0 {
        let (mut at, mut shorter) = (0, false);
        while at < operations.len() {
            let mut without = operations.clone();
            without.drain(at..operations.len().min(at + size));
            if try_run(seed, &without).is_err() {
                operations = without;
                shorter = true;
            } else {
                at += size;
            }
        }
        if !shorter || size > 1 {
            size /= 2;
        }
    }
    operations
}
