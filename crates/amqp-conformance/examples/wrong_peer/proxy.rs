//! A proxy between the tool and a right peer.

use crate::wrong::{Change, Fate, Past, Piece, Wrong, take_piece};
use bytes::{Bytes, BytesMut};
use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// The end of the proxy at which the peer stands that is made wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The peer is a server: the proxy connects to it.
    Server,
    /// The peer is a client: it connects to the proxy.
    Client,
}

/// A proxy, which accepts connections until it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    stop: Arc<Stop>,
}

struct Stop {
    address: SocketAddr,
    is_set: AtomicBool,
    /// A count that the changes share between connections.
    shared: Arc<AtomicUsize>,
}

impl Stop {
    fn set(&self) {
        self.is_set.store(true, Ordering::SeqCst);
        // The listener waits for a connection. It may be closed already.
        let _ = TcpStream::connect(self.address);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.set();
    }
}

impl Proxy {
    /// Starts a proxy for connections to this address, on a free port.
    pub(crate) fn start(wrong: Wrong, side: Side, upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(Stop { address, is_set: AtomicBool::new(false), shared: Arc::default() });
        let seen = Arc::clone(&stop);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if seen.is_set.load(Ordering::SeqCst) {
                    break;
                }
                let seen = Arc::clone(&seen);
                thread::spawn(move || serve(wrong, side, &client, upstream, &seen));
            }
        });
        Ok(Self { address, stop })
    }
}

fn serve(wrong: Wrong, side: Side, client: &TcpStream, upstream: SocketAddr, stop: &Stop) -> io::Result<()> {
    let server = TcpStream::connect(upstream)?;
    for stream in [client, &server] {
        stream.set_nodelay(true)?;
    }
    let past = Mutex::new(Past { shared: Arc::clone(&stop.shared), ..Past::default() });
    let (from_client, from_server) = match side {
        Side::Server => (wrong.read, wrong.written),
        Side::Client => (wrong.written, wrong.read),
    };
    // Both directions may write to either stream.
    let (to_client, to_server) = (Mutex::new(client), Mutex::new(&server));
    thread::scope(|scope| {
        scope.spawn(|| pump(client, &to_server, &to_client, from_client, &past, stop));
        pump(&server, &to_client, &to_server, from_server, &past, stop);
    });
    Ok(())
}

/// Passes what is read from one stream to the other, changed.
fn pump(
    from: &TcpStream,
    to: &Mutex<&TcpStream>,
    back: &Mutex<&TcpStream>,
    change: Change,
    past: &Mutex<Past>,
    stop: &Stop,
) {
    let past = || past.lock().unwrap_or_else(PoisonError::into_inner);
    let mut buffer = BytesMut::new();
    let mut read = vec![0; 64 * 1024];
    let ended = 'ended: loop {
        let count = match (&mut &*from).read(&mut read) {
            Ok(0) => break 'ended Shutdown::Write,
            Ok(count) => count,
            Err(_) => break 'ended Shutdown::Both,
        };
        buffer.extend_from_slice(read.get(..count).unwrap_or_default());
        while let Some(octets) = take_piece(&mut buffer) {
            let fate = change(&mut past(), Piece::new(octets));
            let written = match fate {
                Fate::Drop => Ok(()),
                Fate::Pass(octets) => write(to, &[octets]),
                Fate::Replace(pieces) => write(to, &pieces),
                Fate::Answer(pieces) => write(back, &pieces),
                Fate::End(pieces) => {
                    // The other end may have gone.
                    let _ = write(to, &pieces);
                    let _ = from.shutdown(Shutdown::Both);
                    break 'ended Shutdown::Both;
                }
                Fate::Crash => {
                    stop.set();
                    let _ = from.shutdown(Shutdown::Both);
                    break 'ended Shutdown::Both;
                }
            };
            if written.is_err() && !past().stays {
                break 'ended Shutdown::Both;
            }
        }
    };
    if past().stays {
        return;
    }
    // An unfinished frame passes as it is. The streams may be closed by now.
    let _ = write(to, &[buffer.freeze()]);
    let _ = to.lock().unwrap_or_else(PoisonError::into_inner).shutdown(ended);
    if ended == Shutdown::Both {
        let _ = from.shutdown(Shutdown::Both);
    }
}

fn write(to: &Mutex<&TcpStream>, pieces: &[Bytes]) -> io::Result<()> {
    let mut to: &TcpStream = *to.lock().unwrap_or_else(PoisonError::into_inner);
    to.write_all(&pieces.concat())
}
