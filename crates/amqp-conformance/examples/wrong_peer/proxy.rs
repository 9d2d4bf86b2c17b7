//! A proxy between the tool and a right peer.

use crate::{
    place::Direction,
    wrong::{Change, Fate, Past, Piece, Wrong, take_piece},
};
use bytes::{Bytes, BytesMut};
use std::{
    io::{self, Read, Write},
    mem,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
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
            for (client, number) in listener.incoming().map_while(Result::ok).zip(1..) {
                if seen.is_set.load(Ordering::SeqCst) {
                    break;
                }
                let seen = Arc::clone(&seen);
                thread::spawn(move || serve(wrong, side, &client, number, upstream, &seen));
            }
        });
        Ok(Self { address, stop })
    }
}

fn serve(
    wrong: Wrong,
    side: Side,
    client: &TcpStream,
    connection: u32,
    upstream: SocketAddr,
    stop: &Stop,
) -> io::Result<()> {
    let server = TcpStream::connect(upstream)?;
    for stream in [client, &server] {
        stream.set_nodelay(true)?;
    }
    let past =
        Mutex::new(Past { connection, shared: Arc::clone(&stop.shared), stays: wrong.stays(), ..Past::default() });
    let (from_client, from_server) = match side {
        Side::Server => (Direction::Read, Direction::Written),
        Side::Client => (Direction::Written, Direction::Read),
    };
    // Both directions may write to either stream.
    let (to_client, to_server) = (Mutex::new(client), Mutex::new(&server));
    thread::scope(|scope| {
        scope.spawn(|| pump(client, &to_server, &to_client, (wrong, from_client), &past, stop));
        pump(&server, &to_client, &to_server, (wrong, from_server), &past, stop);
    });
    // The streams end when they are dropped.
    while past.lock().unwrap_or_else(PoisonError::into_inner).stays && !stop.is_set.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Passes what is read from one stream to the other, changed.
fn pump(
    from: &TcpStream,
    to: &Mutex<&TcpStream>,
    back: &Mutex<&TcpStream>,
    (wrong, direction): (Wrong, Direction),
    past: &Mutex<Past>,
    stop: &Stop,
) {
    let change: Change = match direction {
        Direction::Read => wrong.read,
        Direction::Written => wrong.written,
    };
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
        // Pieces that arrived in one write are passed on in one write.
        let mut passing = Vec::new();
        while let Some(octets) = take_piece(&mut buffer) {
            let piece = Piece::new(octets);
            let fate = {
                let mut past = past();
                match wrong.place.and_then(|place| place.change(&mut past, direction, &piece)) {
                    Some(fate) => fate,
                    None => change(&mut past, piece),
                }
            };
            match fate {
                Fate::Drop => {}
                Fate::Pass(octets) => passing.push(octets),
                Fate::Replace(pieces) => passing.extend(pieces),
                Fate::Answer(pieces) => {
                    let written = write(to, &mem::take(&mut passing)).and_then(|()| write(back, &pieces));
                    if written.is_err() && !past().stays {
                        break 'ended Shutdown::Both;
                    }
                }
                Fate::End(pieces) => {
                    passing.extend(pieces);
                    // The other end may have gone.
                    let _ = write(to, &passing);
                    let _ = from.shutdown(Shutdown::Both);
                    break 'ended Shutdown::Both;
                }
                Fate::Leave(pieces) => {
                    // The other end may have gone.
                    let _ = write(back, &pieces);
                    let _ = from.shutdown(Shutdown::Both);
                    break 'ended Shutdown::Both;
                }
                Fate::Crash => {
                    stop.set();
                    let _ = from.shutdown(Shutdown::Both);
                    break 'ended Shutdown::Both;
                }
            }
        }
        if write(to, &passing).is_err() && !past().stays {
            break 'ended Shutdown::Both;
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
