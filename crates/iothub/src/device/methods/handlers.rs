use super::{
    MethodAnswer, MethodCall,
    call::{UNANSWERED, json},
};
use crate::error::Error;
use amqp1::acceptor::BoxFuture;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

/// The status where a method has no function.
const UNKNOWN: i32 = 501;

/// The status where a function takes too long.
const TIMED_OUT: i32 = 504;

type Handler = Arc<dyn Fn(MethodRequest) -> BoxFuture<'static, MethodAnswer> + Send + Sync>;

/// Functions that answer direct methods, by the methods' names, for [`Methods::serve`](super::Methods::serve).
///
/// A method without a function is answered with status 501, one whose function takes too long with 504, and one whose
/// function panics with 500.
///
/// ```no_run
/// use iothub::{DeviceClient, MethodAnswer, MethodHandlers};
/// use std::time::Duration;
///
/// # async fn example(device: &DeviceClient) -> Result<(), iothub::Error> {
/// let handlers = MethodHandlers::new()
///     .timeout(Duration::from_secs(10))
///     .on("reboot", |request| async move {
///         match request.json::<u32>() {
///             Ok(delay) => MethodAnswer::new(200).payload(delay),
///             Err(error) => MethodAnswer::new(400).payload(error.to_string()),
///         }
///     });
/// device.methods().await?.serve(handlers).await
/// # }
/// ```
#[derive(Clone)]
pub struct MethodHandlers {
    handlers: Arc<HashMap<String, Handler>>,
    timeout: Duration,
    concurrency: usize,
}

impl Default for MethodHandlers {
    fn default() -> Self {
        Self { handlers: Arc::default(), timeout: Duration::from_secs(30), concurrency: 16 }
    }
}

impl fmt::Debug for MethodHandlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MethodHandlers")
            .field("names", &self.handlers.keys())
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .finish()
    }
}

impl MethodHandlers {
    /// No functions yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the function for a method; a later one for the same name replaces it.
    #[must_use]
    pub fn on<R>(
        mut self,
        name: impl Into<String>,
        handler: impl Fn(MethodRequest) -> R + Send + Sync + 'static,
    ) -> Self
    where
        R: Future<Output = MethodAnswer> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        let mut handlers = Arc::unwrap_or_clone(std::mem::take(&mut self.handlers));
        handlers.insert(name.into(), handler);
        self.handlers = Arc::new(handlers);
        self
    }

    /// Sets how long a function may take; 30 s unless set, which is how long services wait unless they say otherwise.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how many calls may be in the hands of functions at a time; 16 unless set, and at least 1. Further ones wait.
    #[must_use]
    pub fn max_concurrent(mut self, calls: usize) -> Self {
        self.concurrency = calls.max(1);
        self
    }

    pub(super) fn concurrency(&self) -> usize {
        self.concurrency
    }

    pub(super) async fn handle(self, call: MethodCall) {
        let (name, payload) = call.take_payload();
        let answer = match self.handlers.get(&name) {
            None => MethodAnswer::new(UNKNOWN).payload("the device has no such method"),
            Some(handler) => {
                let handling = handler(MethodRequest { name, payload });
                tokio::time::timeout(self.timeout, handling).await.unwrap_or_else(|_| {
                    MethodAnswer::new(TIMED_OUT).payload("the device did not answer the call in time")
                })
            }
        };
        if let Err(error) = call.answer(answer).await {
            tracing::warn!(%error, status = UNANSWERED, "the answer to a method was not sent");
        }
    }
}

/// What a function is asked: the call of a direct method without the means to answer it.
#[derive(Clone)]
pub struct MethodRequest {
    name: String,
    payload: Bytes,
}

impl fmt::Debug for MethodRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = self.payload.len();
        f.debug_struct("MethodRequest").field("name", &self.name).field("octets", &octets).finish()
    }
}

impl MethodRequest {
    /// The method's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The payload as the service sent it: JSON.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The payload as a value of JSON, or as a type of the application's own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the payload is not JSON, or does not fit the
    /// type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        json(&self.payload)
    }
}
