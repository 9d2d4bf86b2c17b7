//! Statistics: `/statistics`.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::Rest;
use super::auth::RegistryRead;
use super::reply;

pub(super) fn routes() -> Router<Rest> {
    Router::new().route("/statistics/devices", get(devices)).route("/statistics/service", get(service))
}

async fn devices(_: RegistryRead, State(rest): State<Rest>) -> Response {
    let (total, enabled) = rest.shared.hub(|hub, _| {
        let devices = hub.devices();
        devices.fold((0_u64, 0_u64), |(total, enabled), device| (total + 1, enabled + u64::from(device.is_enabled())))
    });
    reply::json(&json!({
        "totalDeviceCount": total,
        "enabledDeviceCount": enabled,
        "disabledDeviceCount": total - enabled,
    }))
}

async fn service(_: RegistryRead, State(rest): State<Rest>) -> Response {
    let connected = rest.shared.hub(|hub, _| hub.devices().filter(|device| device.is_connected()).count());
    reply::json(&json!({ "connectedDeviceCount": connected }))
}
