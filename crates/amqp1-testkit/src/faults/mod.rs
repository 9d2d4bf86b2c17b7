//! Faults by name, each made on simulated pipes and judged by a [`Ledger`].

mod document;
mod drive;
mod f01_cut;
mod f02_silence;
mod f03_replies;
mod f04_slow;
mod f05_forced;
mod f06_session;
mod f07_link;
mod f14_credit;
mod f15_rules;
mod f16_held;
mod f19_smallest;
mod f21_clock;
mod f22_resume;
mod run;
mod script;
mod stream;

use crate::ledger::Ledger;

pub use document::document;

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

impl Side {
    const BOTH: [Self; 2] = [Self::Client, Self::Server];

    const fn index(self) -> usize {
        self as usize
    }

    const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Seeds of each fault that has seeds.
    pub seeds: u64,
    /// Messages that pass by the one that is held.
    pub passing: usize,
}

impl Scale {
    /// What the document shows and the ordinary test tries.
    pub const ORDINARY: Self = Self { seeds: 20, passing: 2_000 };

    /// What takes minutes.
    pub const LONG: Self = Self { seeds: 1_000, passing: 1_000_000 };
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Its name, which stays.
    pub name: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// How it is made.
    pub made: &'static str,
    /// What an application sees.
    pub seen: &'static str,
    /// Makes it.
    pub run: fn(Scale) -> Ledger,
}

/// All faults that need no socket.
pub const FAULTS: &[Fault] = &[
    f01_cut::FAULT,
    f02_silence::FAULT,
    f03_replies::FAULT,
    f04_slow::FAULT,
    f05_forced::FAULT,
    f06_session::FAULT,
    f07_link::FAULT,
    f14_credit::FAULT,
    f15_rules::FAULT,
    f16_held::FAULT,
    f19_smallest::FAULT,
    f21_clock::FAULT,
    f22_resume::FAULT,
];

/// Makes all of them, at the same time.
pub fn make_all(scale: Scale) -> Vec<(&'static Fault, Ledger)> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = FAULTS.iter().map(|fault| scope.spawn(move || (fault, (fault.run)(scale)))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a fault that can be made")).collect()
    })
}

/// Runs once per seed.
fn seeded(seeds: u64, run: impl Fn(u64) -> Ledger) -> Ledger {
    let mut all = Ledger::default();
    for seed in 0..seeds {
        all.add(&format!("seed {seed}"), run(seed));
    }
    all
}
