//! Bodies of requests: bounded in size and in time.

use core::future::poll_fn;
use core::pin::Pin;

use axum::extract::{FromRequest, Request};
use axum::http::header;
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use serde_json::Value;

use super::Rest;
use super::errors::Failure;
use crate::hub::ErrorCode;

/// The largest body that is taken, in octets.
pub(super) const MAX_BODY: usize = 4 * 1024 * 1024;

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
        let Octets(octets) = Octets::from_request(request, rest).await?;
        if octets.iter().all(u8::is_ascii_whitespace) {
            return Err(Failure::new(ErrorCode::ArgumentNull, "the request has no body"));
        }
        serde_json::from_slice(&octets).map(Self).map_err(|error| {
            let text = format!("the body is not JSON (line {}, column {})", error.line(), error.column());
            Failure::new(ErrorCode::IotHubFormatError, text)
        })
    }
}
