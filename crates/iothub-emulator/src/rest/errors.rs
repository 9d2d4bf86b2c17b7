//! Refusals as HTTP responses, in the two shapes that the service uses.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::hub::{ErrorCode, ServiceError, UnixMillis};

/// The header that names the code.
const ERROR_CODE: HeaderName = HeaderName::from_static("iothub-errorcode");

/// Marks a response with an error status whose body is not a refusal's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered;

/// How a body says what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    /// `ErrorCode:{name};{text}`, as everywhere but for methods.
    Registry,
    /// JSON in a text, as for direct methods, with its `info`.
    Method(Value),
}

/// A request that was refused. The body is written when the request's id and the time are known: see [`finish`].
#[derive(Clone, Debug)]
pub(super) struct Failure {
    error: ServiceError,
    shape: Shape,
}

impl Failure {
    /// A refusal in the shape of the registry, of twins and of queries.
    pub(super) fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        ServiceError::new(code, text).into()
    }

    /// A refusal in the shape of direct methods. `info` is an object with what the code has to add, or null.
    pub(super) fn of_method(error: ServiceError, info: Value) -> Self {
        Self { error, shape: Shape::Method(info) }
    }

    /// The error.
    pub(super) fn error(&self) -> &ServiceError {
        &self.error
    }

    fn body(&self, tracking: &str, now: UnixMillis) -> Value {
        let (code, text) = (self.error.code(), self.error.text());
        match &self.shape {
            Shape::Registry => json!({
                "Message": format!("ErrorCode:{code};{text}"),
                "ExceptionMessage": format!("Tracking ID:{tracking}-G:0-TimeStamp:{}", now.to_iso8601()),
            }),
            Shape::Method(info) => {
                let mut message = json!({
                    "errorCode": code.number(),
                    "trackingId": format!("{tracking}-G:0-TimeStamp:{}", now.to_iso8601()),
                    "message": text,
                    "timestampUtc": now.to_iso8601().to_string(),
                });
                if let Some(fields) = message.as_object_mut()
                    && !info.is_null()
                {
                    fields.insert("info".into(), info.clone());
                }
                json!({ "Message": message.to_string(), "ExceptionMessage": "" })
            }
        }
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        Self { error, shape: Shape::Registry }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = status_of(&self.error);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response.extensions_mut().insert(self);
        response
    }
}

fn status_of(error: &ServiceError) -> StatusCode {
    StatusCode::from_u16(error.code().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Takes the refusal out of a response and writes its body. What the router itself refuses gets a service error too.
pub(super) fn finish(response: &mut Response, tracking: &str, now: UnixMillis) -> Option<Failure> {
    if response.extensions_mut().remove::<Answered>().is_some() {
        return None;
    }
    let failure = response.extensions_mut().remove::<Failure>().or_else(|| by_status(response.status()))?;
    *response.status_mut() = status_of(&failure.error);
    *response.body_mut() = Body::from(failure.body(tracking, now).to_string());
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(super::reply::JSON));
    headers.insert(ERROR_CODE, HeaderValue::from_static(failure.error.code().name()));
    Some(failure)
}

/// The refusals of the router, which knows no service errors.
fn by_status(status: StatusCode) -> Option<Failure> {
    if status == StatusCode::METHOD_NOT_ALLOWED {
        return Some(Failure::new(ErrorCode::MethodNotAllowed, "the path does not support this HTTP method"));
    }
    (status.is_client_error() || status.is_server_error())
        .then(|| Failure::new(ErrorCode::ServerError, format!("the emulator answered {status} without a reason")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_795_377_253_045);

    #[test]
    fn the_first_shape_has_the_code_before_a_semicolon_and_the_text_behind_it() {
        let failure = Failure::new(ErrorCode::DeviceNotFound, "dev1");
        let body = failure.body("0123", NOW);
        assert_eq!(body["Message"], "ErrorCode:DeviceNotFound;dev1");
        assert_eq!(body["ExceptionMessage"], "Tracking ID:0123-G:0-TimeStamp:2026-11-22T19:54:13.045Z");
    }

    #[test]
    fn the_shape_of_methods_is_json_in_a_text() {
        let error = ServiceError::new(ErrorCode::DeviceNotOnline, "Timed out waiting for device to connect.");
        let body = Failure::of_method(error, json!({"timeout": "00:00:00"})).body("0123", NOW);
        assert_eq!(body["ExceptionMessage"], "");
        let message: Value = serde_json::from_str(body["Message"].as_str().unwrap()).unwrap();
        assert_eq!(message["errorCode"], 404_103);
        assert_eq!(message["message"], "Timed out waiting for device to connect.");
        assert_eq!(message["info"]["timeout"], "00:00:00");
        assert_eq!(message["timestampUtc"], "2026-11-22T19:54:13.045Z");
    }
}
