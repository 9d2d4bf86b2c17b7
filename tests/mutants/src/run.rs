//! Runs of tests, with a mutant or without.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How much memory a run may take, in KiB: a mutant may be one that never stops taking.
const MEMORY: &str = "6000000";

/// Why a test has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// It was still running when the time was over.
    Hung,
    /// The process died in it.
    Aborted,
}

/// How a run has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The tests that have failed: by an assertion, or by another panic.
    pub failed: Vec<String>,
    /// The test that was running when the process ended, if it ended too early.
    pub stopped: Option<(String, Stop)>,
    /// The tests that have not run because of that.
    pub left: Vec<String>,
}

/// How tests are varied. The first variant that finds a mutant ends the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// The tests as they are.
    Plain,
    /// Client and server change places.
    Turned,
    /// There are other sessions and links, numbers wrap, and frames are encoded in full.
    Crowded,
}

impl Variant {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Turned, Self::Crowded];

    /// The variable of the environment that asks for it.
    fn variable(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Turned => Some("AMQP1_TURNED_ENGINES"),
            Self::Crowded => Some("AMQP1_CROWDED_ENGINES"),
        }
    }
}

/// What a run is of.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// The program.
    pub executable: &'a Path,
    /// Where its package is.
    pub folder: &'a Path,
    /// The tests, as the program knows them.
    pub names: Vec<String>,
    /// The number of the mutant that is on, and the file that is there if it was reached.
    pub mutant: Option<(u32, PathBuf)>,
    /// How the tests are varied.
    pub variant: Variant,
    /// How long it may take.
    pub patience: Duration,
    /// Where the output goes.
    pub output: PathBuf,
}

impl Run<'_> {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// Programs that cannot be started, and files that cannot be written.
    pub fn report(&self) -> io::Result<Report> {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v \"$0\" -c 0; exec \"$@\"", MEMORY]).arg(self.executable);
        command.args(["--exact", "--test-threads=1"]).args(&self.names);
        command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1").env("PROPTEST_MAX_SHRINK_ITERS", "0");
        command.env_remove("RUST_BACKTRACE");
        command.current_dir(self.folder);
        if let Some(variable) = self.variant.variable() {
            command.env(variable, "yes");
        }
        if let Some((number, reached)) = &self.mutant {
            command.env("AMQP1_MUTANT", number.to_string()).env("AMQP1_MUTANT_REACHED", reached);
        }
        let output = File::create(&self.output)?;
        command.stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output);
        let status = wait(&mut command.spawn()?, self.patience)?;
        let output = String::from_utf8_lossy(&std::fs::read(&self.output)?).into_owned();
        let stop = match status {
            Some(status) if status.code().is_some_and(|code| code == 0 || code == FAILED) => None,
            Some(_) => Some(Stop::Aborted),
            None => Some(Stop::Hung),
        };
        read(&output, &self.names, stop).ok_or_else(|| {
            let path = self.output.display();
            io::Error::other(format!("{path} does not say which tests ran"))
        })
    }
}

/// What a test program exits with when tests have failed.
const FAILED: i32 = 101;

/// What became of these tests, from the output of a run with one thread. It has each test's name before its result.
fn read(output: &str, names: &[String], stop: Option<Stop>) -> Option<Report> {
    let mut report = Report::default();
    for name in names {
        let begins = [format!("test {name} ... "), format!("test {name} - should panic ... ")];
        let result =
            |line: &'_ str| begins.iter().find_map(|begin| line.strip_prefix(begin.as_str()).map(str::to_owned));
        match output.lines().find_map(result).as_deref() {
            Some("ok" | "ignored") => {}
            Some("FAILED") => report.failed.push(name.clone()),
            Some(result) if result.starts_with("ignored,") => {}
            Some(_) => report.stopped = Some((name.clone(), stop?)),
            None => report.left.push(name.clone()),
        }
    }
    let complete = if report.stopped.is_some() { stop.is_some() } else { stop.is_none() && report.left.is_empty() };
    complete.then_some(report)
}

fn wait(child: &mut Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    let begin = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begin.elapsed() > patience {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["a", "b::c", "d"].map(str::to_owned).into()
    }

    #[test]
    fn a_failure_is_told_from_a_pass() {
        let output =
            "running 3 tests\ntest a ... ok\ntest b::c - should panic ... FAILED\ntest d ... ok\n\nfailures:\n";
        let expected = Report { failed: vec!["b::c".into()], ..Report::default() };
        assert_eq!(read(output, &names(), None), Some(expected));
    }

    #[test]
    fn the_test_in_which_a_process_ended_is_known() {
        let output = "test a ... FAILED\ntest b::c ... memory allocation of 9 bytes failed\n";
        let stopped = Some(("b::c".into(), Stop::Aborted));
        let expected = Report { failed: vec!["a".into()], stopped, left: vec!["d".into()] };
        assert_eq!(read(output, &names(), Some(Stop::Aborted)), Some(expected));
        let hung = read("test a ... ", &names(), Some(Stop::Hung)).unwrap();
        assert_eq!(hung.stopped, Some(("a".into(), Stop::Hung)));
    }

    #[test]
    fn tests_without_a_result_are_not_taken_for_passed() {
        assert_eq!(read("test a ... ok\ntest b::c ... ok\n", &names(), None), None);
        assert_eq!(read("", &names(), Some(Stop::Aborted)), None);
    }
}
