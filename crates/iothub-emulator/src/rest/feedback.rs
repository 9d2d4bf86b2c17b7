//! Feedback on cloud-to-device messages over HTTPS: `/messages/servicebound/feedback`.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Uri, header};
use axum::response::Response;
use axum::routing::{delete, get, post};

use super::Rest;
use super::auth::ServiceConnect;
use super::errors::Failure;
use super::messages::rejects;
use super::path::Lock;
use super::reply;
use crate::hub::{ErrorCode, FEEDBACK_CONTENT_TYPE, FeedbackDelivery, Hub, LockLost, UnixMillis};

pub(super) fn routes() -> Router<Rest> {
    Router::new()
        .route("/messages/servicebound/feedback", get(receive))
        .route("/messages/servicebound/feedback/{lock}", delete(settle))
        .route("/messages/servicebound/feedback/{lock}/abandon", post(abandon))
}

async fn receive(_: ServiceConnect, State(rest): State<Rest>) -> Response {
    let delivery = rest.shared.hub(|hub, now| {
        let consumer = hub.add_consumer();
        hub.take_feedback(now, consumer)
    });
    delivery.as_ref().map_or_else(reply::no_content, shown)
}

/// One batch: a JSON array of records.
fn shown(delivery: &FeedbackDelivery) -> Response {
    let mut response = Response::new(delivery.body.clone().into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FEEDBACK_CONTENT_TYPE));
    for (name, value) in [
        (header::ETAG, format!("\"{}\"", delivery.token)),
        (HeaderName::from_static("iothub-enqueuedtime"), delivery.enqueued.to_iso8601().to_string()),
        (HeaderName::from_static("iothub-sequencenumber"), delivery.sequence_number.to_string()),
        (HeaderName::from_static("iothub-deliverycount"), delivery.delivery_count.to_string()),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    response
}

/// Completes a batch, or rejects it where the query says so.
async fn settle(_: ServiceConnect, Lock(lock): Lock, uri: Uri, State(rest): State<Rest>) -> Result<Response, Failure> {
    settled(&rest, |hub, now| match rejects(&uri) {
        true => hub.reject_feedback(now, &lock),
        false => hub.complete_feedback(now, &lock),
    })
}

async fn abandon(_: ServiceConnect, Lock(lock): Lock, State(rest): State<Rest>) -> Result<Response, Failure> {
    settled(&rest, |hub, now| hub.abandon_feedback(now, &lock))
}

fn settled<T>(
    rest: &Rest,
    work: impl FnOnce(&mut Hub, UnixMillis) -> Result<T, LockLost>,
) -> Result<Response, Failure> {
    let lost = |_| Failure::new(ErrorCode::DeviceMessageLockLost, "the lock of the batch is gone");
    rest.shared.hub(work).map_err(lost)?;
    Ok(reply::no_content())
}
