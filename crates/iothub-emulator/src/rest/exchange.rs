//! One request and its response.

use core::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, header};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use super::auth::Who;
use super::errors::{self, Failure};
use super::path::Segments;
use super::server::Connection;
use super::{Rest, websocket};
use crate::hub::ErrorCode;

const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const SERVER: &str = "iothub-emulator";

/// Answers a request, and logs a refusal.
pub(super) async fn answer(
    rest: Rest,
    router: Router,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Response<Body> {
    let line = format!("{} {}", request.method(), request.uri().path());
    let who = Who::default();
    // Those that wait for something, such as a device, are answered when the emulator stops.
    let mut response = tokio::select! {
        biased;
        response = route(&rest, router, &connection, &who, request) => response,
        () = rest.shared.stopping() => {
            Failure::new(ErrorCode::ServiceUnavailable, "the emulator is stopping").into_response()
        }
    };
    let id = request_id();
    let tracking = id.replace('-', "");
    let now = rest.shared.clock().now();
    if let Some(failure) = errors::finish(&mut response, &tracking, now) {
        log(&connection, who.as_str(), &line, &failure);
    }
    let headers = response.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

async fn route(
    rest: &Rest,
    router: Router,
    connection: &Arc<Connection>,
    who: &Who,
    mut request: Request<Incoming>,
) -> Response<Body> {
    if let Err(failure) = override_method(&mut request) {
        return failure.into_response();
    }
    let Some(segments) = Segments::parse(request.uri().path()) else {
        return Failure::new(ErrorCode::ArgumentInvalid, "the path is too long").into_response();
    };
    if websocket::is_path(&segments.as_strs()) {
        return websocket::upgrade(rest, connection, &mut request).unwrap_or_else(IntoResponse::into_response);
    }
    let Some(uri) = segments.apply(request.uri()) else {
        return Failure::new(ErrorCode::ArgumentInvalid, "the path cannot be read").into_response();
    };
    *request.uri_mut() = uri;
    request.extensions_mut().insert(segments);
    request.extensions_mut().insert(connection.clone());
    request.extensions_mut().insert(who.clone());
    match TowerToHyperService::new(router).call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Some clients cannot send PATCH, and send POST with a header that names it.
fn override_method<B>(request: &mut Request<B>) -> Result<(), Failure> {
    if request.method() != Method::POST {
        return Ok(());
    }
    let Some(value) = request.headers().get(METHOD_OVERRIDE) else { return Ok(()) };
    let named = value.to_str().map(str::to_ascii_uppercase).unwrap_or_default();
    match Method::from_str(named.trim()) {
        Ok(method @ (Method::DELETE | Method::PATCH | Method::POST | Method::PUT)) => {
            *request.method_mut() = method;
            Ok(())
        }
        _ => {
            Err(Failure::new(ErrorCode::ArgumentInvalid, "X-HTTP-Method-Override names none of PATCH, PUT and DELETE"))
        }
    }
}

/// A line for each refusal, but for those that are ordinary answers to ordinary questions.
fn log(connection: &Connection, who: &str, line: &str, failure: &Failure) {
    let error = failure.error();
    match error.code().http_status() {
        404 | 409 | 412 => tracing::debug!(from = %connection.peer, %line, %error, "request refused"),
        _ => connection.refused(who, line, &error.to_string()),
    }
}

/// A random UUID, by which a response is found in the log of a client.
fn request_id() -> String {
    let mut octets = [0; 16];
    // An id without random octets is as good for one who reads it.
    if let Err(error) = getrandom::fill(&mut octets) {
        tracing::debug!(%error, "no random octets for a request id");
    }
    octets[6] = octets[6] & 0x0F | 0x40;
    octets[8] = octets[8] & 0x3F | 0x80;
    crate::hub::LockToken(octets).to_string()
}
