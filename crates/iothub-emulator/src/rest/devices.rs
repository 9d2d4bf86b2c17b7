//! Devices and modules: `/devices`.

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get};
use serde_json::{Value, json};

use super::Rest;
use super::auth::{RegistryRead, RegistryWrite, ServiceConnect};
use super::body::Json;
use super::errors::Failure;
use super::etag::Precondition;
use super::path::Subject;
use super::reply;
use crate::hub::{ErrorCode, Hub, Identity, IdentityId, IdentitySpec, IfMatch, ModuleId, ServiceError, UnixMillis};

/// Most devices that are listed at once; more are read by a query.
const MAX_LISTED: usize = 1000;

pub(super) fn routes() -> Router<Rest> {
    let identity = || -> MethodRouter<Rest> { get(read).put(write).delete(remove) };
    Router::new()
        .route("/devices", get(list))
        .route("/devices/{device}", identity())
        // An id as good as others. What is posted here is another family's.
        .route("/devices/query", identity())
        .route("/devices/{device}/commands", delete(purge))
        .route("/devices/{device}/modules", get(modules))
        .route("/devices/{device}/modules/{module}", identity())
}

fn shown(identity: &Identity) -> Response {
    reply::entity(&identity.to_json(), identity.etag())
}

async fn read(_: RegistryRead, Subject(id): Subject, State(rest): State<Rest>) -> Result<Response, Failure> {
    let found = rest.shared.hub(|hub, _| hub.identity(&id).map(shown));
    Ok(found?)
}

async fn list(_: RegistryRead, uri: Uri, State(rest): State<Rest>) -> Result<Response, Failure> {
    let top = match query_number(&uri, "top")? {
        None => MAX_LISTED,
        Some(0) => return Err(Failure::new(ErrorCode::ArgumentInvalid, "top must be 1 or more")),
        Some(top) => usize::try_from(top).unwrap_or(MAX_LISTED).min(MAX_LISTED),
    };
    let devices: Vec<Value> = rest.shared.hub(|hub, _| hub.devices().take(top).map(Identity::to_json).collect());
    Ok(reply::json(&devices.into()))
}

async fn modules(_: RegistryRead, Subject(id): Subject, State(rest): State<Rest>) -> Result<Response, Failure> {
    let modules =
        rest.shared.hub(|hub, _| Ok::<Value, ServiceError>(hub.modules(&id.device)?.map(Identity::to_json).collect()));
    Ok(reply::json(&modules?))
}

/// Without a precondition an identity is created, with one it is updated.
async fn write(
    _: RegistryWrite,
    Subject(id): Subject,
    Precondition(precondition): Precondition,
    State(rest): State<Rest>,
    Json(document): Json,
) -> Result<Response, Failure> {
    let spec = IdentitySpec::parse(id, &document)?;
    let written = rest.shared.hub(|hub, now| match precondition {
        IfMatch::None => hub.create_identity(now, spec).map(shown),
        precondition => hub.update_identity(now, &precondition, spec).map(shown),
    });
    Ok(written?)
}

async fn remove(
    _: RegistryWrite,
    Subject(id): Subject,
    Precondition(precondition): Precondition,
    State(rest): State<Rest>,
) -> Result<Response, Failure> {
    rest.shared.hub(|hub, now| hub.delete_identity(now, &precondition, &id))?;
    Ok(reply::no_content())
}

async fn purge(_: ServiceConnect, Subject(id): Subject, State(rest): State<Rest>) -> Result<Response, Failure> {
    let purged = rest.shared.hub(|hub, now| purged(hub, now, &id))?;
    let answer = json!({ "deviceId": id.device.as_str(), "moduleId": id.module.as_ref().map(ModuleId::as_str), "totalMessagesPurged": purged });
    Ok(reply::json(&answer))
}

fn purged(hub: &mut Hub, now: UnixMillis, id: &IdentityId) -> Result<usize, ServiceError> {
    hub.identity(id)?;
    Ok(hub.purge(now, id))
}

/// A number in the query; `None` if it is not there.
pub(super) fn query_number(uri: &Uri, name: &str) -> Result<Option<u64>, Failure> {
    let fields = uri.query().unwrap_or_default().split('&').filter_map(|field| field.split_once('='));
    let value = fields.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).next();
    let value = value.filter(|value| !value.is_empty()).map(str::parse).transpose();
    value.map_err(|_| Failure::new(ErrorCode::ArgumentInvalid, format!("{name} must be a number")))
}
