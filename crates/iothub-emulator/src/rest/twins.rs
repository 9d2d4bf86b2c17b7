//! Twins of devices and modules: `/twins`.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use super::Rest;
use super::auth::ServiceConnect;
use super::body::TwinJson;
use super::errors::Failure;
use super::etag::Precondition;
use super::path::Subject;
use super::reply;
use crate::hub::Twin;

pub(super) fn routes() -> Router<Rest> {
    let twin = || get(read).patch(patch).put(replace);
    Router::new().route("/twins/{device}", twin()).route("/twins/{device}/modules/{module}", twin())
}

/// Each success has the whole twin.
fn shown(twin: Twin<'_>) -> Response {
    reply::entity(&twin.to_json(), &twin.etag())
}

async fn read(_: ServiceConnect, Subject(id): Subject, State(rest): State<Rest>) -> Result<Response, Failure> {
    let response = rest.shared.hub(|hub, _| hub.twin(&id).map(shown))?;
    rest.shared.charge(|| reply::size(&response));
    Ok(response)
}

async fn patch(
    _: ServiceConnect,
    Subject(id): Subject,
    Precondition(precondition): Precondition,
    State(rest): State<Rest>,
    TwinJson(document): TwinJson,
) -> Result<Response, Failure> {
    let patched = rest.shared.hub(|hub, now| hub.patch_twin(now, &id, &precondition, &document).map(shown));
    let response = patched?;
    rest.shared.charge(|| document.to_string().len());
    Ok(response)
}

async fn replace(
    _: ServiceConnect,
    Subject(id): Subject,
    Precondition(precondition): Precondition,
    State(rest): State<Rest>,
    TwinJson(document): TwinJson,
) -> Result<Response, Failure> {
    let replaced = rest.shared.hub(|hub, now| hub.replace_twin(now, &id, &precondition, &document).map(shown));
    let response = replaced?;
    rest.shared.charge(|| document.to_string().len());
    Ok(response)
}
