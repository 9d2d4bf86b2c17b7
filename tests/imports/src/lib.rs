//! The imports between the modules of a library, read from its source.
//!
//! A module is a file; a folder's `mod.rs` is one beside its children. An import is a path that begins with `crate`, `super`,
//! `self` or the name of a child, in a `use` or elsewhere. It leads to the file that defines what it names: a parent that
//! only re-exports is passed through, and a re-export is not an import. Code for tests (`#[cfg(test)]`) does not count. Methods
//! are called without an import, so that what they need is not seen here.

mod circle;
mod source;

pub use circle::circle;
use source::Module;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

/// The imports of each module, by the paths of their modules: `handle::sender`. The root is `crate`.
pub type Imports = BTreeMap<String, BTreeSet<String>>;

/// Re-exports that lead to re-exports are followed this far.
const HOPS: usize = 16;

/// The modules of a library.
#[derive(Debug)]
pub struct Library {
    modules: BTreeMap<Vec<String>, Module>,
}

impl Library {
    /// Reads the library with this root: the path of its `lib.rs`.
    ///
    /// # Errors
    ///
    /// If a file is missing, or is not Rust.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut modules = BTreeMap::new();
        let folder = root.parent().unwrap_or_else(|| Path::new(""));
        read_module(root, folder, Vec::new(), &mut modules)?;
        Ok(Self { modules })
    }

    /// The imports of each module.
    pub fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        for (place, module) in &self.modules {
            let of_module = imports.entry(name(place)).or_default();
            for path in &module.paths {
                let Some(path) = self.absolute(place, module, path) else { continue };
                let target = self.resolve(path, HOPS);
                if target != *place {
                    of_module.insert(name(&target));
                }
            }
        }
        imports
    }

    /// A path from the root; `None` if it leads to another crate.
    fn absolute(&self, place: &[String], module: &Module, path: &[String]) -> Option<Vec<String>> {
        let mut from = place.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                from.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while let Some((first, after)) = rest.split_first() {
                    if first != "super" {
                        break;
                    }
                    from.pop();
                    rest = after;
                }
            }
            first if module.children.iter().any(|child| child == first) => {}
            _ => return None,
        }
        from.extend_from_slice(rest);
        Some(from)
    }

    /// The module that defines what a path names.
    fn resolve(&self, path: Vec<String>, hops: usize) -> Vec<String> {
        let mut place = Vec::new();
        let mut rest = path.as_slice();
        while let Some((next, after)) = rest.split_first() {
            let Some(module) = self.modules.get(&place) else { break };
            if module.children.contains(next) {
                place.push(next.clone());
                rest = after;
                continue;
            }
            let found = module.exports.iter().find(|(name, _)| name == next);
            if let Some((_, target)) = found.filter(|_| hops > 0)
                && let Some(mut target) = self.absolute(&place, module, target)
            {
                target.extend_from_slice(after);
                return self.resolve(target, hops - 1);
            }
            break;
        }
        place
    }
}

fn name(place: &[String]) -> String {
    if place.is_empty() { "crate".to_owned() } else { place.join("::") }
}

/// Reads a module and those below it. `folder` is where the files of its children are.
fn read_module(
    file: &Path,
    folder: &Path,
    place: Vec<String>,
    modules: &mut BTreeMap<Vec<String>, Module>,
) -> io::Result<()> {
    let module = source::read(&fs::read_to_string(file)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", file.display())))?;
    for child in &module.children {
        let candidates = [folder.join(format!("{child}.rs")), folder.join(child).join("mod.rs")];
        let found = candidates.iter().find(|candidate| candidate.is_file());
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("{}: no file of mod {child}", file.display()));
        let below: PathBuf = folder.join(child);
        let mut place = place.clone();
        place.push(child.clone());
        read_module(found.ok_or_else(missing)?, &below, place, modules)?;
    }
    modules.insert(place, module);
    Ok(())
}
