//! Random operations on two engines, against the reference model of the test kit. Here lists that fail become short; the
//! program `seeds` of the test kit runs more of them.

use amqp1_testkit::{
    Random,
    model::{Operation, try_run},
};
use proptest::prelude::*;

fn operation() -> impl Strategy<Value = Operation> {
    any::<u64>().prop_map(|seed| Operation::any(&mut Random::new(seed)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked_both_ends_agree(
        seed in any::<u64>(),
        operations in prop::collection::vec(operation(), 1..90),
    ) {
        let mut list = Operation::opening(&mut Random::new(seed));
        list.extend(operations);
        let result = try_run(seed, &list);
        prop_assert!(result.is_ok(), "{result:?}");
    }

    #[test]
    fn whatever_is_asked_everything_ends_once_when_the_transport_breaks(
        seed in any::<u64>(),
        before in prop::collection::vec(operation(), 0..60),
        after in prop::collection::vec(operation(), 0..20),
    ) {
        let random = &mut Random::new(seed);
        let mut list = Operation::opening(random);
        list.extend(before);
        list.push(Operation::cut(random));
        list.extend(after);
        let result = try_run(seed, &list);
        prop_assert!(result.is_ok(), "{result:?}");
    }
}
