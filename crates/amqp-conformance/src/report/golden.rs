//! Files that tests compare texts with.

/// A golden file: `UPDATE_GOLDEN=1` writes it.
pub(crate) fn golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("the golden file can be written");
    }
    let wanted = std::fs::read_to_string(&path).expect("the golden file can be read");
    assert_eq!(text, wanted, "{name} differs; UPDATE_GOLDEN=1 writes it");
}
