//! Where HTTPS is served: at its own port if that can be had.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::error::StartError;

/// Where to listen for HTTPS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HttpsListen {
    pub(crate) address: SocketAddr,
    /// Whether any free port will do where this one cannot be had.
    pub(crate) or_free_port: bool,
}

/// A listener for HTTPS.
pub(crate) struct Bound {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
    /// Why it is not where it was to be, and what helps.
    pub(crate) note: Option<String>,
}

impl HttpsListen {
    pub(crate) async fn bind(self) -> Result<Bound, StartError> {
        let address = self.address;
        let error = |source| StartError::Bind { address, source };
        let (listener, note) = match TcpListener::bind(address).await {
            Ok(listener) => (listener, None),
            Err(refusal) if self.or_free_port && address.port() != 0 => {
                let Some(note) = explain(address, &refusal) else { return Err(error(refusal)) };
                let listener = TcpListener::bind(SocketAddr::new(address.ip(), 0)).await.map_err(error)?;
                (listener, Some(note))
            }
            Err(refusal) => return Err(error(refusal)),
        };
        let address = listener.local_addr().map_err(error)?;
        let note = note.map(|note| format!("HTTPS is on port {}: {note}", address.port()));
        Ok(Bound { listener, address, note })
    }
}

/// Why the port cannot be had, and what helps; `None` if another port would not help.
fn explain(address: SocketAddr, error: &io::Error) -> Option<String> {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::PermissionDenied => Some(format!(
            "{address} needs a privilege, and most SDKs use no other port than 443; allow it with \
             `sudo sysctl net.ipv4.ip_unprivileged_port_start={port}` or \
             `sudo setcap cap_net_bind_service=+ep \"$(command -v iothub)\"`"
        )),
        io::ErrorKind::AddrInUse => Some(format!(
            "{address} is in use, and most SDKs use no other port than 443; free it, or listen on another loopback address \
             with `--https-listen 127.0.0.2:{port}`"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_gives_a_free_one_and_says_what_helps() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let bound = HttpsListen { address, or_free_port: true }.bind().await.unwrap();
        assert_ne!(bound.address, address);
        let note = bound.note.unwrap();
        assert!(note.contains("is in use") && note.contains(&bound.address.port().to_string()), "{note}");
        assert!(!note.contains('\n'));
        assert!(HttpsListen { address, or_free_port: false }.bind().await.is_err());
    }

    #[test]
    fn a_port_without_permission_names_both_commands() {
        let note = explain("127.0.0.1:443".parse().unwrap(), &io::ErrorKind::PermissionDenied.into()).unwrap();
        assert!(note.contains("sysctl net.ipv4.ip_unprivileged_port_start=443"), "{note}");
        assert!(note.contains("setcap cap_net_bind_service"), "{note}");
        assert_eq!(explain("127.0.0.1:443".parse().unwrap(), &io::ErrorKind::AddrNotAvailable.into()), None);
    }
}
