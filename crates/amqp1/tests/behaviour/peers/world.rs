//! Two ends of a link over transports that are cut.
#![allow(dead_code, reason = "each test uses a part")]

use crate::support::{accept, body, client, receiver_request, sender_request};
use amqp1::{
    Acceptor, Client, Connection, Credit, Delivery, IncomingLink, Receiver, Sender, ServerConnection, Session,
    link::ReceiverSettleMode,
    resume::{SuspendedReceiver, SuspendedSender},
};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// A transport on which so many octets are written, and none after them.
pub(crate) struct Cut {
    io: DuplexStream,
    left: usize,
}

impl AsyncRead for Cut {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Cut {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let count = octets.len().min(self.left);
        if count == 0 {
            // The other end sees the octets that got through, and the end.
            let _ = Pin::new(&mut self.io).poll_shutdown(cx);
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let written = Pin::new(&mut self.io).poll_write(cx, &octets[..count]);
        if let Poll::Ready(Ok(count)) = written {
            self.left -= count;
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A connection with small frames.
pub(crate) struct World {
    pub(crate) client: Connection,
    pub(crate) session: Session,
    pub(crate) server: ServerConnection,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::cut_after(usize::MAX, usize::MAX).await.expect("a connection")
    }

    /// One whose ends can write so many octets; `None` if that is not enough to get it open.
    pub(crate) async fn cut_after(up: usize, down: usize) -> Option<Self> {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let connecting = Client::builder("amqp://server.test")
            .config(|config| config.max_frame_size = 512)
            .connect_with(crate::support::checked::Checked::new(Cut { io: near, left: up }));
        let acceptor = Acceptor::builder().config(|config| config.max_frame_size = 512).build();
        let accepting = async {
            acceptor
                .accept(crate::support::checked::Checked::new(Cut { io: far, left: down }))
                .await
                .ok()?
                .accept()
                .await
                .ok()
        };
        let (client, server) = tokio::join!(connecting, accepting);
        let (client, server) = (client.ok()?, server?);
        let session = client.begin().await.ok()?;
        Some(Self { client, session, server })
    }

    /// One over a transport that stays whole.
    pub(crate) async fn plain() -> Self {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let acceptor = Acceptor::builder().build();
        let (client, server) = tokio::join!(client(near, |builder| builder), accept(&acceptor, far));
        let session = client.begin().await.expect("a session");
        Self { client, session, server }
    }

    /// The link on which the client sends, new or gone on with.
    pub(crate) async fn client_sends(
        &mut self,
        left: Option<&SuspendedSender>,
        kept: Option<&SuspendedReceiver>,
    ) -> (Sender, Receiver) {
        let builder = self.session.sender("q").receiver_settle_mode(ReceiverSettleMode::Second).resumable(true);
        let builder = match left {
            Some(left) => builder.resume(left),
            None => builder,
        };
        let (sender, link) =
            tokio::join!(builder.attach(), async { receives(self.server.next_link().await.expect("a link"), kept) });
        (sender.expect("a sender"), link)
    }

    /// The link on which the client receives, new or gone on with.
    pub(crate) async fn client_receives(
        &mut self,
        left: Option<&SuspendedReceiver>,
        kept: Option<&SuspendedSender>,
    ) -> (Sender, Receiver) {
        let builder = self.session.receiver("q").receiver_settle_mode(ReceiverSettleMode::Second).resumable(true);
        let builder = match left {
            Some(left) => builder.resume(left),
            None => builder,
        };
        let (receiver, sender) = tokio::join!(builder.attach(), async {
            let link = self.server.next_link().await.expect("a link");
            let request = sender_request(link).resumable(true);
            let request = match kept {
                Some(kept) => request.resume(kept),
                None => request,
            };
            request.accept().expect("accepted")
        });
        (sender, receiver.expect("a receiver"))
    }

    /// Ends both ends of the transport.
    pub(crate) async fn lose(self) {
        let _ = self
            .client
            .close_with(Some(amqp1::error::AmqpError::from(amqp1::error::ErrorCondition::INTERNAL_ERROR)))
            .await;
        self.server.connection().closed().await;
    }
}

/// Accepts a link on which the client sends.
pub(crate) fn receives(link: IncomingLink, kept: Option<&SuspendedReceiver>) -> Receiver {
    // These tests settle in two steps, where the client wants to.
    let mode = link.attach().rcv_settle_mode;
    let request = receiver_request(link).resumable(true).receiver_settle_mode(mode).credit(Credit::Window(100));
    let request = match kept {
        Some(kept) => request.resume(kept),
        None => request,
    };
    request.accept().expect("accepted")
}

/// A body of several frames.
pub(crate) fn long(number: u8) -> bytes::Bytes {
    vec![number; 1500].into()
}

pub(crate) fn short(number: u8) -> bytes::Bytes {
    body(number.into())
}

/// What a delivery is of.
pub(crate) fn number(delivery: &Delivery) -> u8 {
    *delivery.message().data().expect("a data section").last().expect("some octets")
}
