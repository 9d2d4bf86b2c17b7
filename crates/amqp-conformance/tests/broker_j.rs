//! The list of Broker-J's protocol tests names cases that exist.

use amqp_conformance::case::Role;
use std::collections::BTreeSet;

#[test]
fn every_test_of_broker_j_has_a_case_or_a_reason() {
    let ids: BTreeSet<&str> =
        amqp_conformance::cases().filter(|case| case.role() == Role::Server).map(|case| case.id).collect();
    let mut tests = BTreeSet::new();
    for line in include_str!("../data/broker-j-tests.tsv").lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [class, method, case, relation] = columns[..] else { panic!("four columns: {line}") };
        assert!(case == "-" || ids.contains(case), "no case for servers is named {case}");
        assert!(!relation.is_empty() && (case != "-" || relation != "agree"), "a reason: {line}");
        assert!(tests.insert((class, method)), "{class}.{method} is there twice");
    }
    assert_eq!(tests.len(), 172, "the number of Broker-J's tests");
}
