//! The catalogue fits the sources and the tests as they are now. Whether its mutants are found is what the program tries.

use std::{collections::BTreeMap, fs};

use amqp1_mutants::{catalogue, entries, plant::plant, planted, root, suite::Suite};

#[test]
fn every_mutant_has_its_place_and_its_tests() {
    let (catalogue, suite) = (catalogue().unwrap(), Suite::read(&root()).unwrap());
    let entries = entries(&catalogue, &suite, &[]).unwrap();
    let mut problems = suite.missing(&catalogue);
    let mut by_file: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    let planted = planted(&entries);
    for (number, mutant) in &planted {
        by_file.entry(&mutant.file).or_default().push((*number, mutant.clone()));
    }
    for (file, mutants) in by_file {
        let source = fs::read_to_string(root().join(file)).unwrap_or_default();
        problems.extend(plant(&source, &mutants).err().into_iter().flatten());
    }
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}
