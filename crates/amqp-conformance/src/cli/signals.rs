//! Ends the program when the user or the system asks for it.

use super::Exit;
use crate::{group, run::Interrupt};
use std::{io, process, thread};
use tokio::runtime::{self, Runtime};

/// At SIGINT (Ctrl-C), SIGTERM, and SIGHUP where that is not ignored, interrupts the run, which writes its reports. At the second signal, and without a run,
/// the program ends at once. Commands that it has started end with it.
///
/// # Errors
///
/// If the system has no such signals.
pub(super) fn watch(run: Option<Interrupt>) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = Signals::new(&runtime)?;
    let wait = move || {
        if let Some(run) = run {
            runtime.block_on(signals.next());
            run.set();
        }
        runtime.block_on(signals.next());
        group::end_all();
        process::exit(Exit::Interrupted as i32);
    };
    thread::Builder::new().name(String::from("signals")).spawn(wait)?;
    Ok(())
}

#[cfg(unix)]
struct Signals(Vec<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Signals {
    /// From now on, the signals do not end the program by themselves.
    fn new(runtime: &Runtime) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let _context = runtime.enter();
        let mut signals = vec![signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        if ignores_hang_up(&status) == Some(false) {
            signals.push(signal(SignalKind::hangup())?);
        }
        Ok(Self(signals))
    }

    async fn next(&mut self) {
        let each = self.0.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures_util::future::select_all(each).await;
    }
}

/// Whether a process ignores SIGHUP, as one does that was started by `nohup`; `None` if its status does not say so. A watched
/// signal is not ignored any more.
#[cfg(unix)]
fn ignores_hang_up(status: &str) -> Option<bool> {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    // SIGHUP is the first.
    Some(u64::from_str_radix(ignored.trim(), 16).ok()? & 1 == 1)
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new(_: &Runtime) -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // Without Ctrl-C there is nothing to wait for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_seen_in_the_status_of_the_process() {
        let status = |ignored| format!("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t{ignored}\nSigCgt:\t0\n");
        assert_eq!(ignores_hang_up(&status("0000000000001001")), Some(true));
        assert_eq!(ignores_hang_up(&status("0000000000001000")), Some(false));
        assert_eq!((ignores_hang_up(""), ignores_hang_up(&status("?"))), (None, None));
    }
}
