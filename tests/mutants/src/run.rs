//! Runs of tests, with a mutant or without.

use std::{
    fs::File,
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How much memory a run may take, in KiB: a mutant may be one that never stops taking.
const MEMORY: &str = "6000000";

/// How a run has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// All tests have passed.
    Passed,
    /// These have not.
    Failed(Vec<String>),
    /// The process came to its end before the tests did.
    Died,
    /// It was still at it when the time was over.
    Late,
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
    pub mutant: Option<(usize, PathBuf)>,
    /// Whether client and server change places.
    pub turned: bool,
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
    pub fn end(&self) -> io::Result<End> {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v \"$0\" -c 0; exec \"$@\"", MEMORY]).arg(self.executable);
        command.args(["--exact", "--test-threads=1"]).args(&self.names);
        command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1").env("PROPTEST_MAX_SHRINK_ITERS", "0");
        command.env_remove("RUST_BACKTRACE");
        command.current_dir(self.folder);
        if self.turned {
            command.env("AMQP1_TURNED_ENGINES", "yes");
        }
        if let Some((number, reached)) = &self.mutant {
            command.env("AMQP1_MUTANT", number.to_string()).env("AMQP1_MUTANT_REACHED", reached);
        }
        let output = File::create(&self.output)?;
        command.stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output);
        let Some(status) = wait(&mut command.spawn()?, self.patience)? else { return Ok(End::Late) };
        if status.success() {
            return Ok(End::Passed);
        }
        let output = String::from_utf8_lossy(&std::fs::read(&self.output)?).into_owned();
        let failed: Vec<_> = output.lines().filter_map(failed).map(str::to_owned).collect();
        Ok(if failed.is_empty() || status.signal().is_some() { End::Died } else { End::Failed(failed) })
    }
}

/// The name of a test that has failed, from a line of the output.
fn failed(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
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
