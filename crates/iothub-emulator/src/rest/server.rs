//! The HTTPS listener: connections, and what bounds them.

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::exchange;
use super::stall::WriteTimeout;
use super::websocket::Upgrade;
use super::{Rest, router};
use crate::front::refusal::refused;

/// Most connections that speak HTTP at a time. Others wait until one of them ends, an idle one after the time-out for
/// headers. WebSockets do not count.
const MAX_CONNECTIONS: usize = 4096;

/// Octets of a request's line and headers together.
const MAX_HEADERS: usize = 64 * 1024;

/// How long a client may leave what is written to it unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// That many refusals of one connection are logged, each with a line.
const MAX_REFUSALS_LOGGED: u32 = 20;

/// What the requests of one connection share.
#[derive(Debug)]
pub(super) struct Connection {
    /// Where the client is.
    pub(super) peer: SocketAddr,
    /// The certificates that the client has shown in TLS.
    pub(super) certificates: Option<Vec<CertificateDer<'static>>>,
    refusals: AtomicU32,
    upgrade: Mutex<Option<Upgrade>>,
}

impl Connection {
    /// Has the connection go on as a WebSocket once its response is written.
    pub(super) fn upgrade(&self, upgrade: Upgrade) {
        *self.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
    }

    /// Logs a refusal; of those of one connection the first ones.
    pub(super) fn refused(&self, who: &str, resource: &str, why: &str) {
        let logged = self.refusals.fetch_add(1, Ordering::Relaxed);
        match logged {
            ..MAX_REFUSALS_LOGGED => refused("request", who, self.peer, resource, why),
            MAX_REFUSALS_LOGGED => {
                tracing::warn!(from = %self.peer, "further refusals of this connection are not shown");
            }
            _ => {}
        }
    }
}

/// Serves connections until the emulator stops, then sees them off.
pub(crate) async fn listen(listener: TcpListener, rest: Rest) {
    let router = router(rest.clone());
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = rest.shared.stopping() => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener, &permits) => match accepted {
                Ok((stream, peer, permit)) => {
                    tracing::debug!(%peer, "HTTPS connection accepted");
                    connections.spawn(serve(rest.clone(), router.clone(), stream, peer, permit));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others may be given back meanwhile.
                    tracing::warn!(%error, "accepting an HTTPS connection failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    Ok((stream, peer, permit))
}

async fn serve(rest: Rest, router: Router, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
    let handshake = TlsAcceptor::from(rest.tls.clone()).accept(stream);
    let stream = tokio::select! {
        () = rest.shared.stopping() => return,
        stream = tokio::time::timeout(rest.handshake_timeout, handshake) => match stream {
            Ok(Ok(stream)) => stream,
            // Those that only look whether a port is open end here too.
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return tracing::debug!(%peer, "a client left before TLS");
            }
            Ok(Err(error)) => return refused("connection", "unknown", peer, "HTTPS", format!("TLS failed: {error}")),
            Err(_) => return refused("connection", "unknown", peer, "HTTPS", "TLS took too long"),
        },
    };
    let connection = Arc::new(Connection {
        peer,
        certificates: stream.get_ref().1.peer_certificates().map(<[_]>::to_vec),
        refusals: AtomicU32::new(0),
        upgrade: Mutex::new(None),
    });
    http(&rest, router, TokioIo::new(WriteTimeout::new(stream, WRITE_TIMEOUT)), &connection).await;
    drop(permit);
    let upgrade = connection.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(upgrade) = upgrade {
        upgrade.serve(rest.front, &connection).await;
    }
}

/// Serves requests until the connection ends or is upgraded.
async fn http<IO>(rest: &Rest, router: Router, io: IO, connection: &Arc<Connection>)
where
    IO: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let (rest, router, connection) = (rest.clone(), router.clone(), connection.clone());
        async move { Ok::<_, core::convert::Infallible>(exchange::answer(rest, router, connection, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        // Begins when a response is written, so it bounds idle connections as well.
        .header_read_timeout(rest.handshake_timeout)
        .max_header_size(MAX_HEADERS)
        .max_buf_size(2 * MAX_HEADERS)
        .serve_connection(io, service)
        .with_upgrades();
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = rest.shared.stopping() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %connection.peer, %error, "an HTTPS connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_too_many_waits_until_another_one_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let permits = Arc::new(Semaphore::new(1));
        let _clients = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        let (_, _, permit) = accept(&listener, &permits).await.unwrap();
        let second = accept(&listener, &permits);
        tokio::pin!(second);
        assert!(core::future::poll_fn(|cx| core::task::Poll::Ready(second.as_mut().poll(cx).is_pending())).await);
        drop(permit);
        assert!(second.await.is_ok());
    }
}
