//! A relay between a client and a broker or hub: it counts the transfers it passes on, both ways, and can cut connections.

use bytes::{Buf, BytesMut};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// What a relay does with the connections it has.
#[derive(Clone, Copy, Debug, Default)]
struct Orders {
    /// How often all of them were cut.
    cuts: u64,
    /// On the connections from before this many cuts, what the server says stays here.
    muted: u64,
}

#[derive(Debug, Default)]
struct Counters {
    transfers: AtomicU64,
    /// From the server.
    octets: AtomicU64,
    connections: AtomicUsize,
}

/// Listens on loopback until it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    counters: Arc<Counters>,
    orders: watch::Sender<Orders>,
    listening: JoinHandle<()>,
}

impl Relay {
    /// Listens on a free port.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let counters = Arc::new(Counters::default());
        let counted = counters.clone();
        let (orders, obeyed) = watch::channel(Orders::default());
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, to, counted.clone(), obeyed.clone()));
            }
        });
        Self { address, counters, orders, listening }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Keeps back what the server says on the connections that there are.
    pub fn mute(&self) {
        self.orders.send_modify(|orders| orders.muted = orders.cuts + 1);
    }

    /// Ends all connections at once, both ways, without a word of AMQP or TLS. Later ones are passed on.
    /// Returns the number of connections that there were.
    pub fn cut(&self) -> usize {
        let connections = self.connections();
        self.orders.send_modify(|orders| orders.cuts += 1);
        connections
    }

    /// The number of connections to the server.
    pub fn connections(&self) -> usize {
        self.counters.connections.load(Ordering::Relaxed)
    }

    /// The number of octets that the server has sent.
    pub fn octets(&self) -> u64 {
        self.counters.octets.load(Ordering::Relaxed)
    }

    /// How many transfers have passed.
    pub fn transfers(&self) -> u64 {
        self.counters.transfers.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Counts a connection until it is dropped.
struct Counted(Arc<Counters>);

impl Counted {
    fn new(counters: Arc<Counters>) -> Self {
        counters.connections.fetch_add(1, Ordering::Relaxed);
        Self(counters)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn pass(client: TcpStream, to: SocketAddr, counters: Arc<Counters>, mut orders: watch::Receiver<Orders>) {
    let cuts = orders.borrow().cuts;
    let Ok(server) = TcpStream::connect(to).await else { return };
    let counted = Counted::new(counters);
    let (counters, none) = (&*counted.0, AtomicU64::new(0));
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (never_muted, heard) = ((orders.clone(), u64::MAX), (orders.clone(), cuts));
    let both = async {
        tokio::join!(
            one_way(from_client, to_server, (&counters.transfers, &none), never_muted),
            one_way(from_server, to_client, (&counters.transfers, &counters.octets), heard)
        )
    };
    tokio::select! {
        _ = both => {}
        // Both sockets are dropped. A relay that is gone leaves its connections to their ends.
        Ok(_) = orders.wait_for(|orders| orders.cuts != cuts) => {}
    }
}

async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    (transfers, octets): (&AtomicU64, &AtomicU64),
    (mut orders, of_connection): (watch::Receiver<Orders>, u64),
) {
    let mut frames = BytesMut::new();
    let mut chunk = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        frames.extend_from_slice(&chunk[..length]);
        octets.fetch_add(length as u64, Ordering::Relaxed);
        transfers.fetch_add(count(&mut frames), Ordering::Relaxed);
        // One that is kept back waits for the end of the connection.
        let may_pass = orders.wait_for(|orders| orders.muted <= of_connection).await.is_ok();
        if !may_pass || to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
    to.shutdown().await.ok();
}

/// Takes whole frames and protocol headers off the front, and counts the transfers among them (§2.3, §2.7.5).
fn count(octets: &mut BytesMut) -> u64 {
    let mut transfers = 0;
    while octets.len() >= 8 {
        if octets.starts_with(b"AMQP") {
            octets.advance(8);
            continue;
        }
        let size = u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]]) as usize;
        if octets.len() < size.max(8) {
            break;
        }
        let frame = octets.split_to(size.max(8));
        let body = frame.get(usize::from(frame[4]) * 4..).unwrap_or_default();
        transfers += u64::from(frame[5] == 0 && body.starts_with(&[0x00, 0x53, 0x14]));
    }
    transfers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_are_counted_however_they_are_cut() {
        let mut all = b"AMQP\x00\x01\x00\x00".to_vec();
        for code in [0x10, 0x14, 0x15, 0x14] {
            all.extend([0, 0, 0, 12, 2, 0, 0, 0, 0x00, 0x53, code, 0x45]);
        }
        all.extend([0, 0, 0, 8, 2, 0, 0, 0]);
        for size in 1..all.len() {
            let mut octets = BytesMut::new();
            let found: u64 = all
                .chunks(size)
                .map(|chunk| {
                    octets.extend_from_slice(chunk);
                    count(&mut octets)
                })
                .sum();
            assert_eq!((found, octets.len()), (2, 0), "in pieces of {size}");
        }
    }
}
