//! Makes every fault and writes FAULTS.md. With `--long` it tries much more and writes nothing.

use amqp1_testkit::faults::{Scale, document, make_all};
use std::{path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let long = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--long") => true,
        Some(other) => {
            eprintln!("{other}? There is only --long");
            return ExitCode::FAILURE;
        }
    };
    let accounts = make_all(if long { Scale::LONG } else { Scale::ORDINARY });
    let text = document(&accounts);
    if long {
        println!("{text}");
    } else {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../FAULTS.md");
        if let Err(error) = std::fs::write(&path, text) {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    let mut holds = true;
    for (fault, ledger) in &accounts {
        for reason in ledger.reasons() {
            eprintln!("{}: {reason}", fault.name);
        }
        holds &= ledger.holds();
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
