//! Each mutant against the tests that have to find it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{
    catalogue::Mutant,
    run::{Report, Run, Stop, Variant},
    suite::{Binary, Case},
};

/// How long a run may take with a mutant. The slowest takes a few seconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the tests may take without a mutant.
const PATIENCE_WITHOUT: Duration = Duration::from_secs(900);

/// Which tests are run in all variants.
const VARIED: [(&str, &str); 2] = [("amqp1-engine", "behaviour"), ("amqp1-broker", "behaviour")];

/// How a test has ended that did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// It failed by an assertion, or by another panic.
    Failed,
    /// It ended without a result.
    Stopped(Stop),
}

/// What became of a mutant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether any test did what the mutant changes.
    pub reached: bool,
    /// The tests that did not pass.
    pub ended: BTreeMap<Case, How>,
}

impl Verdict {
    /// The tests of one row that ended like this.
    fn of<'a>(&self, row: &'a BTreeSet<Case>, how: How) -> Vec<&'a str> {
        row.iter().filter(|case| self.ended.get(case) == Some(&how)).map(|case| case.path.as_str()).collect()
    }
}

/// A mutant with the tests that have to find it.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The mutant.
    pub mutant: &'a Mutant,
    /// The tests of each of its rows. Each row has to find it.
    pub rows: BTreeMap<String, BTreeSet<Case>>,
}

impl Entry<'_> {
    /// The tests of all rows.
    pub fn cases(&self) -> BTreeSet<&Case> {
        self.rows.values().flatten().collect()
    }

    /// The tests of these rows by which the mutant is found: those that failed, or that were stopped as is expected.
    pub fn found_by<'a>(&'a self, row: &'a BTreeSet<Case>, verdict: &Verdict) -> Vec<&'a str> {
        let mut found = verdict.of(row, How::Failed);
        for (stop, expected) in [(Stop::Hung, &self.mutant.hangs), (Stop::Aborted, &self.mutant.aborts)] {
            if expected.is_some() {
                found.extend(verdict.of(row, How::Stopped(stop)));
            }
        }
        found
    }

    /// What is wrong: rows that have not found the mutant, and stops that are expected but did not happen.
    pub fn problems(&self, verdict: &Verdict) -> Vec<String> {
        let name = &self.mutant.name;
        if !verdict.reached {
            let paths: Vec<_> = self.cases().into_iter().map(|case| case.path.as_str()).collect();
            return vec![format!("{name}: NEVER REACHED by {}", paths.join(", "))];
        }
        let mut problems = Vec::new();
        for (row, cases) in &self.rows {
            if self.found_by(cases, verdict).is_empty() {
                let paths: Vec<_> = cases.iter().map(|case| case.path.as_str()).collect();
                problems.push(format!("{name}: SURVIVED the tests of {row}: {}", paths.join(", ")));
                for (stop, what) in [(Stop::Hung, "HANGS"), (Stop::Aborted, "ABORTS")] {
                    problems.extend(
                        verdict.of(cases, How::Stopped(stop)).iter().map(|path| format!("{name}: {what} in {path}")),
                    );
                }
            }
        }
        for (stop, expected, what) in
            [(Stop::Hung, &self.mutant.hangs, "hang"), (Stop::Aborted, &self.mutant.aborts, "abort")]
        {
            if expected.is_some() && !verdict.ended.values().any(|how| *how == How::Stopped(stop)) {
                problems.push(format!("{name}: is expected to {what}, but does not"));
            }
        }
        problems
    }

    /// The tests that are still to be run: those of rows that have not found the mutant.
    fn open(&self, verdict: &Verdict) -> BTreeSet<Case> {
        let open = self.rows.values().filter(|cases| self.found_by(cases, verdict).is_empty());
        open.flatten().filter(|case| !verdict.ended.contains_key(case)).cloned().collect()
    }
}

/// The tests as they were compiled.
#[derive(Debug)]
pub struct Bench {
    /// The programs.
    pub programs: BTreeMap<Binary, PathBuf>,
    /// The workspace that they are of.
    pub copy: PathBuf,
    /// Where outputs are kept.
    pub outputs: PathBuf,
}

impl Bench {
    /// Runs all tests without a mutant. Those that do not pass in a variant are returned with it.
    ///
    /// # Errors
    ///
    /// Tests that do not pass, and what cannot be run.
    pub fn without(&self, cases: &BTreeSet<Case>) -> Result<BTreeSet<(Variant, Case)>, String> {
        let mut unfit = BTreeSet::new();
        for (binary, names) in by_binary(cases) {
            for &variant in variants(binary) {
                let report =
                    self.run(binary, names.clone(), None, variant).map_err(|error| format!("{binary:?}: {error}"))?;
                if variant == Variant::Plain && report != Report::default() {
                    return Err(format!("without a mutant, tests of {binary:?} do not pass: {report:?}"));
                }
                if report.stopped.is_some() {
                    return Err(format!("without a mutant, {variant:?}, tests of {binary:?} do not end: {report:?}"));
                }
                let failed = |case: &&Case| case.binary == *binary && report.failed.contains(&case.name);
                unfit.extend(cases.iter().filter(failed).map(|case| (variant, case.clone())));
            }
        }
        Ok(unfit)
    }

    /// Tries all mutants, several at a time, and says of each what became of it when it is known.
    ///
    /// # Errors
    ///
    /// What cannot be run.
    pub fn try_all<'a>(
        &self,
        entries: &'a [Entry<'a>],
        unfit: &BTreeSet<(Variant, Case)>,
        tell: impl Fn(&Entry<'a>, &Verdict) + Sync,
    ) -> Result<Vec<(&'a Entry<'a>, Verdict)>, String> {
        let next = AtomicUsize::new(0);
        let verdicts = Mutex::new(Vec::new());
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let work = || {
            while let Some(entry) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
                let verdict = self.try_one(entry, unfit).map_err(|error| format!("{}: {error}", entry.mutant.name))?;
                tell(entry, &verdict);
                verdicts.lock().map_err(|_| "another has failed")?.push((entry, verdict));
            }
            Ok::<_, String>(())
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread has failed")?)
        })?;
        let mut verdicts = verdicts.into_inner().map_err(|_| "a thread has failed")?;
        verdicts.sort_by_key(|(entry, _)| &entry.mutant.name);
        Ok(verdicts)
    }

    /// Runs its tests from the lowest layer up until each row has one that fails.
    fn try_one(&self, entry: &Entry<'_>, unfit: &BTreeSet<(Variant, Case)>) -> io::Result<Verdict> {
        let reached = self.outputs.join(format!("{}.reached", entry.mutant.number()));
        if reached.exists() {
            fs::remove_file(&reached)?;
        }
        let binaries: BTreeSet<_> = entry.cases().into_iter().map(|case| &case.binary).collect();
        let mut verdict = Verdict::default();
        for variant in Variant::ALL {
            for binary in binaries.iter().filter(|binary| variants(binary).contains(&variant)) {
                let is_left = |case: &Case| case.binary == **binary && !unfit.contains(&(variant, case.clone()));
                let mut left: BTreeSet<_> = entry.open(&verdict).into_iter().filter(is_left).collect();
                while !left.is_empty() {
                    let names = left.iter().map(|case| case.name.clone()).collect();
                    let report = self.run(binary, names, Some((entry.mutant.number(), reached.clone())), variant)?;
                    let stopped = report.stopped.map(|(name, stop)| (name, How::Stopped(stop)));
                    let failed = report.failed.into_iter().map(|name| (name, How::Failed));
                    for (name, how) in failed.chain(stopped) {
                        verdict
                            .ended
                            .extend(left.iter().find(|case| case.name == name).map(|case| (case.clone(), how)));
                    }
                    let open = entry.open(&verdict);
                    left.retain(|case| report.left.contains(&case.name) && open.contains(case));
                }
            }
        }
        verdict.reached = reached.exists();
        Ok(verdict)
    }

    fn run(
        &self,
        binary: &Binary,
        names: Vec<String>,
        mutant: Option<(u32, PathBuf)>,
        variant: Variant,
    ) -> io::Result<Report> {
        let executable = self.programs.get(binary).ok_or(io::ErrorKind::NotFound)?;
        let number = mutant.as_ref().map_or(0, |(number, _)| *number);
        let output =
            self.outputs.join(format!("{number}-{}-{}.txt", binary.package, binary.test.as_deref().unwrap_or("lib")));
        let patience = if mutant.is_some() { PATIENCE } else { PATIENCE_WITHOUT };
        let folder: &Path = &self.copy.join("crates").join(&binary.package);
        Run { executable, folder, names, mutant, variant, patience, output }.report()
    }
}

/// The variants in which these tests are run, the plain one first.
fn variants(binary: &Binary) -> &'static [Variant] {
    let is_varied = binary.test.as_deref().is_some_and(|test| VARIED.contains(&(binary.package.as_str(), test)));
    if is_varied { &Variant::ALL } else { &[Variant::Plain] }
}

fn by_binary(cases: &BTreeSet<Case>) -> BTreeMap<&Binary, Vec<String>> {
    let mut by_binary: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for case in cases {
        by_binary.entry(&case.binary).or_default().push(case.name.clone());
    }
    by_binary
}
