//! One connection, from its first octet to its end.

use core::fmt;
use core::time::Duration;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use amqp1::codec::EncodeStyle;
use amqp1::{Acceptor, AmqpError, Error, ErrorCondition, SessionConfig, Symbol, Tolerances};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::refusal::refused;
use super::sasl::{MECHANISMS, Sasl, SaslRefusal};
use super::{Front, attach, refusal_error};
use crate::front::requests::ReplyLinks;
use crate::grants::Grants;
use crate::hub::{Address, UnixMillis};
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
/// Most links of one that has shown no token yet: `$cbs` takes two.
const MAX_LINKS_BEFORE_TOKEN: usize = 32;

/// What the links of one connection share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
    pub(super) grants: Arc<Grants>,
    pub(super) replies: ReplyLinks,
    connection: amqp1::Connection,
    /// Where redirects lead to.
    pub(super) tls: bool,
    pub(super) port: u16,
    /// For the log: where the client is, and what it calls itself.
    peer: SocketAddr,
    container_id: String,
}

impl Context {
    /// A client with a token is known, and may have more than one without.
    pub(super) fn count_tokens(&self) {
        if !self.grants.is_empty() {
            self.connection.set_authenticated();
        }
    }

    /// Logs a refusal.
    pub(super) fn refused(&self, what: &'static str, resource: impl fmt::Display, why: impl fmt::Display) {
        let who = match self.grants.signers() {
            Some(signers) => signers,
            None => format!("no token, container {}", self.container_id),
        };
        refused(what, who, self.peer, resource, why);
    }

    /// Resolves with the reason when a link to `address` is no longer allowed; see [`Grants::revoked`].
    pub(super) async fn revoked(&self, address: &Address) -> AmqpError {
        let error = self.grants.revoked(&self.shared, address).await;
        self.refused("link", address, &error);
        error_of(error.condition(), &error)
    }
}

/// Serves a connection until it ends or the emulator stops.
pub(super) async fn serve(front: Front, stream: TcpStream, peer: SocketAddr) {
    let shared = front.shared.clone();
    let sasl_refusal = Arc::new(OnceLock::new());
    let served = tokio::select! {
        () = shared.stopping() => return,
        opened = open(&front, stream, peer, &sasl_refusal) => opened,
    };
    match served {
        Ok(Some((server, context, expires))) => run(server, context, expires).await,
        Ok(None) => tracing::debug!(%peer, "a client came and left without a word"),
        Err(error) => {
            let port = if front.tls.is_some() { "AMQP over TLS" } else { "AMQP without TLS" };
            match sasl_refusal.get() {
                Some(refusal) => refused("connection", &refusal.user, peer, port, &refusal.why),
                None => refused("connection", "unknown", peer, port, &error),
            }
        }
    }
}

type Opened = (amqp1::ServerConnection, Arc<Context>, Option<UnixMillis>);

/// `None` if the client closes before it has written an octet, as those do that only look whether a port is open.
async fn open(
    front: &Front,
    stream: TcpStream,
    peer: SocketAddr,
    refusal: &Arc<OnceLock<SaslRefusal>>,
) -> Result<Option<Opened>, Error> {
    let first = tokio::time::timeout(front.handshake_timeout, stream.peek(&mut [0])).await;
    if matches!(first, Ok(Ok(0) | Err(_))) {
        return Ok(None);
    }
    let grants = Arc::new(Grants::default());
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
    let context = Context {
        shared: front.shared.clone(),
        grants,
        replies: ReplyLinks::default(),
        connection: server.connection().clone(),
        tls: front.tls.is_some(),
        port: front.port,
        peer,
        container_id,
    };
    context.count_tokens();
    Ok(Some((server, Arc::new(context), expires.get().copied())))
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
            // Half of our own threshold is announced.
            config.idle_timeout = Some(IDLE_TIMEOUT * 2);
            config.style = EncodeStyle::Full;
            config.tolerances = Tolerances::ALL;
        });
    if let Some(tls) = &front.tls {
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
            Some(_) = links.join_next() => {}
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
    if let Some(reason) = reason
        && let Err(error) = server.connection().close_with(Some(reason)).await
    {
        tracing::debug!(%error, "connection not closed in peace");
    }
    // What was settled before the end still counts.
    while links.join_next().await.is_some() {}
}

fn max_links(context: &Context) -> usize {
    if context.grants.is_empty() { MAX_LINKS_BEFORE_TOKEN } else { MAX_LINKS }
}
