//! Commands in process groups of their own: what a command has started ends with it.

use std::{
    io,
    process::{Child, ChildStderr, Command, ExitStatus},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

/// The groups of this process.
static GROUPS: Mutex<Registry> = Mutex::new(Registry { groups: Vec::new(), is_closed: false });

/// The time that a process may take to end after it was killed.
const DYING: Duration = Duration::from_secs(2);
/// The interval at which a process is looked at.
const INTERVAL: Duration = Duration::from_millis(1);

#[derive(Debug)]
struct Registry {
    groups: Vec<Weak<Group>>,
    is_closed: bool,
}

/// A command that runs in a process group of its own. When it is dropped, the group is killed.
///
/// Where there are no process groups, the command alone is killed.
#[derive(Debug)]
pub(crate) struct Group {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    child: Child,
    /// Whether the group was killed or released. Its id may then be that of another group.
    is_over: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Group {
    /// Starts a command. Returns its standard error too, if that is a pipe.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or [`end_all`] was called.
    pub(crate) fn start(command: &mut Command) -> io::Result<(Arc<Self>, Option<ChildStderr>)> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        // The lock is held until the group is known, so that `end_all` misses none.
        let mut registry = lock(&GROUPS);
        if registry.is_closed {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "the tool is about to end"));
        }
        let mut child = command.spawn()?;
        let stderr = child.stderr.take();
        let group = Arc::new(Self { state: Mutex::new(State { child, is_over: false }) });
        registry.groups.retain(|group| group.strong_count() > 0);
        registry.groups.push(Arc::downgrade(&group));
        Ok((group, stderr))
    }

    /// The exit status of the command, if it has ended. Processes that it has started may still run.
    pub(crate) fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        let State { child, is_over } = &mut *lock(&self.state);
        if *is_over { child.try_wait() } else { peek(child) }
    }

    /// The exit status of the command, if it ends within this time.
    pub(crate) fn wait(&self, within: Duration) -> io::Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            let status = self.try_wait()?;
            if status.is_some() || start.elapsed() >= within {
                return Ok(status);
            }
            thread::sleep(INTERVAL);
        }
    }

    /// Kills the group.
    pub(crate) fn end(&self) {
        let State { child, is_over } = &mut *lock(&self.state);
        if *is_over {
            return;
        }
        *is_over = true;
        // It may have ended by itself.
        kill(child).unwrap_or_default();
        let start = Instant::now();
        while matches!(child.try_wait(), Ok(None)) && start.elapsed() < DYING {
            thread::sleep(INTERVAL);
        }
    }

    /// Leaves what a command that has ended has started alone.
    pub(crate) fn release(&self) {
        let State { child, is_over } = &mut *lock(&self.state);
        // It is reaped, and its status kept.
        *is_over |= matches!(child.try_wait(), Ok(Some(_)));
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

/// Kills every group of this process. No other is started after that.
pub(crate) fn end_all() {
    let groups = {
        let mut registry = lock(&GROUPS);
        registry.is_closed = true;
        std::mem::take(&mut registry.groups)
    };
    groups.iter().filter_map(Weak::upgrade).for_each(|group| group.end());
}

/// The exit status of a process that has ended. It is not reaped, so that no other process and no other group gets its id.
#[cfg(unix)]
fn peek(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    use std::os::unix::process::ExitStatusExt;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let ended = waitid(WaitId::Pid(Pid::from_child(child)), options)?;
    Ok(ended.map(|ended| match (ended.exit_status(), ended.terminating_signal()) {
        (None, Some(signal)) => ExitStatus::from_raw(signal),
        (code, _) => ExitStatus::from_raw(code.unwrap_or_default() << 8),
    }))
}

#[cfg(not(unix))]
fn peek(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    child.try_wait()
}

#[cfg(unix)]
fn kill(child: &mut Child) -> io::Result<()> {
    use rustix::process::{Pid, Signal, kill_process_group};
    Ok(kill_process_group(Pid::from_child(child), Signal::KILL)?)
}

#[cfg(not(unix))]
fn kill(child: &mut Child) -> io::Result<()> {
    child.kill()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::{
        io::Read,
        process::{ChildStderr, Stdio},
        sync::mpsc,
    };

    const WITHIN: Duration = Duration::from_secs(30);

    fn started(script: &str) -> (Arc<Group>, ChildStderr) {
        let mut command = Command::new("sh");
        let (group, stderr) = Group::start(command.args(["-c", script]).stderr(Stdio::piped())).expect("it starts");
        (group, stderr.expect("a pipe"))
    }

    /// Waits until every process that holds this pipe has ended.
    fn is_released(mut stderr: ChildStderr) -> bool {
        let (ended, end) = mpsc::channel();
        thread::spawn(move || {
            let read = stderr.read_to_end(&mut Vec::new());
            ended.send(read.is_ok()).unwrap_or_default();
        });
        end.recv_timeout(WITHIN).unwrap_or(false)
    }

    #[test]
    fn what_a_command_has_started_ends_with_it() {
        for script in ["sleep 1000 & wait", "sleep 1000 & exit 3"] {
            let (group, stderr) = started(script);
            if script.ends_with('3') {
                let status = group.wait(WITHIN).expect("the system says").expect("it ends");
                assert_eq!(status.code(), Some(3));
            }
            drop(group);
            assert!(is_released(stderr), "{script}");
        }
    }

    #[test]
    fn a_status_can_be_asked_for_again_and_after_the_end() {
        use std::os::unix::process::ExitStatusExt;
        let (group, _stderr) = started("kill -SEGV $$");
        let status = group.wait(WITHIN).expect("the system says").expect("it ends");
        assert_eq!((status.signal(), group.try_wait().expect("the system says")), (Some(11), Some(status)));
        group.end();
        assert_eq!(group.try_wait().expect("the system says").and_then(|status| status.signal()), Some(11));
    }

    #[test]
    fn a_group_that_is_released_goes_on() {
        let (group, mut stderr) = started("(sleep 1; echo on >&2) & exit");
        group.wait(WITHIN).expect("the system says").expect("it ends");
        group.release();
        drop(group);
        let mut said = String::new();
        stderr.read_to_string(&mut said).expect("it is text");
        assert_eq!(said, "on\n");
    }
}
