//! The bodies of the fuzz targets, over the seed corpus.

#[path = "../../../fuzz/src/auth.rs"]
#[allow(unreachable_pub)]
mod auth;

use std::{fs, path::Path};

#[test]
fn connection_string() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/connection_string");
    let files: Vec<_> = fs::read_dir(folder).expect("a corpus").collect();
    assert!(!files.is_empty());
    for file in files {
        auth::connection_string(&fs::read(file.expect("an entry").path()).expect("a file"));
    }
}
