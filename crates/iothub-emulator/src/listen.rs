//! Where listeners are bound: addresses, names with several addresses, and loopback of both families.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::io;

use tokio::net::TcpListener;

use crate::error::StartError;

/// Free ports that are tried until one is free on every address.
const FREE_PORTS_TRIED: usize = 16;

/// One place to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// This address.
    Address(SocketAddr),
    /// All addresses of a name, as `NAME:PORT`.
    Named(String),
    /// 127.0.0.1 and, where there is IPv6, ::1.
    Loopback {
        /// 0 for a free one.
        port: u16,
    },
}

impl Place {
    /// The host that clients may use for it, for the server's certificate.
    pub(crate) fn host(&self) -> Option<String> {
        match self {
            Self::Address(address) if address.ip().is_unspecified() => None,
            Self::Address(address) => Some(address.ip().to_string()),
            Self::Named(text) => {
                let (host, _) = text.rsplit_once(':')?;
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let unspecified = host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
                (!unspecified && !host.is_empty()).then(|| host.to_owned())
            }
            Self::Loopback { .. } => None,
        }
    }

    /// The same host at another port.
    pub(crate) fn with_port(&self, port: u16) -> Self {
        match self {
            Self::Address(address) => Self::Address(SocketAddr::new(address.ip(), port)),
            Self::Named(text) => {
                let host = text.rsplit_once(':').map_or(text.as_str(), |(host, _)| host);
                Self::Named(format!("{host}:{port}"))
            }
            Self::Loopback { .. } => Self::Loopback { port },
        }
    }

    /// Its addresses, and whether those of which this machine has none are left out.
    async fn addresses(&self) -> io::Result<(Vec<SocketAddr>, bool)> {
        Ok(match self {
            Self::Address(address) => (vec![*address], false),
            Self::Named(text) => {
                let mut found: Vec<SocketAddr> = Vec::new();
                for address in tokio::net::lookup_host(text).await? {
                    if !found.contains(&address) {
                        found.push(address);
                    }
                }
                (found, true)
            }
            Self::Loopback { port } => {
                let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
                (loopback.map(|ip| SocketAddr::new(ip, *port)).to_vec(), true)
            }
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Named(text) => f.write_str(text),
            Self::Loopback { port } => write!(f, "127.0.0.1:{port}"),
        }
    }
}

/// Listeners with their addresses, the first one first. Those with port 0 share one free port.
pub(crate) async fn bind(places: &[Place]) -> Result<Vec<(TcpListener, SocketAddr)>, StartError> {
    let mut wanted = Vec::new();
    for place in places {
        let unusable = |source| StartError::Bind { place: place.to_string(), source };
        let (addresses, may_skip) = place.addresses().await.map_err(unusable)?;
        if addresses.is_empty() {
            return Err(unusable(io::Error::new(io::ErrorKind::NotFound, "the name has no address")));
        }
        wanted.push((place.to_string(), addresses, may_skip));
    }
    let free = wanted.iter().any(|(_, addresses, _)| addresses.iter().any(|address| address.port() == 0));
    let mut tries = if free { FREE_PORTS_TRIED } else { 1 };
    loop {
        tries -= 1;
        match bind_all(&wanted).await {
            // The port that was free on one address is taken on another.
            Err(StartError::Bind { source, .. }) if tries > 0 && source.kind() == io::ErrorKind::AddrInUse => {}
            result => return result,
        }
    }
}

async fn bind_all(wanted: &[(String, Vec<SocketAddr>, bool)]) -> Result<Vec<(TcpListener, SocketAddr)>, StartError> {
    let mut bound: Vec<(TcpListener, SocketAddr)> = Vec::new();
    let mut free_port = None;
    for (place, addresses, may_skip) in wanted {
        let before = bound.len();
        let mut missing = None;
        for address in addresses {
            let mut address = *address;
            if address.port() == 0 {
                address.set_port(free_port.unwrap_or(0));
            }
            if bound.iter().any(|(_, known)| *known == address) {
                continue;
            }
            match bind_one(address).await {
                Ok((listener, local)) => {
                    if address.port() == 0 {
                        free_port = Some(local.port());
                    }
                    bound.push((listener, local));
                }
                Err(source) if *may_skip && is_missing(&source) => missing = Some(source),
                Err(source) => return Err(StartError::Bind { place: address.to_string(), source }),
            }
        }
        if let (true, Some(source)) = (bound.len() == before, missing) {
            return Err(StartError::Bind { place: place.clone(), source });
        }
    }
    Ok(bound)
}

async fn bind_one(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Whether this machine does not have the address, or not even its family.
fn is_missing(error: &io::Error) -> bool {
    // EAFNOSUPPORT and WSAEAFNOSUPPORT have no kind of their own.
    error.kind() == io::ErrorKind::AddrNotAvailable || matches!(error.raw_os_error(), Some(97 | 47 | 10047))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn loopback_has_one_port_in_both_families() {
        let bound = bind(&[Place::Loopback { port: 0 }]).await.unwrap();
        let has_ipv6 = TcpListener::bind("[::1]:0").await.is_ok();
        assert_eq!(bound.len(), if has_ipv6 { 2 } else { 1 });
        assert!(bound.iter().all(|(_, address)| address.ip().is_loopback() && address.port() == bound[0].1.port()));
        assert!(bound[0].1.is_ipv4());
    }

    #[tokio::test]
    async fn a_name_stands_for_all_its_addresses_and_an_address_for_itself() {
        let bound = bind(&[Place::Named("localhost:0".into()), Place::Address("127.0.0.2:0".parse().unwrap())]).await;
        let addresses: Vec<SocketAddr> = bound.unwrap().into_iter().map(|(_, address)| address).collect();
        assert!(addresses.contains(&SocketAddr::new(Ipv4Addr::LOCALHOST.into(), addresses[0].port())), "{addresses:?}");
        assert_eq!(addresses.last().unwrap().ip(), "127.0.0.2".parse::<IpAddr>().unwrap());
    }

    #[tokio::test]
    async fn what_cannot_be_listened_on_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for place in [Place::Named("no port".into()), Place::Address("192.0.2.1:1".parse().unwrap())] {
            let error = bind(std::slice::from_ref(&place)).await.unwrap_err().to_string();
            assert!(error.contains(&place.to_string()), "{error}");
        }
        let _held = TcpListener::bind(taken).await.unwrap();
        let error = bind(&[Place::Loopback { port: taken.port() }]).await.unwrap_err().to_string();
        assert!(error.contains(&taken.to_string()), "{error}");
    }

    #[test]
    fn what_is_listened_on_names_hosts_for_the_certificate() {
        let named = |text: &str| Place::Named(text.into()).host();
        assert_eq!(named("hub.example:5671").as_deref(), Some("hub.example"));
        assert_eq!(named("[fe80::1]:5671").as_deref(), Some("fe80::1"));
        assert_eq!(named("0.0.0.0:5671"), None);
        assert_eq!(Place::Address("[::]:1".parse().unwrap()).host(), None);
        assert_eq!(Place::Address("192.0.2.1:1".parse().unwrap()).host().as_deref(), Some("192.0.2.1"));
    }
}
