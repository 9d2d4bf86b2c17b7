//! The tests, compiled once with all mutants in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use crate::suite::Binary;

/// A line of what cargo says.
#[derive(Debug, Deserialize)]
struct Message {
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
    name: String,
}

/// What some tests of the codec need.
const FEATURES: &str = "amqp1-codec/serde";

/// Compiles these tests in the workspace at `copy`. All of the workspace is selected, so that dependencies are those of
/// `cargo test --workspace`.
///
/// # Errors
///
/// What does not compile, or is not there afterwards.
pub fn compile(copy: &Path, target: &Path, binaries: &BTreeSet<Binary>) -> Result<BTreeMap<Binary, PathBuf>, String> {
    let mut command = Command::new("cargo");
    command.args(["test", "--no-run", "--locked", "--workspace", "--message-format=json-render-diagnostics"]);
    command.args(["--features", FEATURES]).arg("--target-dir").arg(target);
    if binaries.iter().any(|binary| binary.test.is_none()) {
        command.arg("--lib");
    }
    let tests: BTreeSet<_> = binaries.iter().filter_map(|binary| binary.test.as_deref()).collect();
    for test in tests {
        command.args(["--test", test]);
    }
    let failed = |error| format!("cargo test: {error}");
    let mut cargo = command.current_dir(copy).stdout(Stdio::piped()).spawn().map_err(failed)?;
    let mut found = BTreeMap::new();
    for line in cargo.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        let line = line.map_err(failed)?;
        let Ok(Message { manifest_path: Some(manifest), target: Some(target), executable: Some(executable) }) =
            serde_json::from_str(&line)
        else {
            continue;
        };
        let folder = manifest.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        let is = |binary: &&Binary| {
            Some(binary.package.as_str()) == folder
                && match &binary.test {
                    Some(test) => target.kind == ["test"] && *test == target.name,
                    None => target.kind == ["lib"],
                }
        };
        found.extend(binaries.iter().find(is).map(|binary| (binary.clone(), executable.clone())));
    }
    if !cargo.wait().map_err(failed)?.success() {
        return Err("the mutants do not compile".into());
    }
    match binaries.iter().find(|binary| !found.contains_key(binary)) {
        Some(binary) => Err(format!("{binary:?} was not compiled")),
        None => Ok(found),
    }
}
