//! Why a run cannot begin.

use super::{RunError, Target, runner::DYING};
use crate::verdict::Stop;
use std::{io, net::TcpStream, thread};

impl RunError {
    /// The error of a peer that does not come as far as a run needs it.
    pub(super) fn of_peer(target: &Target, stop: Stop) -> Self {
        let is_refused = matches!(stop, Stop::Refused(_));
        let was_reached = !matches!(stop, Stop::NoConnection(_));
        let reason = why_unreachable(target, stop);
        match is_gone(target) {
            _ if is_refused => Self::Refused(reason),
            Some(error) if was_reached => Self::Crashed(format!("{reason}; no connection after that: {error}")),
            _ => Self::Unreachable(reason),
        }
    }
}

/// The error of a server that accepts no connection any more.
fn is_gone(target: &Target) -> Option<io::Error> {
    let Target::Server(server) = target else { return None };
    let connect = || TcpStream::connect_timeout(&server.address, server.patience).err();
    connect().or_else(|| {
        // The listener of a process that dies may accept one more connection before it is closed.
        thread::sleep(DYING);
        connect()
    })
}

/// The reason for which a peer cannot be reached, with its address or its command.
pub(crate) fn why_unreachable(target: &Target, stop: Stop) -> String {
    let what = match (target, &stop) {
        (Target::Server(server), Stop::NoConnection(_)) => format!("{}: ", server.address),
        (Target::Client(client), Stop::NoConnection(error))
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) =>
        {
            format!("{:?} cannot be run: ", client.command.first().map_or("", String::as_str))
        }
        _ => String::new(),
    };
    let reason = match stop {
        Stop::Refused(reason) => reason,
        stop => stop.into_outcome().reason,
    };
    target.secrets().text(&(what + &reason))
}
