//! A fixed port in front of a server whose port changes, with connections that can be cut.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::{broadcast, watch},
};

/// A port that leads to a server. It is closed when this is dropped.
pub(super) struct Door {
    to: watch::Sender<Option<SocketAddr>>,
    cut: Arc<broadcast::Sender<()>>,
    accepting: tokio::task::JoinHandle<()>,
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
        let cut = Arc::new(broadcast::channel(1).0);
        let cuts = cut.clone();
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((near, _)) = listener.accept().await else { continue };
                let (to, mut cut) = (*target.borrow(), cuts.subscribe());
                tokio::spawn(async move {
                    let Some(to) = to else { return };
                    let passing = async {
                        let (mut near, mut far) = (near, TcpStream::connect(to).await?);
                        near.set_nodelay(true)?;
                        far.set_nodelay(true)?;
                        copy_bidirectional(&mut near, &mut far).await
                    };
                    tokio::select! {
                        // Either end may be gone at any time.
                        _ = passing => {}
                        _ = cut.recv() => {}
                    }
                });
            }
        });
        Self { to, cut, accepting }
    }

    /// Leads new connections to a server.
    pub(super) fn lead_to(&self, server: SocketAddr) {
        self.to.send_replace(Some(server));
    }

    /// Cuts all connections, in both directions at once. Returns the number of connections that there were.
    pub(super) fn cut(&self) -> usize {
        // Without a receiver there is no connection.
        self.cut.send(()).unwrap_or(0)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
