//! Bodies of requests: bounded in size and in time.

use core::future::poll_fn;
use core::pin::Pin;

use axum::extract::{FromRequest, Request};
use axum::http::header;
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Rest;
use super::errors::Failure;
use crate::hub::{ErrorCode, check_integers};

/// The largest body that is taken, in octets.
pub(super) const MAX_BODY: usize = 4 * 1024 * 1024;

/// Most values in a body of JSON, more or less. Some take 2 octets as text and hundreds in memory.
const MAX_VALUES: usize = 200_000;

/// The octets of a body.
pub(super) struct Octets(pub(super) Bytes);

impl FromRequest<Rest> for Octets {
    type Rejection = Failure;

    async fn from_request(request: Request, rest: &Rest) -> Result<Self, Failure> {
        let timeout = rest.body_timeout();
        tokio::time::timeout(timeout, read(request)).await.unwrap_or_else(|_| {
            let text = format!("the body was not there after {} s", timeout.as_secs_f32());
            Err(Failure::new(ErrorCode::IotHubFormatError, text))
        })
    }
}

async fn read(request: Request) -> Result<Octets, Failure> {
    let too_large = || {
        let text = format!("a request may have {MAX_BODY} octets of body at most");
        Failure::new(ErrorCode::MessageTooLarge, text)
    };
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if length.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > MAX_BODY as u64) {
        return Err(too_large());
    }
    let mut stream = request.into_body().into_data_stream();
    let mut octets = BytesMut::new();
    while let Some(chunk) = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
        let chunk = chunk
            .map_err(|error| Failure::new(ErrorCode::IotHubFormatError, format!("the body cannot be read: {error}")))?;
        if octets.len().saturating_add(chunk.len()) > MAX_BODY {
            return Err(too_large());
        }
        octets.extend_from_slice(&chunk);
    }
    Ok(Octets(octets.freeze()))
}

/// A body of JSON.
pub(super) struct Json(pub(super) Value);

impl FromRequest<Rest> for Json {
    type Rejection = Failure;

    async fn from_request(request: Request, rest: &Rest) -> Result<Self, Failure> {
        parse(&required(request, rest).await?).map(Self)
    }
}

/// A body of JSON with twins, whose integers are bounded.
pub(super) struct TwinJson(pub(super) Value);

impl FromRequest<Rest> for TwinJson {
    type Rejection = Failure;

    async fn from_request(request: Request, rest: &Rest) -> Result<Self, Failure> {
        let octets = required(request, rest).await?;
        let value = parse(&octets)?;
        check_integers(&octets)?;
        Ok(Self(value))
    }
}

async fn required(request: Request, rest: &Rest) -> Result<Bytes, Failure> {
    let Octets(octets) = Octets::from_request(request, rest).await?;
    if octets.iter().all(u8::is_ascii_whitespace) {
        return Err(Failure::new(ErrorCode::ArgumentNull, "the request has no body"));
    }
    Ok(octets)
}

/// Reads JSON.
pub(super) fn parse<T: DeserializeOwned>(octets: &[u8]) -> Result<T, Failure> {
    // Before each value but the first there is one of these. Some are in texts, which are few in what is ordinary.
    let values = octets.iter().filter(|octet| matches!(octet, b',' | b':' | b'[' | b'{')).count();
    if values > MAX_VALUES {
        let text = format!("a body may have about {MAX_VALUES} values of JSON at most");
        return Err(Failure::new(ErrorCode::MessageTooLarge, text));
    }
    serde_json::from_slice(octets).map_err(|error| {
        let text = format!(
            "the body is not JSON of the form that is needed (line {}, column {})",
            error.line(),
            error.column()
        );
        Failure::new(ErrorCode::IotHubFormatError, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_very_many_values_is_refused_before_it_is_read() {
        for value in ["{\"a\":0}", "[]", "0", "\"\""] {
            let body = |values: usize| format!("[{}]", vec![value; values].join(","));
            assert!(parse::<Value>(body(50_000).as_bytes()).is_ok(), "{value}");
            let failure = parse::<Value>(body(400_000).as_bytes()).unwrap_err();
            assert_eq!(failure.error().code(), ErrorCode::MessageTooLarge, "{value}");
        }
    }
}
