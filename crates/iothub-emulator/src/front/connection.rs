//! One connection, from its first octet to its end.

use core::fmt;
use core::pin::Pin;
use core::time::Duration;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use amqp1::codec::EncodeStyle;
use amqp1::{
    Acceptor, Error, Symbol,
    connection::{SessionConfig, Tolerances},
    error::{AmqpError, ErrorCondition},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::presence::ServedLinks;
use super::refusal::refused;
use super::sasl::{MECHANISMS, Sasl, SaslRefusal};
use super::{Front, Transport, attach, refusal_error};
use crate::clock::BoxFuture;
use crate::front::method_links::MethodLinks;
use crate::front::requests::ReplyLinks;
use crate::front::twin_links::TwinLinks;
use crate::grants::Grants;
use crate::hub::{Address, AttachError, ClientCertificate, ConnectionId, Operation, UnixMillis};
use crate::messages::error_of;
use crate::shared::Shared;

/// The hub announces this, whatever the client says.
const IDLE_TIMEOUT: Duration = Duration::from_secs(240);
const MAX_FRAME_SIZE: u32 = 65_536;
const CHANNEL_MAX: u16 = 8191;
const INCOMING_WINDOW: u32 = 5000;
const HANDLE_MAX: u32 = 262_143;

/// Most links that one connection may have. A client that carries 995 devices needs some ten a device.
const MAX_LINKS: usize = 20_000;
/// Those that are refused count until the client has detached them: they are to hear why, and end nothing.
const MAX_LINKS_COUNTED: usize = MAX_LINKS + 4096;
/// Octets of metadata of one connection with a token: once a link is accepted little but its name is kept, which holds the
/// device's id, up to 128 octets, and more.
const MAX_METADATA: usize = 8 * 1024 * 1024;
/// The same of one that has shown none yet. A client on Java's SDK begins a session for each of up to a thousand devices before
/// its first token is answered, and each session counts 256 octets.
const MAX_METADATA_BEFORE_TOKEN: usize = 320 * 1024;
/// Most links of one that has shown no token yet: `$cbs` takes two.
const MAX_LINKS_BEFORE_TOKEN: usize = 32;

/// How long clients get to answer the detaches and ends of a hub that stops, before the connection is closed.
const END_ALL: Duration = Duration::from_secs(2);

/// Most refusals of one connection that are logged, each with a line.
const MAX_REFUSALS_LOGGED: u32 = 20;

/// What the links of one connection share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
    pub(super) grants: Arc<Grants>,
    pub(super) replies: ReplyLinks,
    pub(super) twins: TwinLinks,
    pub(super) methods: MethodLinks,
    pub(super) id: ConnectionId,
    pub(super) served: ServedLinks,
    /// Whether a link was detached because its identity has connected again.
    displaced: AtomicBool,
    connection: amqp1::Connection,
    /// Where redirects lead to.
    pub(super) tls: bool,
    pub(super) port: u16,
    /// For the log: where the client is, and what it calls itself.
    peer: SocketAddr,
    container_id: String,
    /// How many refusals were logged, and that no more are.
    refusals: AtomicU32,
}

impl Context {
    /// A client with a token is known, and may have more than one without.
    pub(super) fn count_tokens(&self) {
        if !self.grants.is_empty() {
            self.connection.set_authenticated();
        }
    }

    /// Logs a refusal; of those of one connection the first ones, since a client may be refused as often as it likes.
    pub(super) fn refused(&self, what: &'static str, resource: impl fmt::Display, why: impl fmt::Display) {
        self.refused_claim(what, None, resource, why);
    }

    /// As [`refused`](Self::refused), with what a refused token claims in place of what is proven.
    pub(super) fn refused_claim(
        &self,
        what: &'static str,
        claim: Option<String>,
        resource: impl fmt::Display,
        why: impl fmt::Display,
    ) {
        let count = |logged: u32| (logged <= MAX_REFUSALS_LOGGED).then_some(logged.saturating_add(1));
        match self.refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count) {
            Ok(logged) if logged < MAX_REFUSALS_LOGGED => {}
            Ok(_) => {
                let from = self.peer;
                return tracing::warn!(%from, "further refusals of this connection are not shown");
            }
            Err(_) => return,
        }
        let who = match (claim, self.grants.signers()) {
            (Some(claim), _) => claim,
            (None, Some(signers)) => signers,
            (None, None) => format!("no token, container {}", self.container_id),
        };
        refused(what, who, self.peer, resource, why);
    }

    /// Resolves with the reason when a link to `address` is no longer allowed; see [`Grants::revoked`]. On the heap: a
    /// future that is moved takes its space twice in the one that waits for it.
    pub(super) fn revoked<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, AmqpError> {
        Box::pin(async move {
            let error = self.grants.revoked(&self.shared, address, Some(self.id)).await;
            if error == AttachError::Displaced {
                self.displaced.store(true, Ordering::Relaxed);
            }
            self.refused("link", address, &error);
            error_of(error.condition(), &error)
        })
    }
}

/// Serves a TCP connection until it ends or the emulator stops.
pub(super) fn serve_tcp(
    front: Front,
    stream: TcpStream,
    peer: SocketAddr,
) -> impl Future<Output = ()> + Send + 'static {
    serve_opened(Box::pin(open_tcp(front, stream, peer)))
}

/// Serves a connection that is being opened. On the heap one after the other: a connection is to be small, and opening it
/// takes more than the rest.
async fn serve_opened(opening: Pin<Box<impl Future<Output = Option<Opened>>>>) {
    if let Some((server, context, expires)) = opening.await {
        Box::pin(run(server, context, expires)).await;
    }
}

/// Opens a TCP connection, unless it is refused or the emulator stops.
async fn open_tcp(front: Front, stream: TcpStream, peer: SocketAddr) -> Option<Opened> {
    let start = tokio::time::Instant::now();
    // Those that only look whether a port is open close before they have written an octet.
    let mut octet = [0];
    let first = tokio::select! {
        () = front.shared.stopping() => return None,
        first = tokio::time::timeout(front.handshake_timeout, stream.peek(&mut octet)) => first,
    };
    if matches!(first, Ok(Ok(0) | Err(_))) {
        tracing::debug!(%peer, "a client came and left without a word");
        return None;
    }
    // The wait for the first octet counts.
    let handshake_timeout = front.handshake_timeout.saturating_sub(start.elapsed());
    handshake(Front { handshake_timeout, ..front }, stream, peer, None).await
}

/// Serves a connection over any byte stream until it ends or the emulator stops. `certificate` is what the client has
/// shown where the handshake of TLS was made already.
pub(crate) async fn serve<IO>(front: Front, stream: IO, peer: SocketAddr, certificate: Option<Arc<ClientCertificate>>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    serve_opened(Box::pin(handshake(front, stream, peer, certificate))).await;
}

/// Opens a connection, unless it is refused or the emulator stops.
async fn handshake<IO>(
    front: Front,
    stream: IO,
    peer: SocketAddr,
    certificate: Option<Arc<ClientCertificate>>,
) -> Option<Opened>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if let Err(error) = front.shared.throttle(Operation::Connection, 0).await {
        refused("connection", "unknown", peer, front.transport.description(), &error);
        return None;
    }
    let sasl_refusal = Arc::new(OnceLock::new());
    let opened = tokio::select! {
        () = front.shared.stopping() => return None,
        opened = open(&front, stream, peer, certificate, &sasl_refusal) => opened,
    };
    if let Err(error) = &opened {
        let port = front.transport.description();
        match sasl_refusal.get() {
            Some(refusal) => refused("connection", &refusal.user, peer, port, &refusal.why),
            None => refused("connection", "unknown", peer, port, error),
        }
    }
    opened.ok()
}

type Opened = (amqp1::ServerConnection, Arc<Context>, Option<UnixMillis>);

async fn open<IO>(
    front: &Front,
    stream: IO,
    peer: SocketAddr,
    certificate: Option<Arc<ClientCertificate>>,
    refusal: &Arc<OnceLock<SaslRefusal>>,
) -> Result<Opened, Error>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let grants = Arc::new(Grants::default());
    if let Some(certificate) = certificate {
        grants.set_certificate(certificate);
    }
    let expires = Arc::new(OnceLock::new());
    let sasl = Sasl {
        shared: front.shared.clone(),
        grants: grants.clone(),
        expires: expires.clone(),
        refusal: refusal.clone(),
    };
    let incoming = acceptor(front, sasl).accept(stream).await?;
    let container_id = incoming.open().container_id.to_string();
    let server = incoming.accept().await?;
    let shown = server.connection().peer_certificates();
    if let Some(certificate) = front.shared.client_certificate(shown.as_deref()) {
        grants.set_certificate(certificate);
    }
    let context = Context {
        shared: front.shared.clone(),
        grants,
        replies: ReplyLinks::default(),
        twins: TwinLinks::default(),
        methods: MethodLinks::default(),
        id: front.shared.hub(|hub, _| hub.add_connection()),
        served: ServedLinks::default(),
        displaced: AtomicBool::new(false),
        connection: server.connection().clone(),
        tls: !matches!(front.transport, Transport::Plain),
        port: front.port,
        peer,
        container_id,
        refusals: AtomicU32::new(0),
    };
    context.count_tokens();
    Ok((server, Arc::new(context), expires.get().copied()))
}

fn acceptor(front: &Front, sasl: Sasl) -> Acceptor {
    let mut builder = Acceptor::builder()
        .mechanisms(MECHANISMS.map(Symbol::from_static))
        .authenticator(sasl)
        .allow_no_sasl(true)
        // Whatever SASL said, a client is not known before a token covers something.
        .hold_authentication(true)
        .handshake_timeout(front.handshake_timeout)
        .session_config(SessionConfig {
            incoming_window: INCOMING_WINDOW,
            handle_max: HANDLE_MAX,
            ..SessionConfig::default()
        })
        .config(|config| {
            config.container_id = (&*front.container_id).into();
            config.hostname = Some("localhost".into());
            config.max_frame_size = MAX_FRAME_SIZE;
            config.channel_max = CHANNEL_MAX;
            config.max_links = MAX_LINKS_COUNTED;
            config.max_metadata = MAX_METADATA;
            config.max_metadata_unauthenticated = MAX_METADATA_BEFORE_TOKEN;
            // Half of our own threshold is announced.
            config.idle_timeout = Some(IDLE_TIMEOUT * 2);
            config.style = EncodeStyle::Full;
            config.tolerances = Tolerances::ALL;
        });
    if let Transport::Tls(tls) = &front.transport {
        builder = builder.tls(tls.clone());
    }
    builder.build()
}

async fn run(mut server: amqp1::ServerConnection, context: Arc<Context>, expires: Option<UnixMillis>) {
    let shared = context.shared.clone();
    let mut links = JoinSet::new();
    let expired = async {
        match expires {
            Some(at) => shared.clock().sleep_until(at).await,
            None => core::future::pending().await,
        }
    };
    tokio::pin!(expired);
    let reason: Option<AmqpError> = loop {
        tokio::select! {
            () = shared.stopping() => {
                break Some(refusal_error(ErrorCondition::CONNECTION_FORCED, "the emulator is stopping"));
            }
            () = &mut expired => {
                let reason = refusal_error(
                    ErrorCondition::UNAUTHORIZED_ACCESS,
                    "401003 ErrorCode:IotHubUnauthorized; the token of this connection has expired",
                );
                context.refused("connection", "", &reason);
                break Some(reason);
            }
            Some(_) = links.join_next() => {
                // One that serves others as well goes on.
                if context.displaced.load(Ordering::Relaxed) && context.served.is_empty() {
                    let error = AttachError::Displaced;
                    break Some(error_of(error.condition(), &error));
                }
            }
            link = server.next_link() => match link {
                None => break None,
                Some(link) if links.len() >= max_links(&context) => {
                    let error = refusal_error(
                        ErrorCondition::RESOURCE_LIMIT_EXCEEDED,
                        "this connection has as many links as it may have",
                    );
                    attach::reject(&context, link, error);
                }
                Some(link) => attach::offered(&context, link, &mut links),
            },
        }
    };
    if shared.is_stopping() {
        // Before the close: some clients wait long for links that end without a detach.
        let error = refusal_error(ErrorCondition::DETACH_FORCED, "the emulator is stopping");
        if let Err(error) = Box::pin(server.connection().end_all(error, END_ALL)).await {
            tracing::debug!(%error, "the connection ended before its links were detached");
        }
    }
    if let Some(reason) = reason
        && let Err(error) = Box::pin(server.connection().close_with(Some(reason))).await
    {
        tracing::debug!(%error, "connection not closed cleanly");
    }
    // What was settled before the end still counts.
    while links.join_next().await.is_some() {}
}

fn max_links(context: &Context) -> usize {
    if context.grants.is_empty() { MAX_LINKS_BEFORE_TOKEN } else { MAX_LINKS }
}
