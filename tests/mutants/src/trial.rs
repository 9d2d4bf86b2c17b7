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
    run::{End, Run},
    suite::{Binary, Case},
};

/// How long a run may take before the mutant counts as found: it goes round in circles.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the tests may take without a mutant.
const PATIENCE_WITHOUT: Duration = Duration::from_secs(900);

/// Which tests are run a second time with the engines of client and server in each other's place.
const TURNED: (&str, &str) = ("amqp1-engine", "behaviour");

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// By these tests, or by all of a run that did not come to its end.
    Found(Vec<String>),
    /// No test failed, though what it changes was done.
    Survived,
    /// No test has done what it changes.
    NeverReached,
}

/// A mutant with the tests that have to find it.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The mutant's number.
    pub number: usize,
    /// The mutant.
    pub mutant: &'a Mutant,
    /// The tests.
    pub cases: BTreeSet<Case>,
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
    /// Runs all tests without a mutant. Those that do not pass with client and server in each other's place are returned.
    ///
    /// # Errors
    ///
    /// Tests that do not pass, and what cannot be run.
    pub fn without(&self, cases: &BTreeSet<Case>) -> Result<BTreeSet<Case>, String> {
        let mut not_turned = BTreeSet::new();
        for (binary, names) in by_binary(cases) {
            let of =
                |turned| self.run(binary, names.clone(), None, turned).map_err(|error| format!("{binary:?}: {error}"));
            match of(false)? {
                End::Passed => {}
                end => return Err(format!("without a mutant, tests of {binary:?} do not pass: {end:?}")),
            }
            if is_turned(binary) {
                match of(true)? {
                    End::Passed => {}
                    End::Failed(failed) => not_turned.extend(
                        cases.iter().filter(|case| case.binary == *binary && failed.contains(&case.name)).cloned(),
                    ),
                    end => return Err(format!("without a mutant, tests of {binary:?} do not pass: {end:?}")),
                }
            }
        }
        Ok(not_turned)
    }

    /// Tries all mutants, several at a time, and says of each what became of it when it is known.
    ///
    /// # Errors
    ///
    /// What cannot be run.
    pub fn try_all<'a>(
        &self,
        entries: &'a [Entry<'a>],
        not_turned: &BTreeSet<Case>,
        tell: impl Fn(&Entry<'a>, &Verdict) + Sync,
    ) -> Result<Vec<(&'a Entry<'a>, Verdict)>, String> {
        let next = AtomicUsize::new(0);
        let verdicts = Mutex::new(Vec::new());
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let work = || {
            while let Some(entry) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
                let verdict =
                    self.try_one(entry, not_turned).map_err(|error| format!("{}: {error}", entry.mutant.name))?;
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
        verdicts.sort_by_key(|(entry, _)| entry.number);
        Ok(verdicts)
    }

    /// Runs its tests from the lowest layer up until one fails.
    fn try_one(&self, entry: &Entry<'_>, not_turned: &BTreeSet<Case>) -> io::Result<Verdict> {
        let reached = self.outputs.join(format!("{}.reached", entry.number));
        if reached.exists() {
            fs::remove_file(&reached)?;
        }
        let turnable = entry.cases.difference(not_turned).cloned().collect();
        for (cases, turned) in [(&entry.cases, false), (&turnable, true)] {
            for (binary, names) in by_binary(cases) {
                if turned && !is_turned(binary) {
                    continue;
                }
                let mutant = Some((entry.number, reached.clone()));
                match self.run(binary, names, mutant, turned)? {
                    End::Passed => {}
                    End::Failed(failed) => return Ok(Verdict::Found(failed)),
                    End::Died => return Ok(Verdict::Found(vec!["the process died".into()])),
                    End::Late => return Ok(Verdict::Found(vec!["it does not come to an end".into()])),
                }
            }
        }
        Ok(if reached.exists() { Verdict::Survived } else { Verdict::NeverReached })
    }

    fn run(
        &self,
        binary: &Binary,
        names: Vec<String>,
        mutant: Option<(usize, PathBuf)>,
        turned: bool,
    ) -> io::Result<End> {
        let executable = self.programs.get(binary).ok_or(io::ErrorKind::NotFound)?;
        let number = mutant.as_ref().map_or(0, |(number, _)| *number);
        let output =
            self.outputs.join(format!("{number}-{}-{}.txt", binary.package, binary.test.as_deref().unwrap_or("lib")));
        let patience = if mutant.is_some() { PATIENCE } else { PATIENCE_WITHOUT };
        let folder: &Path = &self.copy.join("crates").join(&binary.package);
        Run { executable, folder, names, mutant, turned, patience, output }.end()
    }
}

fn is_turned(binary: &Binary) -> bool {
    (binary.package.as_str(), binary.test.as_deref()) == (TURNED.0, Some(TURNED.1))
}

fn by_binary(cases: &BTreeSet<Case>) -> BTreeMap<&Binary, Vec<String>> {
    let mut by_binary: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for case in cases {
        by_binary.entry(&case.binary).or_default().push(case.name.clone());
    }
    by_binary
}
