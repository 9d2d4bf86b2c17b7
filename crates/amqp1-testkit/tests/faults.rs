//! Every fault, judged.
use amqp1_testkit::faults::{FAULTS, Scale};

#[test]
fn every_fault_holds() {
    for fault in FAULTS {
        let start = std::time::Instant::now();
        let ledger = (fault.run)(Scale::ORDINARY);
        println!("{} {:?} {:#?}", fault.name, start.elapsed(), ledger);
    }
}
