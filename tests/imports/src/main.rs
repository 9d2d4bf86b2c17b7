//! Prints the imports between the modules of a library: `amqp1-imports crates/amqp1/src/lib.rs`.

use amqp1_imports::{Library, circle};
use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    let Some(root) = std::env::args().nth(1) else {
        eprintln!("usage: amqp1-imports PATH-OF-LIB.RS");
        return ExitCode::FAILURE;
    };
    let imports = match Library::read(Path::new(&root)) {
        Ok(library) => library.imports(),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    for (module, imports) in &imports {
        println!("{module}: {}", imports.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    }
    match circle(&imports) {
        Some(circle) => {
            eprintln!("a circle: {}", circle.join(" -> "));
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}
