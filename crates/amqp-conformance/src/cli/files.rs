//! The files of the reports, which are opened before a run so that its verdicts are not lost.

use super::{Failure, args::OutputArgs, output::in_file};
use crate::{
    report::{Html, Junit, Report},
    run::FailOn,
};
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    slice,
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

    /// Writes each report.
    pub(super) fn write(self, report: &Report, fail_on: FailOn) -> Result<(), Failure> {
        if let Some(file) = self.json {
            let json = serde_json::to_vec_pretty(report).map_err(Failure::usage)?;
            file.write(&json)?;
        }
        if let Some(file) = self.junit {
            file.write(Junit::new(report, fail_on).to_string().as_bytes())?;
        }
        if let Some(file) = self.html {
            file.write(Html::new(slice::from_ref(report)).to_string().as_bytes())?;
        }
        Ok(())
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
        self.is_new = false;
        self.replace(octets).map_err(|error| in_file(&self.path, &error))
    }

    fn replace(&mut self, octets: &[u8]) -> io::Result<()> {
        // A pipe or a terminal has no length.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(octets)
    }
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
