//! What the service has and this hub does not: answered with 501, and logged.

use axum::Router;
use axum::routing::any;

use super::Rest;
use super::auth::AnyRight;
use super::errors::Failure;
use crate::hub::ErrorCode;

pub(super) fn routes() -> Router<Rest> {
    let feature = |name: &'static str| {
        any(move |_: AnyRight| async move {
            Failure::new(ErrorCode::FeatureNotSupported, format!("this hub does not have {name}"))
        })
    };
    let jobs = || feature("jobs");
    let import = || feature("import and export jobs");
    let configurations = || feature("configurations");
    let digital_twins = || feature("digital twins");
    Router::new()
        .route("/jobs/v2/query", jobs())
        .route("/jobs/v2/{id}", jobs())
        .route("/jobs/v2/{id}/cancel", jobs())
        .route("/jobs/create", import())
        .route("/jobs", import())
        .route("/jobs/{id}", import())
        .route("/configurations", configurations())
        .route("/configurations/{id}", configurations())
        .route("/configurations/{id}/{rest}", configurations())
        .route("/devices/{id}/applyconfigurationcontent", configurations())
        .route("/digitaltwins/{id}", digital_twins())
        .route("/digitaltwins/{id}/{*rest}", digital_twins())
}
