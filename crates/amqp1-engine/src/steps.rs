//! Counts what looking up deliveries costs, in tests only: steps do not depend on the machine, and times do.

/// One entry was looked up, or looked at.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn step() {}

/// One entry was looked up, or looked at.
#[cfg(test)]
pub(crate) fn step() {
    counting::STEPS.with(|steps| steps.set(steps.get() + 1));
}

/// This many entries were looked at, or moved.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn steps(_: usize) {}

/// This many entries were looked at, or moved.
#[cfg(test)]
pub(crate) fn steps(count: usize) {
    (0..count).for_each(|_| step());
}

/// How many steps `work` takes.
#[cfg(test)]
pub(crate) fn of(work: impl FnOnce()) -> u64 {
    let before = counting::STEPS.get();
    work();
    counting::STEPS.get() - before
}

#[cfg(test)]
mod counting {
    extern crate std;

    use core::cell::Cell;

    std::thread_local! {
        pub(super) static STEPS: Cell<u64> = const { Cell::new(0) };
    }
}
