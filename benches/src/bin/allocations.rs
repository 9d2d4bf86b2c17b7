//! Counts the heap allocations of one of the cases: `allocations CASE COUNT`. Prints a line of JSON.
//!
//! A program of its own, because an allocator that counts costs instructions.
#![forbid(unsafe_code)]

fn main() -> Result<(), String> {
    let (case, count, allocations) = amqp1_benches::run(|work| allocation_counter::measure(work))?;
    println!(r#"{{"case":"{case}","count":{count},"allocations":{}}}"#, allocations.count_total);
    Ok(())
}
