//! The catalogue fits the sources and the tests as they are now. Whether its mutants are found is what the program tries.

use amqp1_mutants::{catalogue, entries, misplaced, root, suite::Suite};

#[test]
fn every_mutant_has_its_place_and_its_tests() {
    let root = root();
    let (catalogue, suite) = (catalogue(&root).unwrap(), Suite::read(&root).unwrap());
    let mut problems = misplaced(&root, &catalogue);
    problems.extend(suite.missing(&catalogue));
    problems.extend(entries(&catalogue, &suite, &[]).err().into_iter().flatten());
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}
