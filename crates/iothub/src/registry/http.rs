//! Requests to the hub over HTTPS: authorised, bounded, repeated where that is safe.

use super::{etag::IfMatch, tokens::Tokens};
use crate::{
    credential::{Signer, now},
    error::{Error, ErrorKind, Refusal},
};
use amqp1::{Delivered, tls::TlsClient};
use bytes::{Bytes, BytesMut};
use reqwest::{
    Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    error::Error as StdError,
    fmt,
    hash::{BuildHasher, Hasher},
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// The version of the service's interface that is spoken here.
const API_VERSION: &str = "2021-04-12";

/// The largest answer that is taken, in octets: a page of a thousand twins fits.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// The first and the longest pause before a request is repeated.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

pub(super) const ERROR_CODE: &str = "iothub-errorcode";

/// When a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Whenever trying again may help: doing it twice is as good as doing it once.
    Always,
    /// Only when it is certain that the hub has not done it.
    UnlessDelivered,
    /// Never.
    Never,
}

/// A request.
#[derive(Debug)]
pub(super) struct Call {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Option<Bytes>,
    repeat: Repeat,
    /// How long it may take, repetitions included, if that differs from the client's time-out.
    time: Option<Duration>,
    /// Whether a status of 400 may be an answer as well as a refusal.
    partial: bool,
}

/// A success, or a part of one.
#[derive(Debug)]
pub(super) struct Answer {
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    pub(super) fn new(method: Method, path: impl Into<String>, repeat: Repeat) -> Self {
        Self {
            method,
            path: path.into(),
            query: String::new(),
            headers: HeaderMap::new(),
            body: None,
            repeat,
            time: None,
            partial: false,
        }
    }

    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, Repeat::Always)
    }

    pub(super) fn parameter(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.query.push_str(&format!("&{name}={value}"));
        self
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_vec(body);
        let body = body.map_err(|error| Error::invalid("the request cannot be written as JSON").with_source(error))?;
        self.body = Some(body.into());
        Ok(self)
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Result<Self, Error> {
        let value = HeaderValue::from_str(value).map_err(|error| {
            Error::invalid(format!("the value of {name} is not printable ASCII")).with_source(error)
        })?;
        self.headers.insert(HeaderName::from_static(name), value);
        Ok(self)
    }

    pub(super) fn if_match(self, condition: &IfMatch) -> Result<Self, Error> {
        self.header("if-match", &condition.to_header())
    }

    pub(super) fn within(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }
}

impl Answer {
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::protocol("the hub did not keep to the protocol: its answer is not what was asked for")
                .with_source(error)
                .about(Delivered::Yes)
        })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A hub over HTTPS.
pub(super) struct Http {
    client: reqwest::Client,
    /// `https://host:port`
    base: String,
    tokens: Tokens,
    timeout: Duration,
    /// How often a request is sent, the first time included.
    attempts: u32,
    requests: AtomicU64,
}

impl fmt::Debug for Http {
    /// Without the client, whose proxy may have a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("base", &self.base)
            .field("tokens", &self.tokens)
            .field("timeout", &self.timeout)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl Http {
    pub(super) fn new(client: reqwest::Client, base: String, signer: Signer, timeout: Duration, retries: u32) -> Self {
        Self {
            client,
            base,
            tokens: Tokens::new(signer),
            timeout,
            attempts: retries.saturating_add(1),
            requests: AtomicU64::new(0),
        }
    }

    /// Sends a request, and again where it may be repeated, until there is an answer or the time has run out.
    pub(super) async fn send(&self, call: Call) -> Result<Answer, Error> {
        let deadline = Instant::now() + call.time.unwrap_or(self.timeout);
        let mut attempt = 1;
        loop {
            let answer = tokio::time::timeout_at(deadline, self.send_once(&call)).await;
            let error = match answer {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => {
                    let error = Error::new(ErrorKind::Timeout, "the hub did not answer in time: no answer over HTTPS");
                    return Err(error.about(Delivered::Unknown));
                }
            };
            let allowed = match call.repeat {
                Repeat::Always => true,
                Repeat::UnlessDelivered => error.delivered() == Delivered::No,
                Repeat::Never => false,
            };
            let pause = error.retry_after().unwrap_or_default().max(back_off(attempt));
            let in_time = Instant::now() + pause < deadline;
            if !allowed || !error.is_retriable() || attempt >= self.attempts || !in_time {
                return Err(error);
            }
            tracing::debug!(%error, attempt, ?pause, "repeating a request");
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// Sends a request that may be done in part, of which the hub says with a status of 400 what was not.
    pub(super) async fn send_partial<T: DeserializeOwned>(&self, mut call: Call) -> Result<T, Error> {
        call.partial = true;
        self.send(call).await?.json()
    }

    async fn send_once(&self, call: &Call) -> Result<Answer, Error> {
        let token = self.tokens.get(now()).await?;
        let mut authorization = HeaderValue::from_str(token.as_str())
            .map_err(|error| Error::invalid("the token is not printable ASCII").with_source(error))?;
        authorization.set_sensitive(true);
        let Call { path, query, .. } = call;
        let url = format!("{}{path}?api-version={API_VERSION}{query}", self.base);
        let mut request = self
            .client
            .request(call.method.clone(), url)
            .headers(call.headers.clone())
            .header(AUTHORIZATION, authorization)
            .header("accept", "application/json")
            .header("request-id", self.requests.fetch_add(1, Ordering::Relaxed));
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json; charset=utf-8").body(body.clone());
        }
        let response = request.send().await.map_err(|error| failure(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read(response).await?;
        if status.is_success() || call.partial && status == StatusCode::BAD_REQUEST && is_partial(&body) {
            return Ok(Answer { headers, body });
        }
        if status == StatusCode::UNAUTHORIZED {
            self.tokens.forget(&token);
        }
        let text = |name: &HeaderName| headers.get(name)?.to_str().ok();
        let seconds = text(&RETRY_AFTER).and_then(|text| text.trim().parse().ok());
        let code = headers.get(ERROR_CODE).and_then(|code| code.to_str().ok());
        let retry_after = seconds.map(Duration::from_secs);
        Err(Refusal { status: status.as_u16(), code, retry_after, body: &body }.error())
    }
}

/// Whether an answer says what was not done, and is not a refusal as a whole.
fn is_partial(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Partial {
        #[serde(rename = "isSuccessful")]
        _is_successful: bool,
    }
    serde_json::from_slice::<Partial>(body).is_ok()
}

/// Reads a body that is not endless.
async fn read(mut response: reqwest::Response) -> Result<Bytes, Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            let error = Error::protocol("the hub did not keep to the protocol: its answer does not end");
            return Err(error.about(Delivered::Unknown));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// What it means that there is no whole answer.
fn failure(error: &reqwest::Error) -> Error {
    let (reason, tls) = reason(error);
    if tls {
        return Error::new(ErrorKind::Tls, format!("no secure connection to the hub could be made: {reason}"));
    }
    if is_unresolved(error) {
        let host = error.url().and_then(|url| url.host_str()).unwrap_or_default();
        return Error::new(ErrorKind::Connect, format!("the host name {host} of the hub does not resolve: {reason}"));
    }
    if error.is_connect() {
        let kind = if error.is_timeout() { ErrorKind::Timeout } else { ErrorKind::Connect };
        return Error::new(kind, format!("the hub cannot be reached{}: {reason}", place(error)));
    }
    if error.is_builder() {
        return Error::invalid(format!("the request cannot be made: {reason}"));
    }
    let sentence = format!("the connection to the hub was lost: {reason}");
    Error::new(ErrorKind::ConnectionLost, sentence).about(Delivered::Unknown)
}

/// Whether the host name has no address. The client's errors have no kind for it.
fn is_unresolved(error: &reqwest::Error) -> bool {
    let mut sources = std::iter::successors(error.source(), |error| (*error).source());
    error.is_connect() && sources.any(|source| source.to_string() == "dns error")
}

/// Where a request went: host and port. The rest of the URL says nothing of why it is not reached.
fn place(error: &reqwest::Error) -> String {
    let place = error.url().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
    place.map(|(host, port)| format!(" at {host}:{port}")).unwrap_or_default()
}

/// The innermost reason of an error, and whether TLS gave it.
fn reason(error: &reqwest::Error) -> (String, bool) {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    let mut innermost = String::from("unknown");
    while let Some(error) = next {
        innermost = error.to_string();
        let mut stream = error.downcast_ref::<io::Error>();
        // Errors of streams hold each other, and do not count as the sources of one another.
        while let Some(error) = stream {
            if let Some(reason) = TlsClient::reason(error) {
                return (reason, true);
            }
            stream = error.get_ref().and_then(|inner| inner.downcast_ref());
        }
        next = error.source();
    }
    (innermost, false)
}

/// How long to wait after the n-th attempt: twice as long each time, less up to a quarter by chance, so that clients
/// that were refused together do not come back together.
fn back_off(attempt: u32) -> Duration {
    let (first, longest) = BACK_OFF;
    let pause = first.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(longest);
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    pause - pause.mul_f64((random % 1024) as f64 / 4096.0)
}

/// Checks that a name can stand in a path, and encodes it.
pub(super) fn segment(id: &str, what: &str) -> Result<String, Error> {
    // A path with these would lead elsewhere, however they are written.
    if id.is_empty() || id == "." || id == ".." {
        return Err(Error::invalid(format!("{id:?} cannot be the id of a {what}")));
    }
    Ok(amqp1::auth::sas::PercentEncoding::Component.encode(id).to_string())
}
