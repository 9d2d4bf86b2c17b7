//! The libraries of the workspace: no circle of imports, and in `amqp1` no import from a lower storey.

use amqp1_imports::{Imports, Library, circle};
use std::path::Path;

/// The storeys of `amqp1`, from the lowest one up. What is not in a folder of these is a feature, on top of them.
const STOREYS: [&[&str]; 4] = [&["types", "observe"], &["state"], &["handle", "driver"], &["connect"]];

fn imports(library: &str) -> Imports {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates").join(library).join("src/lib.rs");
    Library::read(&root).expect("the library's source").imports()
}

#[test]
fn no_modules_import_each_other() {
    for library in ["amqp1", "amqp1-script"] {
        if let Some(circle) = circle(&imports(library)) {
            panic!("modules of {library} import each other: {}", circle.join(" -> "));
        }
    }
}

fn storey(module: &str) -> usize {
    let folder = module.split("::").next().unwrap_or_default();
    STOREYS.iter().position(|folders| folders.contains(&folder)).unwrap_or(STOREYS.len())
}

#[test]
fn a_storey_imports_from_itself_and_from_those_below() {
    let imports = imports("amqp1");
    for folder in STOREYS.into_iter().flatten() {
        assert!(imports.keys().any(|module| module.starts_with(&format!("{folder}::"))), "there is no folder {folder}");
    }
    let upward = imports.iter().filter(|(module, _)| *module != "crate").flat_map(|(module, imports)| {
        let higher = |import: &&String| *import == "crate" || storey(import) > storey(module);
        imports.iter().filter(higher).map(move |import| format!("{module} -> {import}"))
    });
    assert_eq!(upward.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn what_is_sent_received_and_settled_does_not_pass_through_resumption() {
    let imports = imports("amqp1");
    let mut seen = vec!["handle::sender", "handle::receiver", "handle::permit", "handle::delivery", "state::settle"];
    let mut next = 0;
    while let Some(module) = seen.get(next).copied() {
        next += 1;
        let found = imports.get(module).unwrap_or_else(|| panic!("there is no module {module}"));
        seen.extend(found.iter().map(String::as_str).filter(|import| !seen.contains(import)).collect::<Vec<_>>());
    }
    let through: Vec<_> = seen.into_iter().filter(|module| module.starts_with("resume")).collect();
    assert_eq!(through, Vec::<&str>::new());
}
