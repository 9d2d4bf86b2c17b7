//! A fixed port in front of a server whose port changes, with connections that can be cut.

use std::{
    io,
    mem::take,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// A port that leads to a server. It is closed when this is dropped.
pub(super) struct Door {
    to: watch::Sender<Option<SocketAddr>>,
    passing: Arc<Mutex<JoinSet<()>>>,
    accepting: JoinHandle<()>,
}

impl Door {
    /// Opens a port, which leads nowhere yet.
    ///
    /// # Panics
    ///
    /// If the port is taken, or is one that the user may not listen on.
    pub(super) async fn open(ip: Ipv4Addr, port: u16) -> Self {
        let listener = TcpListener::bind((ip, port)).await.unwrap_or_else(|error| {
            panic!(
                "{ip}:{port} cannot be listened on: {error}. Azure's SDKs have fixed ports. As root, or after \
                 `sysctl net.ipv4.ip_unprivileged_port_start=443`, it can."
            )
        });
        let (to, target) = watch::channel(None);
        let passing = Arc::new(Mutex::new(JoinSet::new()));
        let connections = passing.clone();
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((near, _)) = listener.accept().await else { continue };
                let Some(to) = *target.borrow() else { continue };
                let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
                while connections.try_join_next().is_some() {}
                connections.spawn(async move {
                    // Either end may be gone at any time.
                    drop(pass(near, to).await);
                });
            }
        });
        Self { to, passing, accepting }
    }

    /// Leads new connections to a server.
    pub(super) fn lead_to(&self, server: SocketAddr) {
        self.to.send_replace(Some(server));
    }

    /// Cuts all connections, in both directions at once. Returns the number of connections that there were, when all of
    /// them are closed: what is sent on one of them afterwards arrives nowhere.
    pub(super) async fn cut(&self) -> usize {
        let mut connections = take(&mut *self.passing.lock().unwrap_or_else(PoisonError::into_inner));
        while connections.try_join_next().is_some() {}
        let open = connections.len();
        connections.shutdown().await;
        open
    }
}

/// Passes on what either end sends, until both have ended or one is gone.
async fn pass(mut near: TcpStream, to: SocketAddr) -> io::Result<()> {
    let mut far = TcpStream::connect(to).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}

impl Drop for Door {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
