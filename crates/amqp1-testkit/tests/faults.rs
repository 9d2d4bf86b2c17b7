//! Every fault, judged, and the document that tells of them.

use amqp1_testkit::faults::{FAULTS, Scale, document, make_all};
use std::path::Path;

#[test]
fn every_fault_holds_and_the_document_shows_it() {
    let accounts = make_all(Scale::ORDINARY);
    for (fault, ledger) in &accounts {
        assert!(ledger.holds(), "{}: {:#?}", fault.name, ledger.reasons());
        assert!(ledger.runs > 0 && ledger.accepted > 0 && ledger.begun == ledger.ended, "{}: {ledger:?}", fault.name);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../FAULTS.md");
    let shown = std::fs::read_to_string(path).unwrap_or_default();
    let same = shown.replace("\r\n", "\n") == document(&accounts);
    assert!(same, "FAULTS.md is stale: cargo run --release -p amqp1-testkit --bin faults");
}

/// What is held costs what it is, however many deliveries pass it by.
#[test]
fn memory_is_bounded_while_one_delivery_is_held() {
    let fault = FAULTS.iter().find(|fault| fault.name == "F16").expect("there is F16");
    let peak = |passing| {
        let scale = Scale { passing, ..Scale::ORDINARY };
        let mut ledger = None;
        let used = allocation_counter::measure(|| ledger = Some((fault.run)(scale)));
        assert!(ledger.is_some_and(|ledger| ledger.holds()));
        used.bytes_max
    };
    let (few, many) = (peak(2_000), peak(20_000));
    assert!(many <= few + 16 * 1024, "{few} octets, then {many}");
}
