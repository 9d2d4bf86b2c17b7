//! Futures of implementations that are not known.

use std::{future::Future, pin::Pin};

/// The return type of trait methods whose implementations may have to wait: `Box::pin(async move { … })`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
