//! The bodies of the fuzz targets, over the seed corpus.

#[path = "../../../fuzz/src/engine.rs"]
#[allow(unreachable_pub)]
mod engine;

use std::{fs, path::Path};

#[test]
fn sasl_server() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/sasl_server");
    let files: Vec<_> = fs::read_dir(folder).expect("a corpus").collect();
    assert!(!files.is_empty());
    for file in files {
        engine::sasl_server(&fs::read(file.expect("an entry").path()).expect("a file"));
    }
}
