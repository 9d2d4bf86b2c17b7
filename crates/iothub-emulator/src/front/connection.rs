//! One connection, from its first octet to its end.

use core::time::Duration;
use std::sync::{Arc, OnceLock};

use amqp1::codec::EncodeStyle;
use amqp1::{Acceptor, AmqpError, Error, ErrorCondition, SessionConfig, Symbol, Tolerances};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::sasl::{MECHANISMS, Sasl};
use super::{Front, attach, refusal};
use crate::front::requests::ReplyLinks;
use crate::grants::Grants;
use crate::hub::UnixMillis;
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
    /// Where redirects lead to.
    pub(super) tls: bool,
    pub(super) port: u16,
}

/// Serves a connection until it ends or the emulator stops.
pub(super) async fn serve(front: Front, stream: TcpStream) {
    let shared = front.shared.clone();
    let served = tokio::select! {
        () = shared.stopping() => return,
        opened = open(&front, stream) => opened,
    };
    match served {
        Ok((server, context, expires)) => run(server, context, expires).await,
        Err(error) => tracing::debug!(%error, "connection not opened"),
    }
}

type Opened = (amqp1::ServerConnection, Arc<Context>, Option<UnixMillis>);

async fn open(front: &Front, stream: TcpStream) -> Result<Opened, Error> {
    let grants = Arc::new(Grants::default());
    let expires = Arc::new(OnceLock::new());
    let sasl = Sasl { shared: front.shared.clone(), grants: grants.clone(), expires: expires.clone() };
    let incoming = acceptor(front, sasl).accept(stream).await?;
    let server = incoming.accept().await?;
    let context = Context {
        shared: front.shared.clone(),
        grants,
        replies: ReplyLinks::default(),
        tls: front.tls.is_some(),
        port: front.port,
    };
    Ok((server, Arc::new(context), expires.get().copied()))
}

fn acceptor(front: &Front, sasl: Sasl) -> Acceptor {
    let mut builder = Acceptor::builder()
        .mechanisms(MECHANISMS.map(Symbol::from_static))
        .authenticator(sasl)
        .allow_no_sasl(true)
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
                break Some(refusal(ErrorCondition::CONNECTION_FORCED, "the emulator is stopping"));
            }
            () = &mut expired => {
                break Some(refusal(
                    ErrorCondition::UNAUTHORIZED_ACCESS,
                    "401003 ErrorCode:IotHubUnauthorized; the token of this connection has expired",
                ));
            }
            Some(_) = links.join_next() => {}
            link = server.next_link() => match link {
                None => break None,
                Some(link) if links.len() >= max_links(&context) => {
                    link.reject(refusal(
                        ErrorCondition::RESOURCE_LIMIT_EXCEEDED,
                        "this connection has as many links as it may have",
                    ));
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
