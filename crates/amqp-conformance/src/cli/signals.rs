//! Ends the program when the user or the system asks for it.

use super::Exit;
use crate::{group, run::Interrupt};
use std::{io, process, thread};
use tokio::runtime::{self, Runtime};

/// At SIGINT (Ctrl-C) and SIGTERM, interrupts the run, which writes its reports. At the second signal, and without a run,
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
struct Signals([tokio::signal::unix::Signal; 2]);

#[cfg(unix)]
impl Signals {
    /// From now on, the signals do not end the program by themselves.
    fn new(runtime: &Runtime) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let _context = runtime.enter();
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]))
    }

    async fn next(&mut self) {
        let Self([interrupt, terminate]) = self;
        futures_util::future::select(Box::pin(interrupt.recv()), Box::pin(terminate.recv())).await;
    }
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
