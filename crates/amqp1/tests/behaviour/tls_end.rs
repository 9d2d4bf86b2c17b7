//! How TLS ends, and what that says of the connection in it.
#![cfg(all(feature = "tls", any(feature = "ring", feature = "aws-lc-rs")))]

use crate::support::{self, certificates::Authority, soon};
use amqp1::{
    Acceptor, Client, Connection,
    error::ConnectionError,
    tls::{TlsClient, TlsServer},
};
use std::{io, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

const HEADER: &[u8] = b"AMQP\x00\x01\x00\x00";
const OPEN: &[u8] = b"\x00\x00\x00\x11\x02\x00\x00\x00\x00\x53\x10\xc0\x04\x01\xa1\x01p";
const CLOSE: &[u8] = b"\x00\x00\x00\x0c\x02\x00\x00\x00\x00\x53\x18\x45";

/// One end of TLS that speaks AMQP by hand.
struct Peer<IO> {
    io: IO,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Peer<IO> {
    async fn write(&mut self, octets: &[u8]) {
        self.io.write_all(octets).await.expect("written");
        self.io.flush().await.expect("written");
    }

    /// Reads a header and an open.
    async fn opened(&mut self) {
        let mut header = [0; 8];
        self.io.read_exact(&mut header).await.expect("a header");
        assert_eq!(header, HEADER);
        self.frame(0x10).await;
    }

    /// Reads frames up to one with this performative.
    async fn frame(&mut self, code: u8) {
        loop {
            let size = self.io.read_u32().await.expect("a frame");
            let mut rest = vec![0; size as usize - 4];
            self.io.read_exact(&mut rest).await.expect("a frame");
            if rest.get(6) == Some(&code) {
                return;
            }
        }
    }

    /// Reads to the end. An error unless it was said that this is the end.
    async fn end(&mut self) -> io::Result<usize> {
        self.io.read_to_end(&mut Vec::new()).await
    }
}

/// The client of this crate, opened to a peer that is none of ours.
async fn as_client() -> (Connection, Peer<impl AsyncRead + AsyncWrite + Unpin>) {
    let authority = Authority::new();
    let issued = authority.issue("server.test");
    let chain = CertificateDer::pem_slice_iter(issued.chain.as_bytes()).collect::<Result<_, _>>().expect("a chain");
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("a key");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).expect("a configuration");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let tls = TlsClient::with_ca_pem(authority.pem.as_bytes()).expect("a CA");
    let builder = Client::builder("amqps://server.test").dial("127.0.0.1", port).tls(tls).no_sasl();
    let (connection, peer) = soon(async {
        tokio::join!(builder.connect(), async {
            let (tcp, _) = listener.accept().await.expect("a client");
            let mut peer = Peer { io: TlsAcceptor::from(Arc::new(config)).accept(tcp).await.expect("TLS") };
            peer.opened().await;
            peer.write(&[HEADER, OPEN].concat()).await;
            peer
        })
    })
    .await;
    (connection.expect("open"), peer)
}

/// The acceptor of this crate, likewise.
async fn as_server() -> (Connection, Peer<impl AsyncRead + AsyncWrite + Unpin>) {
    let authority = Authority::new();
    let issued = authority.issue("server.test");
    let tls = TlsServer::from_pem(issued.chain.as_bytes(), issued.key.as_bytes()).expect("a certificate");
    let acceptor = Acceptor::builder().tls(tls).build();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("a CA")).expect("a CA");
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (server, peer) = soon(async {
        tokio::join!(
            async {
                let (tcp, _) = listener.accept().await.expect("a client");
                acceptor.accept(support::checked::Checked::new(tcp)).await?.accept().await
            },
            async {
                let tcp = TcpStream::connect(address).await.expect("the server");
                let name = ServerName::try_from("server.test").expect("a name");
                let io = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("TLS");
                let mut peer = Peer { io };
                peer.write(&[HEADER, OPEN].concat()).await;
                peer.opened().await;
                peer
            }
        )
    })
    .await;
    (server.expect("open").connection().clone(), peer)
}

/// The peer never says that TLS is at its end; ours does, and waits for nothing.
async fn closes(connection: Connection, mut peer: Peer<impl AsyncRead + AsyncWrite + Unpin>) {
    let (closed, ()) = soon(async {
        tokio::join!(connection.close(), async {
            peer.frame(0x18).await;
            peer.write(CLOSE).await;
        })
    })
    .await;
    closed.expect("closed");
    soon(peer.end()).await.expect("TLS has ended as it should");
}

/// The peer closes, ends TLS, and leaves the socket open.
async fn is_closed(connection: Connection, mut peer: Peer<impl AsyncRead + AsyncWrite + Unpin>) {
    peer.write(CLOSE).await;
    peer.io.shutdown().await.expect("said");
    assert!(matches!(soon(connection.closed()).await, ConnectionError::ClosedByPeer(_)));
    soon(async {
        peer.frame(0x18).await;
        peer.end().await.expect("TLS has ended as it should");
    })
    .await;
}

/// The end of TLS is none of AMQP (T-2.4.3-1).
async fn is_lost(connection: Connection, mut peer: Peer<impl AsyncRead + AsyncWrite + Unpin>) {
    peer.io.shutdown().await.expect("said");
    assert!(matches!(soon(connection.closed()).await, ConnectionError::TransportLost));
}

#[tokio::test]
async fn s_5_2_5_who_closes_says_that_tls_is_at_its_end_and_waits_for_nothing() {
    let (connection, peer) = as_client().await;
    closes(connection, peer).await;
    let (connection, peer) = as_server().await;
    closes(connection, peer).await;
}

#[tokio::test]
async fn s_5_2_5_a_close_that_is_followed_by_the_end_of_tls_is_a_close() {
    let (connection, peer) = as_client().await;
    is_closed(connection, peer).await;
    let (connection, peer) = as_server().await;
    is_closed(connection, peer).await;
}

#[tokio::test]
async fn s_5_2_5_the_end_of_tls_alone_is_the_loss_of_the_connection() {
    let (connection, peer) = as_client().await;
    is_lost(connection, peer).await;
    let (connection, peer) = as_server().await;
    is_lost(connection, peer).await;
}
