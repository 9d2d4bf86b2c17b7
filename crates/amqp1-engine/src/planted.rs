//! Bugs on purpose. They are there only in builds with `--cfg amqp1_planted`, which see whether the simulation finds
//! them; everywhere else asking for one is `false`, known when it is compiled.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[cfg_attr(not(amqp1_planted), allow(unreachable_pub))]
pub enum Planted {
    /// A sender counts one more delivery than its credit allows.
    CreditOffByOne = 1,
    /// A sender takes the first transfer of a delivery only off the session's window.
    WindowPerMessage,
    /// The ids that a disposition names are walked one by one.
    RangeWalkedIdById,
    /// A delivery is reported as settled twice.
    SettledTwice,
    /// A link that waits for the session's window is not woken when it opens.
    LostWakeUp,
}

#[cfg(amqp1_planted)]
static PLANTED: core::sync::atomic::AtomicU8 = core::sync::atomic::AtomicU8::new(0);

/// Plants a bug in all engines of this process, in place of the one before.
#[cfg(amqp1_planted)]
pub fn plant(bug: Option<Planted>) {
    PLANTED.store(bug.map_or(0, |bug| bug as u8), core::sync::atomic::Ordering::SeqCst);
}

#[cfg(amqp1_planted)]
pub(crate) fn is(bug: Planted) -> bool {
    PLANTED.load(core::sync::atomic::Ordering::SeqCst) == bug as u8
}

#[cfg(not(amqp1_planted))]
pub(crate) const fn is(_: Planted) -> bool {
    false
}
