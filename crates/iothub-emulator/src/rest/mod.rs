//! The HTTPS side: REST, and the WebSockets that carry AMQP.
//!
//! | What | Where |
//! |---|---|
//! | accepting connections, limits | `server`, `stall`, `port` |
//! | one request, from its path to its last header | `exchange` |
//! | paths, bodies, `If-Match` | `path`, `body`, `etag` |
//! | tokens and rights | `auth` |
//! | responses and refusals | `reply`, `errors` |
//! | WebSockets | `websocket`, `byte_stream` |
//! | routes, one file a family | the rest |
//!
//! A family of routes is a `Router` made by its `routes` function, and named in [`router`]. Paths in it are in lower case.
//! The first argument of a handler is the right that it needs: see [`auth`].

mod auth;
mod blobs;
mod body;
mod bulk;
mod byte_stream;
mod devices;
mod errors;
mod etag;
mod exchange;
mod feedback;
mod files;
mod messages;
mod methods;
mod path;
pub(crate) mod port;
mod query;
mod reply;
mod server;
mod stall;
mod statistics;
mod throttle;
mod twins;
mod unsupported;
mod websocket;

use core::time::Duration;
use std::sync::Arc;

use axum::Router;
use tokio_rustls::rustls::ServerConfig;

use crate::front::Front;
use crate::hub::ErrorCode;
use crate::shared::Shared;

pub(crate) use server::listen;

/// What the HTTPS listener gives to each of its connections, and the router to its handlers.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tls: Arc<ServerConfig>,
    /// What serves AMQP over WebSockets.
    pub(crate) front: Front,
    /// How long a client may take for TLS, and for the headers of each request.
    pub(crate) handshake_timeout: Duration,
}

impl Rest {
    /// How long a client may take for the body of a request.
    fn body_timeout(&self) -> Duration {
        self.handshake_timeout.saturating_mul(2)
    }
}

/// All routes.
fn router(rest: Rest) -> Router {
    Router::new()
        .merge(blobs::routes())
        .merge(bulk::routes())
        .merge(devices::routes())
        .merge(feedback::routes())
        .merge(files::routes())
        .merge(messages::routes())
        .merge(methods::routes())
        .merge(query::routes())
        .merge(statistics::routes())
        .merge(twins::routes())
        .merge(unsupported::routes())
        .fallback(unknown)
        .with_state(rest)
}

async fn unknown() -> errors::Failure {
    errors::Failure::new(ErrorCode::ResourceNotFound, "the hub has no route of this path")
}
