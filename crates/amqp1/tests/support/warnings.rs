//! The warnings that a test logs.
//!
//! One subscriber serves the whole process and sorts by thread. A subscriber for each test would not do: `tracing`
//! remembers for each place in the code whether anyone listens, and while there is one scoped subscriber it asks only
//! the thread that comes by first.

use std::{
    cell::RefCell,
    fmt,
    sync::{Arc, Mutex, Once, PoisonError},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// The warnings that are logged on the thread of a test, and so on a runtime of one thread.
#[derive(Clone, Default)]
pub(crate) struct Warnings(Arc<Mutex<Vec<String>>>);

thread_local! {
    static LISTENER: RefCell<Option<Warnings>> = const { RefCell::new(None) };
}

/// Installs the subscriber. Each test does so before it logs anything.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| tracing::subscriber::set_global_default(ByThread).expect("the only subscriber"));
}

impl Warnings {
    /// Listens to this thread from now on.
    pub(crate) fn listen() -> Self {
        install();
        let warnings = Self::default();
        LISTENER.set(Some(warnings.clone()));
        warnings
    }

    /// Everything logged so far.
    pub(crate) fn logged(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct ByThread;

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for ByThread {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        LISTENER.with_borrow(|listener| {
            if let Some(Warnings(logged)) = listener {
                logged.lock().unwrap_or_else(PoisonError::into_inner).push(text.0);
            }
        });
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
