//! Lists of operations on two engines with pipes between them, judged by the test kit's model.

use amqp1_testkit::model::{Operation, run};

/// A list of operations that the octets determine. Whatever is asked, both ends keep the rules and agree, every message
/// has one fate, and all comes to its end.
pub fn engine_ops(octets: &[u8]) {
    let (seed, operations) = Operation::of_octets(octets);
    run(seed, &operations, |_| {});
}
