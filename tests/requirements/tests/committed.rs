//! The table in the repository is the one that its tests give.

use amqp1_requirements::{check, root};

#[test]
fn the_committed_table_is_right() {
    let problems: Vec<_> = check(&root()).unwrap().iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}
