//! The catalogue fits the sources and the tests as they are now. Whether its mutants are found is what the program tries.

use std::collections::BTreeSet;

use amqp1_mutants::{catalogue, entries, misplaced, open, root, suite::Suite};

#[test]
fn every_mutant_has_its_place_and_its_tests() {
    let root = root();
    let (catalogue, suite) = (catalogue(&root).unwrap(), Suite::read(&root).unwrap());
    let mut problems = misplaced(&root, &catalogue);
    problems.extend(suite.missing(&catalogue));
    problems.extend(entries(&catalogue, &suite, &[]).err().into_iter().flatten());
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn where_no_folder_of_open_mutants_is_none_is_open() {
    let elsewhere = root().join("tests/mutants/src");
    assert_eq!(open(&elsewhere).map(|open| open.mutants.len()), Ok(0));
}

#[test]
fn a_mutant_that_is_not_found_yet_has_its_place_and_a_name_of_its_own() {
    let root = root();
    let (catalogue, open, suite) = (catalogue(&root).unwrap(), open(&root).unwrap(), Suite::read(&root).unwrap());
    let mut problems = misplaced(&root, &open);
    problems.extend(entries(&open, &suite, &[]).err().into_iter().flatten());
    let names: BTreeSet<_> = catalogue.mutants.iter().map(|mutant| &mutant.name).collect();
    problems
        .extend(open.mutants.iter().filter(|mutant| names.contains(&mutant.name)).map(|mutant| mutant.name.clone()));
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}
