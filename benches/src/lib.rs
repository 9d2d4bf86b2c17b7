//! What the benchmarks have in common: the cases of the codec, of the engine and of the runtime, and how programs run them.
#![forbid(unsafe_code)]

pub mod codec;
pub mod engine;
pub mod runtime;

/// The names of all cases.
pub fn cases() -> impl Iterator<Item = &'static str> {
    codec::CASES.iter().chain(codec::OWN).chain(engine::CASES).chain(runtime::CASES).copied()
}

/// Does what a program's arguments, `CASE COUNT`, say: all is prepared here, and `measure` calls what is to be measured.
/// Returns the case and the count with what `measure` returned.
pub fn run<T>(measure: impl FnOnce(&mut dyn FnMut()) -> T) -> Result<(String, usize, T), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, count] = arguments.as_slice() else {
        return Err(format!("usage: PROGRAM CASE COUNT; the cases are {}", cases().collect::<Vec<_>>().join(", ")));
    };
    let found =
        |count| codec::case(name, count).or_else(|| engine::case(name, count)).or_else(|| runtime::case(name, count));
    let case = count.parse().ok().and_then(|count| Some((count, found(count)?)));
    let Some((count, mut work)) = case else { return Err(format!("no such case, or no number: {name} {count}")) };
    let mut succeeded = 0;
    let measured = measure(&mut || succeeded = work());
    if succeeded == count {
        Ok((name.clone(), count, measured))
    } else {
        Err(format!("{name}: {succeeded} of {count} succeeded"))
    }
}
