//! The AMQP front: what turns connections, links and deliveries into calls of the hub.
//!
//! | What | Where |
//! |---|---|
//! | accepting connections | here, `connection` |
//! | who is talking | `sasl`, `cbs` |
//! | which link goes where, and whom it makes connected | `attach`, `presence` |
//! | what comes on a link of a client that may lose the right to it | `deliveries` |
//! | cloud-to-device messages and feedback | `from_service`, `locked` |
//! | telemetry, in and out | `telemetry`, `events`, `management` |
//! | inputs of modules | `inputs` |
//! | twins, as devices see them | `twins`, `twin_links` |
//! | direct methods | `methods`, `method_links` |
//! | what the log says about refusals | `refusal` |

mod attach;
mod cbs;
pub(crate) mod connection;
mod deliveries;
mod events;
mod from_service;
mod inputs;
mod locked;
mod management;
mod method_links;
mod methods;
mod presence;
pub(crate) mod refusal;
mod requests;
mod sasl;
mod telemetry;
mod twin_links;
mod twins;

use core::time::Duration;
use std::sync::Arc;

use amqp1::{error::ErrorCondition, tls::TlsServer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::shared::Shared;

/// What a listener gives to each of its connections.
#[derive(Clone, Debug)]
pub(crate) struct Front {
    pub(crate) shared: Arc<Shared>,
    pub(crate) transport: Transport,
    /// The port that redirects name.
    pub(crate) port: u16,
    /// What this container calls itself.
    pub(crate) container_id: Arc<str>,
    /// How long a client may take until its open is there.
    pub(crate) handshake_timeout: Duration,
}

/// What carries AMQP.
#[derive(Clone, Debug)]
pub(crate) enum Transport {
    /// TCP without TLS.
    Plain,
    /// TLS, which begins with the first octet.
    Tls(TlsServer),
    /// A WebSocket of the HTTPS listener, which has done TLS already.
    WebSocket,
}

impl Transport {
    /// For the log.
    pub(crate) fn description(&self) -> &'static str {
        match self {
            Self::Plain => "AMQP without TLS",
            Self::Tls(_) => "AMQP over TLS",
            Self::WebSocket => "AMQP over WebSocket",
        }
    }
}

/// Serves connections until the emulator stops, then sees them off.
pub(crate) async fn listen(listener: TcpListener, front: Front) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = front.shared.stopping() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    tracing::debug!(%peer, "connection accepted");
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "no TCP_NODELAY");
                    }
                    connections.spawn(connection::serve_tcp(front.clone(), stream, peer));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others may be given back meanwhile.
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// An error of the front's own.
pub(crate) fn refusal_error(condition: ErrorCondition, text: &'static str) -> amqp1::error::AmqpError {
    amqp1::error::AmqpError::new(condition, text)
}
