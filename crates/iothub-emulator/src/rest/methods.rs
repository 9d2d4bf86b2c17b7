//! Direct methods: `/twins/{device}[/modules/{module}]/methods`.

use core::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use serde_json::{Value, json};

use super::Rest;
use super::auth::ServiceConnect;
use super::body::Json;
use super::errors::Failure;
use super::path::Subject;
use super::reply;
use crate::hub::{ErrorCode, IdentityId, MAX_METHOD_NAME, MethodInvocation, ServiceError};

/// How long the device may take to answer unless the call says so.
const DEFAULT_RESPONSE_TIMEOUT: u64 = 30;
const MIN_RESPONSE_TIMEOUT: u64 = 5;
const MAX_TIMEOUT: u64 = 300;

pub(super) fn routes() -> Router<Rest> {
    Router::new()
        .route("/twins/{device}/methods", post(call))
        .route("/twins/{device}/modules/{module}/methods", post(call))
}

/// A call of a method.
#[derive(Debug, PartialEq)]
struct Call {
    name: String,
    payload: Value,
    response_timeout: Duration,
    /// How long the call waits for the device to be there. Runs before the other.
    connect_timeout: Duration,
}

impl Call {
    fn parse(document: &Value) -> Result<Self, ServiceError> {
        let invalid = |text: String| ServiceError::new(ErrorCode::ArgumentInvalid, text);
        let document = document.as_object().ok_or_else(|| invalid("the body must be an object".into()))?;
        let name = match document.get("methodName") {
            None | Some(Value::Null) => {
                return Err(ServiceError::new(ErrorCode::ArgumentNull, "methodName is missing"));
            }
            Some(Value::String(name)) if !name.is_empty() && name.len() <= MAX_METHOD_NAME => name.clone(),
            Some(_) => return Err(invalid(format!("methodName must be a text of 1 to {MAX_METHOD_NAME} octets"))),
        };
        let payload = document.get("payload").cloned().unwrap_or_default();
        let seconds = |names: &[&str], least: u64, default: u64| {
            let given = names.iter().find_map(|name| Some((*name, document.get(*name)?)));
            let Some((name, given)) = given.filter(|(_, given)| !given.is_null()) else { return Ok(default) };
            let seconds = given.as_u64().filter(|seconds| (least..=MAX_TIMEOUT).contains(seconds));
            seconds.ok_or_else(|| invalid(format!("{name} must be {least} to {MAX_TIMEOUT}")))
        };
        // The second name is that of older tools.
        let response = ["responseTimeoutInSeconds", "timeoutInSeconds"];
        Ok(Self {
            name,
            payload,
            response_timeout: Duration::from_secs(seconds(&response, MIN_RESPONSE_TIMEOUT, DEFAULT_RESPONSE_TIMEOUT)?),
            connect_timeout: Duration::from_secs(seconds(&["connectTimeoutInSeconds"], 0, 0)?),
        })
    }

    fn invocation(self, id: IdentityId) -> MethodInvocation {
        let Self { name, payload, response_timeout, connect_timeout } = self;
        MethodInvocation { id, name, payload, response_timeout, connect_timeout }
    }
}

async fn call(
    _: ServiceConnect,
    Subject(id): Subject,
    State(rest): State<Rest>,
    Json(document): Json,
) -> Result<Response, Failure> {
    let of_method = |error: ServiceError| Failure::of_method(error, Value::Null);
    let call = Call::parse(&document).map_err(of_method)?;
    // The call may wait for minutes.
    drop(document);
    let connect_timeout = call.connect_timeout;
    match rest.shared.invoke_method(call.invocation(id)).await {
        Ok(answer) => Ok(reply::json(&json!({ "status": answer.status, "payload": answer.payload }))),
        Err(error) if error.code() == ErrorCode::DeviceNotOnline => {
            Err(Failure::of_method(error, json!({ "timeout": clock_text(connect_timeout) })))
        }
        Err(error) => Err(of_method(error)),
    }
}

/// `hh:mm:ss`
fn clock_text(span: Duration) -> String {
    let seconds = span.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_defaults_and_takes_the_old_name() {
        let call = Call::parse(&json!({ "methodName": "reboot" })).unwrap();
        assert_eq!((call.response_timeout.as_secs(), call.connect_timeout.as_secs()), (30, 0));
        assert_eq!((call.name.as_str(), call.payload), ("reboot", Value::Null));
        let document = json!({ "methodName": "m", "payload": { "a": [1] }, "timeoutInSeconds": 7, "connectTimeoutInSeconds": 200 });
        let call = Call::parse(&document).unwrap();
        assert_eq!(call.payload, json!({ "a": [1] }));
        assert_eq!((call.response_timeout.as_secs(), call.connect_timeout.as_secs()), (7, 200));
        let document = json!({ "methodName": "m", "responseTimeoutInSeconds": null, "connectTimeoutInSeconds": null });
        assert_eq!(Call::parse(&document).unwrap().response_timeout.as_secs(), 30);
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let code = |document: Value| Call::parse(&document).unwrap_err().code();
        assert_eq!(code(json!([])), ErrorCode::ArgumentInvalid);
        assert_eq!(code(json!({})), ErrorCode::ArgumentNull);
        assert_eq!(code(json!({ "methodName": "" })), ErrorCode::ArgumentInvalid);
        assert_eq!(code(json!({ "methodName": "m", "responseTimeoutInSeconds": 4 })), ErrorCode::ArgumentInvalid);
        assert_eq!(code(json!({ "methodName": "m", "responseTimeoutInSeconds": 301 })), ErrorCode::ArgumentInvalid);
        assert_eq!(code(json!({ "methodName": "m", "connectTimeoutInSeconds": -1 })), ErrorCode::ArgumentInvalid);
    }

    #[test]
    fn a_time_is_shown_as_on_a_clock() {
        assert_eq!(clock_text(Duration::from_secs(3725)), "01:02:05");
    }
}
