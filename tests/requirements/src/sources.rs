//! Where tests are, and what they are called.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use crate::rust_file::RustFile;

/// Packages by what they stand on: what shows a requirement lowest is named first. Others come last.
const LAYERS: [&str; 10] = [
    "amqp1-codec",
    "amqp1-auth",
    "amqp1-engine",
    "amqp1-broker",
    "amqp1-script",
    "amqp1-testkit",
    "amqp1",
    "iothub",
    "iothub-emulator",
    "iothub-cli",
];

/// Packages whose tests name requirements and show none of ours: the one that judges peers, and the one that tries mutants.
const TOOLS: [&str; 2] = ["amqp-conformance", "amqp1-mutants"];

/// A file with what it has.
#[derive(Clone, Debug)]
pub struct Source {
    /// Relative to the repository, with `/`.
    pub path: String,
    /// How low its package stands.
    pub layer: usize,
    /// What its tests' paths begin with: `amqp1_engine::behaviour::credit`.
    pub module: String,
    /// The tests and comments.
    pub file: RustFile,
}

/// Every file of Rust in the crates' `src` and `tests`, and in `tests`; not in this crate, nor in the tools,
/// nor in `tests/interop`, whose tests need foreign programs and do not run with the others.
///
/// # Errors
///
/// Directories or files that cannot be read.
pub fn read(root: &Path) -> io::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for package in directories(&root.join("crates"))? {
        for part in ["src", "tests"] {
            let directory = package.join(part);
            if directory.is_dir() {
                walk(root, &directory, &package, &mut sources)?;
            }
        }
    }
    let tests = root.join("tests");
    walk(root, &tests, &tests, &mut sources)?;
    Ok(sources)
}

fn directories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a directory and what is below it. A directory with a manifest is a package of its own.
fn walk(root: &Path, directory: &Path, package: &Path, sources: &mut Vec<Source>) -> io::Result<()> {
    let package = if directory.join("Cargo.toml").is_file() { directory } else { package };
    let name = package_name(&fs::read_to_string(package.join("Cargo.toml"))?);
    if name == env!("CARGO_PKG_NAME") || TOOLS.contains(&name.as_str()) {
        return Ok(());
    }
    let mut files: Vec<_> = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    files.sort_by_key(fs::DirEntry::path);
    for path in files.iter().map(fs::DirEntry::path) {
        if path.is_dir() {
            let left_out = path.file_name().and_then(|name| name.to_str()).is_none_or(|name| {
                name.starts_with('.') || matches!(name, "target" | "node_modules" | "data" | "__pycache__" | "interop")
            });
            if !left_out {
                walk(root, &path, package, sources)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(Source {
                path: words(path.strip_prefix(root).unwrap_or(&path)).join("/"),
                layer: LAYERS.iter().position(|layer| *layer == name).unwrap_or(LAYERS.len()),
                module: module(&name, &words(path.strip_prefix(package).unwrap_or(&path))),
                file: RustFile::read(&fs::read_to_string(&path)?),
            });
        }
    }
    Ok(())
}

/// What the paths of the tests in a file begin with: the package by its manifest, the file relative to it.
pub fn module_of(manifest: &str, file: &Path) -> String {
    module(&package_name(manifest), &words(file))
}

/// The first name in a manifest, which is the package's.
fn package_name(manifest: &str) -> String {
    let name = manifest.lines().find_map(|line| line.strip_prefix("name = "));
    name.unwrap_or_default().trim_matches('"').to_owned()
}

fn words(path: &Path) -> Vec<String> {
    let normal = |component: Component<'_>| match component {
        Component::Normal(word) => Some(word.to_string_lossy().into_owned()),
        _ => None,
    };
    path.components().filter_map(normal).collect()
}

/// What the paths of a file's tests begin with.
fn module(package: &str, path: &[String]) -> String {
    let mut words: Vec<_> = path.iter().map(|word| word.trim_end_matches(".rs")).collect();
    if words.len() > 1 && matches!(words.first(), Some(&("src" | "tests"))) {
        words.remove(0);
    }
    if matches!(words.last(), Some(&("lib" | "main" | "mod"))) {
        words.pop();
    }
    let package = package.replace('-', "_");
    [package.as_str()].into_iter().chain(words).collect::<Vec<_>>().join("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_tests_are_those_of_their_modules() {
        let module = |package, path: &str| module(package, &words(Path::new(path)));
        assert_eq!(module("amqp1-engine", "tests/behaviour/credit.rs"), "amqp1_engine::behaviour::credit");
        assert_eq!(module("amqp1-engine", "tests/behaviour/main.rs"), "amqp1_engine::behaviour");
        assert_eq!(module("iothub-emulator", "src/hub/mod.rs"), "iothub_emulator::hub");
        assert_eq!(module("amqp1", "src/lib.rs"), "amqp1");
        assert_eq!(module("amqp1-tests", "broker.rs"), "amqp1_tests::broker");
    }

    #[test]
    fn the_sources_of_the_workspace_are_found_without_this_crate() {
        let sources = read(&crate::root()).unwrap();
        let paths: Vec<_> = sources.iter().map(|source| source.path.as_str()).collect();
        for path in ["crates/amqp1-codec/src/lib.rs", "crates/amqp1/tests/behaviour/links.rs", "tests/src/lib.rs"] {
            assert!(paths.contains(&path), "{path} is not there");
        }
        assert!(!paths.iter().any(|path| path.starts_with("tests/requirements/")));
        assert!(sources.iter().map(|source| source.file.tests.len()).sum::<usize>() > 500);
    }
}
