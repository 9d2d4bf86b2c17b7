//! The body of the fuzz target of `serde`, over the seed corpus and over every vector.

#[path = "../../../fuzz/src/serde.rs"]
#[allow(unreachable_pub)]
mod body;
mod support;

use std::{fs, path::Path};

#[test]
fn serde_body() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/serde_body");
    let files: Vec<_> = fs::read_dir(folder).expect("a corpus").collect();
    assert!(!files.is_empty());
    for file in files {
        body::serde_body(&fs::read(file.expect("an entry").path()).expect("a file"));
    }
    for vector in support::vectors().values {
        vector.wire.iter().for_each(|wire| body::serde_body(wire));
    }
    for vector in support::malformed() {
        body::serde_body(&vector.wire);
    }
}
