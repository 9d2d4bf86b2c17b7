//! The comparison itself, in small, and that the README's examples are what it says. Without Proton these tests only
//! say so.

use crate::{
    dump, generate, peer,
    run::{self, Mode, Outcome},
    vectors,
};

const MODES: [Mode; 2] = [Mode::Values, Mode::Messages];

fn start() -> Option<peer::Peer> {
    peer::start().inspect_err(|reason| println!("Not compared with Proton: {reason}.")).ok()
}

/// Y-1.1.2-1, Y-1.1.2-2, Y-1.6.*, M-3.2-1: an implementation that was not written here reads the same.
#[test]
fn differences_between_the_codec_and_proton_are_all_explained() {
    for mode in MODES {
        let Some(peer) = start() else { return };
        let vectors = vectors::load(mode).expect("the vectors are octets");
        let summary = run::many(mode, peer, vectors, 3, 6000).expect("Proton answers");
        assert!(summary.is_explained(), "{mode:?}: {}", summary.text(3, ""));
    }
}

#[test]
fn examples_in_the_readme_have_the_explanation_they_are_listed_under() {
    let readme = include_str!("../README.md");
    let (values, messages) = readme.split_once("## Explained differences of messages").expect("both chapters");
    let mut seen = 0;
    for (mode, chapter) in [(Mode::Values, values), (Mode::Messages, messages)] {
        for line in chapter.lines() {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let (Some(name), Some(octets)) = (cells.next(), cells.next()) else { continue };
            let unquoted = |cell: &str| cell.strip_prefix('`')?.strip_suffix('`').map(str::to_owned);
            let (Some(name), Some(octets)) = (unquoted(name), unquoted(octets)) else { continue };
            let octets = dump::unhex(&octets).expect("hexadecimal digits");
            let Some(peer) = start() else { return };
            let (outcome, text) = run::one(mode, peer, generate::Origin::Vector, octets).expect("Proton answers");
            let Outcome::Explained(explanation) = outcome else { panic!("{name}: {text}") };
            assert_eq!(explanation, name, "{text}");
            seen += 1;
        }
    }
    assert_eq!(seen, 16, "every example but that of the depth is in octets");
}

#[test]
fn inputs_depend_on_the_seed_and_the_index_alone() {
    for mode in MODES {
        let vectors = vectors::load(mode).expect("the vectors are octets");
        let inputs = |seed| -> Vec<_> {
            (2000..2400).rev().map(|index| generate::input(mode, &vectors, seed, index).1).collect()
        };
        let first = inputs(1);
        assert_eq!(first, inputs(1));
        assert_ne!(first, inputs(2));
    }
}

#[test]
fn at_least_half_of_the_inputs_are_mutations() {
    for mode in MODES {
        let vectors = vectors::load(mode).expect("the vectors are octets");
        let mutated = (0..10_000).filter(|index| {
            let (origin, _) = generate::input(mode, &vectors, 1, *index);
            matches!(origin, generate::Origin::MutatedVector | generate::Origin::MutatedRandom)
        });
        assert!(mutated.count() > 5000, "{mode:?}");
    }
}
