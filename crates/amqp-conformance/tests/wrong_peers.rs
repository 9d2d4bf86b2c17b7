//! The record of the matrix names cases that exist, each once.

use amqp_conformance::Role;
use std::collections::HashSet;

const WRONG: &str = include_str!("../data/wrong.tsv");
const BROAD: &str = include_str!("../data/broad.tsv");

fn lines(table: &'static str) -> Vec<(&'static str, &'static str, &'static str)> {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    let fields = lines.map(|line| {
        let mut fields = line.splitn(3, '\t');
        (fields.next(), fields.next(), fields.next())
    });
    fields
        .map(|(role, case, rest)| {
            (role.expect("a role"), case.expect("a case"), rest.expect("a wrong peer, or a reason"))
        })
        .collect()
}

#[test]
fn a_wrong_peer_is_recorded_once_for_a_case_that_exists() {
    let of = |role| if role == Role::Server { "server" } else { "client" };
    let cases: HashSet<_> = amqp_conformance::cases().map(|case| (of(case.role()), case.id)).collect();
    let mut seen = HashSet::new();
    for (role, case, peer) in lines(WRONG) {
        assert!(cases.contains(&(role, case)), "there is no case {case} of a {role}");
        assert!(seen.insert((role, case)), "{case} of a {role} occurs twice");
        assert!(!peer.is_empty(), "{case} of a {role} has no wrong peer");
    }
    for (role, case, reason) in lines(BROAD) {
        assert!(seen.contains(&(role, case)), "{case} of a {role} has no wrong peer");
        assert!(reason.len() > 20, "{case} of a {role} has no reason: {reason}");
    }
}
