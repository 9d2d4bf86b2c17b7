//! WebSockets, on the same paths and with the same sub-protocols as on the real service. They carry AMQP.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use tokio_websockets::{Config, Limits, ServerBuilder};

use super::Rest;
use super::byte_stream::ByteStream;
use super::errors::Failure;
use super::server::Connection;
use crate::front::connection;
use crate::front::{Front, Transport};
use crate::hub::ErrorCode;

/// RFC 6455 §1.3.
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The sub-protocols that stand for AMQP, the service's own first.
const PROTOCOLS: [&str; 2] = ["AMQPWSB10", "amqp"];

/// The largest message of a client, in octets. Clients send a frame of AMQP in each, of 64 KiB at most.
const MAX_MESSAGE: usize = 1024 * 1024;

/// Whether WebSockets are served at this path, as [`Segments`](super::path::Segments) has it.
pub(super) fn is_path(segments: &[&str]) -> bool {
    match segments {
        [root, name] => {
            ["$iothub", "$servicebus"].iter().any(|known| root.eq_ignore_ascii_case(known))
                && name.eq_ignore_ascii_case("websocket")
        }
        _ => false,
    }
}

/// A connection that goes on as a WebSocket.
#[derive(Debug)]
pub(super) struct Upgrade(OnUpgrade);

impl Upgrade {
    /// Serves AMQP until it ends.
    pub(super) async fn serve(self, front: Front, connection: &Connection) {
        let upgraded = match self.0.await {
            Ok(upgraded) => upgraded,
            Err(error) => return tracing::debug!(peer = %connection.peer, %error, "a WebSocket did not begin"),
        };
        let stream = ServerBuilder::new()
            .config(Config::default().frame_size(MAX_MESSAGE))
            .limits(Limits::default().max_payload_len(Some(MAX_MESSAGE)))
            .serve(TokioIo::new(upgraded));
        let front = Front { transport: Transport::WebSocket, ..front };
        // On the heap: what it takes before is not kept in the connection's task.
        let mut certificate = front.shared.client_certificate(connection.certificates.as_deref());
        let refuses_ca = front.shared.hub(|hub, _| hub.settings().https.websocket_refuses_ca);
        if let Some(certificate) = certificate.as_mut().map(Arc::make_mut).filter(|_| refuses_ca) {
            certificate.issued = Err("certificates of an authority are not taken over WebSockets".into());
        }
        Box::pin(connection::serve(front, ByteStream::new(stream), connection.peer, certificate)).await;
    }
}

/// Answers the handshake (RFC 6455 §4.2). The connection goes on as a WebSocket when the response is written.
pub(super) fn upgrade<B>(
    _: &Rest,
    connection: &Arc<Connection>,
    request: &mut Request<B>,
) -> Result<Response<Body>, Failure> {
    let headers = request.headers();
    let refuse = |text: &str| Failure::new(ErrorCode::InvalidOperation, text);
    if request.method() != Method::GET || !has_token(headers, header::UPGRADE, "websocket") {
        return Err(refuse("this path serves WebSockets only"));
    }
    if !has_token(headers, header::CONNECTION, "upgrade") {
        return Err(refuse("the header Connection must be Upgrade for a WebSocket"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(refuse("the WebSocket must have version 13"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if STANDARD.decode(key).map_or(0, |key| key.len()) != 16 {
        return Err(refuse("Sec-WebSocket-Key must be 16 octets in base64"));
    }
    let accept = STANDARD.encode(Sha1::new().chain_update(key).chain_update(KEY_SUFFIX).finalize());
    let protocol = protocol(headers)
        .map_err(|()| refuse("the WebSocket has no sub-protocol that is served here: use AMQPWSB10 or amqp"))?;

    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::try_from(accept) {
        answer.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(protocol) = protocol {
        answer.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    connection.upgrade(Upgrade(hyper::upgrade::on(request)));
    Ok(response)
}

/// Whether a header is a list that has this token.
fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    list(headers, name).any(|entry| entry.eq_ignore_ascii_case(token))
}

fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|entry| !entry.is_empty())
}

/// The first of the client's sub-protocols that stands for AMQP, as the client writes it. `None` if it names none: nothing
/// else is served here.
fn protocol(headers: &HeaderMap) -> Result<Option<HeaderValue>, ()> {
    let mut offered = list(headers, header::SEC_WEBSOCKET_PROTOCOL).peekable();
    if offered.peek().is_none() {
        return Ok(None);
    }
    let known = offered.find(|entry| PROTOCOLS.iter().any(|known| entry.eq_ignore_ascii_case(known))).ok_or(())?;
    HeaderValue::try_from(known).map(Some).map_err(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sub_protocol_is_the_first_known_one_as_the_client_writes_it() {
        let offered = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(text));
            protocol(&headers)
        };
        assert_eq!(offered("mqtt, AMQPWSB10, amqp"), Ok(Some(HeaderValue::from_static("AMQPWSB10"))));
        assert_eq!(offered("Amqp"), Ok(Some(HeaderValue::from_static("Amqp"))));
        assert_eq!(offered("mqtt"), Err(()));
        assert_eq!(protocol(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn the_paths_are_compared_without_case() {
        assert!(is_path(&["$IotHub", "WebSocket"]) && is_path(&["$servicebus", "websocket"]));
        assert!(
            !is_path(&["$iothub"]) && !is_path(&["$iothub", "websocket", "x"]) && !is_path(&["iothub", "websocket"])
        );
    }
}
