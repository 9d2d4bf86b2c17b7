//! The files of the reports, which are opened before a run so that its verdicts are not lost.

use super::{Failure, args::OutputArgs, output::in_file};
use crate::{
    report::{Html, Junit, Report},
    run::FailOn,
};
use std::{
    fs::{self, File, Metadata},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process, slice,
};

/// The reports that were asked for.
#[derive(Debug)]
pub(super) struct Files {
    json: Option<Opened>,
    junit: Option<Opened>,
    html: Option<Opened>,
}

impl Files {
    /// Opens each file. What is in it stays until the report is written.
    pub(super) fn open(args: &OutputArgs) -> Result<Self, Failure> {
        let open = |path: &Option<PathBuf>| path.as_deref().map(Opened::open).transpose();
        Ok(Self { json: open(&args.json)?, junit: open(&args.junit)?, html: open(&args.html)? })
    }

    /// Writes each report, also those after one that cannot be written. The first error is returned.
    pub(super) fn write(self, report: &Report, fail_on: FailOn) -> Result<(), Failure> {
        let json = self.json.map(|file| {
            let json = serde_json::to_vec_pretty(report).map_err(Failure::usage)?;
            file.write(&json)
        });
        let junit = self.junit.map(|file| file.write(Junit::new(report, fail_on).to_string().as_bytes()));
        let html = self.html.map(|file| file.write(Html::new(slice::from_ref(report)).to_string().as_bytes()));
        [json, junit, html].into_iter().flatten().collect()
    }
}

/// A file that can be written to.
#[derive(Debug)]
struct Opened {
    path: PathBuf,
    file: File,
    /// Whether it was made for a report, which has not been written yet.
    is_new: bool,
}

impl Opened {
    fn open(path: &Path) -> Result<Self, Failure> {
        let is_new = !path.exists();
        let file = File::options().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| in_file(path, &error))?;
        Ok(Self { path: path.to_owned(), file, is_new })
    }

    fn write(mut self, octets: &[u8]) -> Result<(), Failure> {
        let written = self.replace(octets);
        // A new file is removed if nothing was written to it.
        self.is_new &= written.is_err();
        written.map_err(|error| in_file(&self.path, &error))
    }

    fn replace(&mut self, octets: &[u8]) -> io::Result<()> {
        // A pipe or a terminal has no length.
        if !self.file.metadata()?.is_file() {
            return self.file.write_all(octets);
        }
        if replaced(&self.path, octets)? {
            return Ok(());
        }
        self.file.set_len(0)?;
        self.file.write_all(octets)
    }
}

/// Writes a file. If it cannot be written as a whole, it stays as it is.
pub(super) fn write(path: &Path, octets: &[u8]) -> Result<(), Failure> {
    Opened::open(path)?.write(octets)
}

/// Writes a file beside this one, and gives it its name when it is whole: neither a full disk nor the end of the tool leaves
/// half a report. Returns `false` if the folder takes no other file, or the name cannot be given.
fn replaced(path: &Path, octets: &[u8]) -> io::Result<bool> {
    // A link stays a link.
    let path = path.canonicalize()?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.tmp", process::id()));
    let Ok(file) = File::options().write(true).create_new(true).open(&beside) else { return Ok(false) };
    let written = replaced_by(&path, &beside, file, octets);
    if !matches!(written, Ok(true)) {
        // The error that is returned is that of the report.
        fs::remove_file(&beside).unwrap_or_default();
    }
    written
}

fn replaced_by(path: &Path, beside: &Path, mut file: File, octets: &[u8]) -> io::Result<bool> {
    let (old, new) = (path.metadata()?, file.metadata()?);
    if !has_same_owner(&old, &new) {
        return Ok(false);
    }
    file.write_all(octets)?;
    file.set_permissions(old.permissions())?;
    drop(file);
    Ok(fs::rename(beside, path).is_ok())
}

#[cfg(unix)]
fn has_same_owner(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.uid(), one.gid()) == (other.uid(), other.gid())
}

#[cfg(not(unix))]
fn has_same_owner(_: &Metadata, _: &Metadata) -> bool {
    true
}

impl Drop for Opened {
    /// A run that could not begin leaves no empty file behind.
    fn drop(&mut self) {
        if self.is_new {
            // That it cannot be removed changes nothing for the user.
            fs::remove_file(&self.path).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn names(folder: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        entries.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("r.json");
        for text in ["first", "2nd"] {
            let opened = Opened::open(&path).expect("it can be opened");
            let mut reader = File::open(&path).expect("it is there");
            opened.write(text.as_bytes()).expect("it can be written");
            assert_eq!(fs::read_to_string(&path).expect("it is text"), text);
            let mut seen = String::new();
            io::Read::read_to_string(&mut reader, &mut seen).expect("it is text");
            assert_ne!(seen, text, "the old file is not written to");
        }
        assert_eq!(names(&folder), ["r.json"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_keeps_its_permissions_and_a_link_stays_a_link() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = TempDir::new().expect("a folder");
        let [path, link] = ["r.json", "link"].map(|name| folder.path().join(name));
        fs::write(&path, "old").expect("it can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        symlink(&path, &link).expect("a link");
        write(&link, b"new").expect("it can be written");
        assert!(link.symlink_metadata().expect("it is there").is_symlink());
        assert_eq!(fs::read_to_string(&path).expect("it is text"), "new");
        assert_eq!(path.metadata().expect("it is there").permissions().mode() & 0o777, 0o600);
    }
}
