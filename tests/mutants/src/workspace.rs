//! A copy of the workspace with the mutants in its sources.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

use crate::{
    catalogue::Mutant,
    plant::{SWITCH, plant},
};

/// What `cargo metadata` says of a workspace.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// The workspace's packages.
    pub packages: Vec<Package>,
}

/// A package of the workspace.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its manifest.
    pub manifest_path: PathBuf,
    /// What it depends on, packages of the workspace among others.
    pub dependencies: Vec<Dependency>,
    /// What is compiled of it.
    pub targets: Vec<Target>,
}

/// A package that another depends on, for its tests alone perhaps.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// Its name.
    pub name: String,
}

/// A library, a program, a test.
#[derive(Debug, Deserialize)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its first source.
    pub src_path: PathBuf,
}

impl Metadata {
    /// Asks cargo about the workspace at `root`.
    ///
    /// # Errors
    ///
    /// What cargo says, or does not say.
    pub fn read(root: &Path) -> Result<Self, String> {
        let run = Command::new("cargo")
            .args(["metadata", "--no-deps", "--locked", "--format-version", "1"])
            .current_dir(root)
            .output()
            .map_err(|error| format!("cargo metadata: {error}"))?;
        serde_json::from_slice(&run.stdout)
            .map_err(|error| format!("cargo metadata: {error}: {}", String::from_utf8_lossy(&run.stderr)))
    }

    /// These packages, and all of the workspace that they are compiled with.
    pub fn closure(&self, packages: BTreeSet<String>) -> BTreeSet<String> {
        let mut closure = BTreeSet::new();
        let mut left: Vec<_> = packages.into_iter().collect();
        while let Some(name) = left.pop() {
            if let Some(package) = self.packages.iter().find(|package| package.name == name)
                && closure.insert(name)
            {
                left.extend(package.dependencies.iter().map(|dependency| dependency.name.clone()));
            }
        }
        closure
    }
}

/// Folders that nothing is compiled from. Cargo leaves no tag in a folder `target` that it found.
const LEFT_OUT: [&str; 6] = ["target", ".git", ".ci", ".cache", "node_modules", "__pycache__"];

/// Makes `copy` the same as the repository, but for the mutants, and for the packages that are not `wanted`: those are
/// empty, since only their dependencies count. Files that are right already are left alone, so that little is compiled
/// again.
///
/// # Errors
///
/// Files that cannot be read or written, and mutants that do not fit their sources.
pub fn copy(
    root: &Path,
    copy: &Path,
    metadata: &Metadata,
    wanted: &BTreeSet<String>,
    mutants: &[(u32, Mutant)],
) -> Result<(), Vec<String>> {
    let mut sources: BTreeMap<PathBuf, Option<Vec<u8>>> = BTreeMap::new();
    walk(root, root, &mut sources).map_err(|error| vec![format!("{}: {error}", root.display())])?;
    for package in metadata.packages.iter().filter(|package| !wanted.contains(&package.name)) {
        for target in &package.targets {
            if let Ok(path) = target.src_path.strip_prefix(root) {
                sources.insert(path.into(), Some(b"#![allow(missing_docs)]\nfn main() {}\n".to_vec()));
            }
        }
    }
    let manifest = fs::read_to_string(root.join("Cargo.toml")).map_err(|error| vec![format!("Cargo.toml: {error}")])?;
    sources.insert("Cargo.toml".into(), Some(without_warnings(&manifest).into_bytes()));
    planted(root, mutants, &mut sources)?;
    write(root, copy, &sources).map_err(|error| vec![format!("{}: {error}", copy.display())])
}

/// Takes down what files there are.
fn walk(root: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let (path, kind) = entry.map(|entry| (entry.path(), entry.file_type()))?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if kind?.is_dir() {
            // What cargo writes has a tag in it.
            if !LEFT_OUT.contains(&name) && !path.join("CACHEDIR.TAG").exists() {
                walk(root, &path, files)?;
            }
        } else if let Ok(relative) = path.strip_prefix(root) {
            files.insert(relative.into(), None);
        }
    }
    Ok(())
}

/// The workspace's manifest with lints that are silent: what mutants do is not what one would write.
fn without_warnings(manifest: &str) -> String {
    let (before, _) = manifest.split_once("[workspace.lints.rust]").unwrap_or((manifest, ""));
    let after = manifest.split_once("[profile.dev]").map_or("", |(_, after)| after);
    format!("{before}[workspace.lints.rust]\nwarnings = \"allow\"\n\n[profile.dev]{after}")
}

fn planted(
    root: &Path,
    mutants: &[(u32, Mutant)],
    sources: &mut BTreeMap<PathBuf, Option<Vec<u8>>>,
) -> Result<(), Vec<String>> {
    let mut by_file: BTreeMap<&str, Vec<(u32, Mutant)>> = BTreeMap::new();
    for (number, mutant) in mutants {
        by_file.entry(&mutant.file).or_default().push((*number, mutant.clone()));
    }
    let mut problems = Vec::new();
    let mut switched: BTreeMap<PathBuf, String> = BTreeMap::new();
    for (file, mutants) in by_file {
        let source = match fs::read_to_string(root.join(file)) {
            Ok(source) => source,
            Err(error) => {
                problems.push(format!("{file}: {error}"));
                continue;
            }
        };
        let folder: PathBuf = Path::new(file).components().take(3).collect();
        match plant(&source, &mutants) {
            Ok(source) => {
                sources.insert(file.into(), Some(source.clone().into_bytes()));
                if file == folder.join("lib.rs").to_string_lossy() {
                    switched.insert(folder, source);
                } else {
                    let library = || fs::read_to_string(root.join(&folder).join("lib.rs")).unwrap_or_default();
                    switched.entry(folder.clone()).or_insert_with(library);
                }
            }
            Err(found) => problems.extend(found),
        }
    }
    for (folder, library) in switched {
        sources.insert(folder.join("lib.rs"), Some(format!("{library}\nmod mutant;\n").into_bytes()));
        sources.insert(folder.join("mutant.rs"), Some(SWITCH.into()));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn write(root: &Path, copy: &Path, sources: &BTreeMap<PathBuf, Option<Vec<u8>>>) -> io::Result<()> {
    for (path, changed) in sources {
        let content = match changed {
            Some(content) => content.clone(),
            None => fs::read(root.join(path))?,
        };
        let there = copy.join(path);
        if fs::read(&there).is_ok_and(|old| old == content) {
            continue;
        }
        if let Some(folder) = there.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(there, content)?;
    }
    if copy.is_dir() {
        let mut there = BTreeMap::new();
        walk(copy, copy, &mut there)?;
        for path in there.keys().filter(|path| !sources.contains_key(*path)) {
            fs::remove_file(copy.join(path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_silent_and_the_rest_stays() {
        let manifest =
            "[workspace]\n\n[workspace.lints.rust]\na = 1\n\n[workspace.lints.clippy]\nb = 1\n\n[profile.dev]\nc = 1\n";
        assert_eq!(
            without_warnings(manifest),
            "[workspace]\n\n[workspace.lints.rust]\nwarnings = \"allow\"\n\n[profile.dev]\nc = 1\n"
        );
    }

    #[test]
    fn what_a_package_is_compiled_with_is_known() {
        let metadata = Metadata::read(&amqp1_requirements::root()).unwrap();
        let closure = metadata.closure(BTreeSet::from(["amqp1-engine".to_owned()]));
        let expected = ["amqp1-auth", "amqp1-codec", "amqp1-engine", "amqp1-testkit"];
        assert_eq!(closure.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }
}
