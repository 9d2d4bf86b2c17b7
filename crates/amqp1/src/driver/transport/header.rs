//! TLS that begins with a protocol header (§5.2.1), on the port that is used without TLS too.

use crate::types::error::{Error, ErrorKind};
use amqp1_codec::frame::{ProtocolHeader, ProtocolId, SpokenProtocol};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// The client's half: says TLS's header and hears it. What comes next is the handshake.
pub(crate) async fn ask<IO>(io: &mut IO) -> Result<(), Error>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    io.write_all(&ProtocolHeader::TLS.encode()).await.map_err(super::lost)?;
    io.flush().await.map_err(super::lost)?;
    let answer = read(io).await?;
    if answer == ProtocolHeader::TLS.encode() {
        return Ok(());
    }
    // §2.2: nothing more is written, and in particular nothing without TLS.
    let _ = io.shutdown().await;
    let header = answer.first_chunk().and_then(ProtocolHeader::decode);
    let said = match SpokenProtocol::of(&answer) {
        _ if header.is_some_and(|header| header.id == ProtocolId::Tls) => "it wants another version of it",
        SpokenProtocol::Amqp1(ProtocolHeader::SASL) => "it wants SASL without TLS",
        SpokenProtocol::Amqp1(_) => "it wants AMQP without TLS",
        SpokenProtocol::Amqp0 => "this port speaks AMQP 0-9-1",
        SpokenProtocol::Http => "this port speaks HTTP",
        SpokenProtocol::Tls => "this port speaks TLS from the first octet: leave its header out",
        _ => "its answer is no header of AMQP 1.0",
    };
    Err(Error::new(ErrorKind::Tls, format!("the server does not take TLS by its protocol header: {said}")))
}

/// How long the end of a client is waited for that was refused.
const PATIENCE: Duration = Duration::from_secs(2);

/// The first octets of a client.
pub(crate) enum Begun<IO> {
    /// TLS's header, which was answered. What comes next is the handshake.
    Tls(IO),
    /// Something else, which is still to be read.
    Plain(Begin<IO>),
}

/// The server's half. A client that begins without TLS is told to use it, if that is `required`.
pub(crate) async fn hear<IO>(mut io: IO, required: bool) -> Result<Begun<IO>, Error>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let octets = read(&mut io).await?;
    let header = <[u8; ProtocolHeader::LEN]>::try_from(&octets[..]).ok().as_ref().and_then(ProtocolHeader::decode);
    let asks = header.is_some_and(|header| header.id == ProtocolId::Tls);
    if !asks && !required {
        return Ok(Begun::Plain(Begin { octets, read: 0, io }));
    }
    io.write_all(&ProtocolHeader::TLS.encode()).await.map_err(super::lost)?;
    io.flush().await.map_err(super::lost)?;
    if header == Some(ProtocolHeader::TLS) {
        return Ok(Begun::Tls(io));
    }
    // §2.2: the end of what is written; what still comes is read, or the answer might be lost with it.
    io.shutdown().await.map_err(super::lost)?;
    let mut nowhere = tokio::io::sink();
    let _ = tokio::time::timeout(PATIENCE, tokio::io::copy(&mut io, &mut nowhere)).await;
    let text = match SpokenProtocol::of(&octets) {
        _ if asks => "the client wants TLS of a version that is not known",
        SpokenProtocol::Tls => "the client has begun TLS at once, not by its protocol header",
        spoken => super::tls::not_tls_at_client(spoken).unwrap_or("the client has begun without TLS"),
    };
    Err(Error::new(ErrorKind::Tls, text))
}

/// The octets of a header, and none of those that follow; fewer if they are none of a header.
async fn read<IO: AsyncRead + Unpin>(io: &mut IO) -> Result<Vec<u8>, Error> {
    let mut octets = Vec::with_capacity(ProtocolHeader::LEN);
    let mut rest = io.take(ProtocolHeader::LEN as u64);
    while octets.len() < ProtocolHeader::LEN && ProtocolHeader::may_begin_with(&octets) {
        if rest.read_buf(&mut octets).await.map_err(super::lost)? == 0 {
            return Err(super::lost(io::ErrorKind::UnexpectedEof.into()));
        }
    }
    Ok(octets)
}

/// A stream of which the first octets were read, and are read again.
pub(crate) struct Begin<IO> {
    octets: Vec<u8>,
    read: usize,
    io: IO,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Begin<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let rest = self.octets.get(self.read..).unwrap_or_default();
        let count = rest.len().min(buf.remaining());
        if count == 0 {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        buf.put_slice(rest.get(..count).unwrap_or_default());
        self.read = self.read.saturating_add(count);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Begin<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
