//! Where HTTPS is served: at its own port if that can be had.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::error::StartError;
use crate::listen::{self, Place};

/// Where to listen for HTTPS.
#[derive(Clone, Debug, Default)]
pub(crate) struct HttpsListen {
    pub(crate) places: Vec<Place>,
    /// Where there are no places: the port on the hosts of AMQP.
    pub(crate) port: u16,
    /// Whether any free port will do where these cannot be had.
    pub(crate) or_free_port: bool,
}

/// Listeners for HTTPS.
pub(crate) struct Bound {
    pub(crate) listeners: Vec<(TcpListener, SocketAddr)>,
    /// Why they are not where they were to be, and what helps.
    pub(crate) note: Option<String>,
}

impl HttpsListen {
    /// Listens; on the hosts of `amqp` unless there are places of its own.
    pub(crate) async fn bind(self, amqp: &[Place]) -> Result<Bound, StartError> {
        let places = match self.places {
            places if places.is_empty() => amqp.iter().map(|place| place.with_port(self.port)).collect(),
            places => places,
        };
        let (place, refusal) = match listen::bind(&places).await {
            Ok(listeners) => return Ok(Bound { listeners, note: None }),
            Err(StartError::Bind { place, source }) if self.or_free_port => (place, source),
            Err(error) => return Err(error),
        };
        let Some(note) = explain(&place, &refusal) else { return Err(StartError::Bind { place, source: refusal }) };
        let any: Vec<Place> = places.iter().map(|place| place.with_port(0)).collect();
        let listeners = listen::bind(&any).await?;
        let port = listeners.first().map_or(0, |(_, address)| address.port());
        Ok(Bound { listeners, note: Some(format!("HTTPS is on port {port}: {note}")) })
    }
}

/// Why the port cannot be had, and what helps; `None` if another port would not help.
fn explain(address: &str, error: &io::Error) -> Option<String> {
    let port = address.rsplit_once(':').map_or("443", |(_, port)| port);
    match error.kind() {
        io::ErrorKind::PermissionDenied => Some(format!(
            "{address} needs a privilege, and most SDKs use no other port than 443; allow it with \
             `sudo sysctl net.ipv4.ip_unprivileged_port_start={port}` or \
             `sudo setcap cap_net_bind_service=+ep \"$(command -v iothub)\"`"
        )),
        io::ErrorKind::AddrInUse => Some(format!(
            "{address} is in use, and most SDKs use no other port than 443; free it, or have the whole hub on another loopback \
             address with `--hostname 127.0.0.2 --listen 127.0.0.2:5671 --https-listen 127.0.0.2:{port}`"
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
        let bound = HttpsListen { places: vec![Place::Address(address)], port: 0, or_free_port: true };
        let bound = bound.bind(&[]).await.unwrap();
        let bound_to = bound.listeners[0].1;
        assert_ne!(bound_to, address);
        let note = bound.note.unwrap();
        assert!(note.contains("is in use") && note.contains(&bound_to.port().to_string()), "{note}");
        assert!(!note.contains('\n'));
        let instead =
            format!("`--hostname 127.0.0.2 --listen 127.0.0.2:5671 --https-listen 127.0.0.2:{}`", address.port());
        assert!(note.contains(&instead), "{note}");
        let fixed = HttpsListen { port: address.port(), ..HttpsListen::default() };
        assert!(fixed.bind(&[Place::Loopback { port: 5671 }]).await.is_err());
    }

    #[test]
    fn a_port_without_permission_names_both_commands() {
        let note = explain("127.0.0.1:443", &io::ErrorKind::PermissionDenied.into()).unwrap();
        assert!(note.contains("sysctl net.ipv4.ip_unprivileged_port_start=443"), "{note}");
        assert!(note.contains("setcap cap_net_bind_service"), "{note}");
        assert_eq!(explain("127.0.0.1:443", &io::ErrorKind::AddrNotAvailable.into()), None);
    }
}
