//! Futures of implementations that are not known.

use std::{future::Future, pin::Pin};

/// What a trait's method gives where implementations may have to wait: `Box::pin(async move { … })`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
