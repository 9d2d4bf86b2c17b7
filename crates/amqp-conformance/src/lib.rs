//! Tells how well an AMQP 1.0 server or client keeps the specification.
//!
//! Cases speak raw frames through [`amqp1_script`]. No protocol engine is linked, so that none is judged by itself. This is
//! the library below the command `amqp-conformance`; [`run()`] lets a test suite include a run:
//!
//! ```no_run
//! use amqp_conformance::{Options, Verdict, run, server::ServerTarget};
//!
//! let report = run(ServerTarget::new("127.0.0.1:5672".parse()?, "my-queue"), &Options::default())?;
//! assert_eq!(report.count(Verdict::Fail), 0, "{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | |
//! |---|---|
//! | [`mod@run`] | selects cases, runs them, and collects their results |
//! | [`server`], [`client`] | the peer under test in each role, and the cases |
//! | [`case`](mod@case), [`verdict`], [`judge`] | what a case is, and how it judges |
//! | [`report`] | the reports, and the schema of the JSON |
//! | [`repro`] | scripts that repeat the conversation of a case |
//! | [`decode`] | frames in the output of other tools |
//! | [`profile`] | addresses, credentials and expected failures of known peers |
//! | [`coverage`] | the rows of the checklist that have cases |
//! | [`transport`] | TLS and WebSocket |
//!
//! A run blocks. From asynchronous code, call it on a thread of its own (`tokio::task::spawn_blocking`).
#![forbid(unsafe_code)]

pub mod case;
#[doc(hidden)]
pub mod cli;
pub mod client;
pub mod coverage;
pub mod decode;
pub mod delivery;
mod either;
mod group;
pub mod judge;
pub mod octets;
pub mod profile;
pub mod report;
pub mod repro;
pub mod run;
pub mod server;
pub mod transport;
pub mod verdict;
pub mod wire;

pub use case::{Case, Check, Need, Role, Severity, Tag, Twin};
pub use delivery::Delivery;
pub use report::Report;
pub use run::{Options, run};
pub use verdict::{Outcome, Stop, Verdict};

use std::sync::LazyLock;

/// Every case: those for servers, then those for clients, each in the order of the specification.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    static CASES: LazyLock<Vec<&'static Case>> = LazyLock::new(|| {
        let mut cases: Vec<_> = server::cases::all().chain(client::cases::all()).collect();
        cases.sort_by_cached_key(|case| (case.role(), report::place_of(case.id)));
        cases
    });
    CASES.iter().copied()
}

/// The README's examples are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_in_the_order_of_the_specification() {
        let place = |id: &str| cases().position(|case| case.id == id && case.role() == Role::Server);
        let ids = ["Y-1.1.2-1/smallulong", "Y-1.1.2-2", "T-2.2-1", "T-2.4.1-4", "T-2.4.6-1", "T-2.7.1-1/absent"];
        let places = ids.map(|id| place(id).unwrap_or_else(|| panic!("{id} is a case")));
        assert!(places.is_sorted(), "{ids:?} are at {places:?}");
        let count = server::cases::all().count();
        assert!(cases().take(count).all(|case| case.role() == Role::Server), "those for servers come first");
        assert_eq!(cases().count(), count + client::cases::all().count());
        // Reports show sections, each with its cases: the order must be the same.
        let sections: Vec<_> = cases().take(count).map(|case| report::section_of(case.id)).collect();
        let mut known = std::collections::BTreeSet::new();
        let starts = sections.chunk_by(|one, other| one == other).map(|section| section[0]);
        for section in starts {
            assert!(known.insert(section), "{} comes twice", section.prefix);
        }
    }
}
