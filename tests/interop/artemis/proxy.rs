//! A connection that can be cut.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::oneshot,
};

/// A connection through which octets pass until it is cut.
pub(super) struct Proxy {
    pub(super) port: u16,
    cut: oneshot::Sender<()>,
}

impl Proxy {
    /// In front of this port, for one connection.
    pub(super) async fn start(to: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (cut, until) = oneshot::channel();
        tokio::spawn(async move {
            let (near, _) = listener.accept().await.expect("a client");
            let far = TcpStream::connect(format!("127.0.0.1:{to}")).await.expect("a broker");
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::select! {
                () = pass(near_in, far_out) => {}
                () = pass(far_in, near_out) => {}
                _ = until => {}
            }
        });
        Self { port, cut }
    }

    /// Cuts it, in both directions at once.
    pub(super) fn cut(self) {
        self.cut.send(()).expect("a proxy");
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut octets = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut octets).await {
        if to.write_all(&octets[..length]).await.is_err() {
            break;
        }
    }
}
