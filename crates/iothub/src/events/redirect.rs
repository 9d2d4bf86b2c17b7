//! Where a hub sends its readers, and whether to go there.
//!
//! The rules: TLS stays on once it was on; the certificate must be for the `hostname` of the redirect, whatever host
//! is dialled; a token is shown only to the host of the connection string, to the Event Hubs of the hub's own cloud,
//! and to domains that the caller has allowed.

use crate::{
    connect::{AMQPS, Place},
    error::{Error, ErrorKind},
};
use amqp1::error::Redirect;
use std::net::IpAddr;

/// How often a redirect is followed in a row.
pub(crate) const MAX_HOPS: usize = 3;

/// Domains of hubs, and the domain of the Event Hubs of the same cloud.
const CLOUDS: [(&str, &str); 3] = [
    ("azure-devices.net", "servicebus.windows.net"),
    ("azure-devices.cn", "servicebus.chinacloudapi.cn"),
    ("azure-devices.us", "servicebus.usgovcloudapi.net"),
];

/// One step of following a redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) place: Place,
    /// What to attach to, and what a token is to be for.
    pub(crate) address: String,
}

impl Hop {
    /// Where `redirect` leads a client that was at `from` and has credentials for `origin`.
    pub(crate) fn new(redirect: &Redirect, from: &Place, origin: &str, allowed: &[String]) -> Result<Self, Error> {
        let Some(address) = redirect.address.clone().filter(|address| !address.is_empty()) else {
            return Err(refused("it names no address"));
        };
        let stated = Authority::of(&address)?;
        let name = [redirect.hostname.as_deref(), redirect.network_host.as_deref(), stated.host]
            .into_iter()
            .flatten()
            .find(|name| !name.is_empty())
            .ok_or_else(|| refused("it names no host"))?;
        let host = redirect.network_host.as_deref().filter(|host| !host.is_empty()).unwrap_or(name);
        if !is_host(name) || !is_host(host) {
            return Err(refused("its host is not a host name"));
        }
        if from.tls && stated.scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("amqp")) {
            return Err(refused("it leads away from TLS"));
        }
        // The token will be for the address, so that must be of the host that gets it.
        if !stated.host.is_none_or(|stated| is_host(stated) && stated.eq_ignore_ascii_case(name)) {
            return Err(refused("its address is at another host than its hostname"));
        }
        let may_go = may_have_token(origin, name, allowed) && (from.tls || may_have_token(origin, host, allowed));
        if !may_go {
            let sentence = format!("it leads to {name}, which gets no token for {origin} unless you allow that domain");
            return Err(refused(&sentence));
        }
        let port = redirect.port.or(stated.port).filter(|port| *port != 0);
        let place = Place {
            name: name.to_owned(),
            host: host.to_owned(),
            port: port.unwrap_or(if from.tls { AMQPS } else { from.port }),
            tls: from.tls,
        };
        Ok(Self { place, address })
    }
}

pub(crate) fn refused(why: &str) -> Error {
    Error::new(ErrorKind::Redirect, format!("the hub's redirect is not followed: {why}"))
}

/// What stands before the path of an address, if it is a URI.
struct Authority<'a> {
    scheme: Option<&'a str>,
    host: Option<&'a str>,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    fn of(address: &'a str) -> Result<Self, Error> {
        let Some((scheme, rest)) = address.split_once("://") else {
            return Ok(Self { scheme: None, host: None, port: None });
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, after)) => (host, after.strip_prefix(':')),
            None => authority.rsplit_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map(str::parse).transpose().map_err(|_| refused("the port in its address is not a number"))?;
        Ok(Self { scheme: Some(scheme), host: Some(host), port })
    }
}

/// The path of an address, without the slash at its start.
pub(crate) fn path(address: &str) -> &str {
    let path = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => address,
    };
    path.trim_start_matches('/')
}

fn is_host(text: &str) -> bool {
    let is_name = || text.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_'));
    !text.is_empty() && (text.parse::<IpAddr>().is_ok() || is_name())
}

/// Whether the host is this very machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Whether a token made with credentials for `origin` may be shown to `host`.
fn may_have_token(origin: &str, host: &str, allowed: &[String]) -> bool {
    let same_cloud = || CLOUDS.iter().any(|(hubs, events)| is_within(origin, hubs) && is_within(host, events));
    origin.eq_ignore_ascii_case(host)
        || is_loopback(origin) && is_loopback(host)
        || same_cloud()
        || allowed.iter().any(|domain| is_within(host, domain))
}

/// Whether `host` is the domain or below it.
fn is_within(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
    let domain = domain.trim_start_matches('.');
    match host.strip_suffix(domain) {
        Some(rest) => !domain.is_empty() && (rest.is_empty() || rest.ends_with('.')),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUB: &str = "myhub.azure-devices.net";
    const EVENTS: &str = "ns-1.servicebus.windows.net";

    fn redirect(host: &str, port: Option<u16>, address: &str) -> Redirect {
        let mut redirect = Redirect::default();
        redirect.hostname = Some(host.to_owned());
        redirect.network_host = Some(host.to_owned());
        redirect.port = port;
        redirect.address = Some(address.to_owned());
        redirect
    }

    fn place(name: &str) -> Place {
        Place { name: name.to_owned(), host: name.to_owned(), port: 5671, tls: true }
    }

    fn follow(origin: &str, redirect: &Redirect, allowed: &[&str]) -> Result<Hop, String> {
        let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
        Hop::new(redirect, &place(origin), origin, &allowed).map_err(|error| {
            assert_eq!(error.kind(), ErrorKind::Redirect);
            error.to_string()
        })
    }

    #[test]
    fn the_hubs_own_redirect_is_followed() {
        let address = format!("amqps://{EVENTS}:5671/entity/ConsumerGroups/$Default/Partitions/0");
        let hop = follow(HUB, &redirect(EVENTS, Some(5671), &address), &[]).expect("followed");
        assert_eq!(hop, Hop { place: place(EVENTS), address: address.clone() });
        assert_eq!(path(&hop.address), "entity/ConsumerGroups/$Default/Partitions/0");
    }

    #[test]
    fn what_is_dialled_may_differ_from_whom_the_certificate_must_name() {
        let mut redirect = redirect(EVENTS, None, &format!("amqps://{EVENTS}:6000/e"));
        redirect.network_host = Some("10.0.0.1".to_owned());
        let hop = follow(HUB, &redirect, &[]).expect("followed");
        assert_eq!((hop.place.name.as_str(), hop.place.host.as_str(), hop.place.port), (EVENTS, "10.0.0.1", 6000));
        assert!(hop.place.tls);
    }

    #[test]
    fn fields_that_are_missing_are_taken_from_the_others() {
        let mut bare = Redirect::default();
        bare.address = Some(format!("amqps://{EVENTS}/e"));
        assert_eq!(follow(HUB, &bare, &[]).expect("followed").place, place(EVENTS));
        let mut relative = redirect(EVENTS, None, "e/ConsumerGroups/$Default/Partitions/1");
        relative.network_host = None;
        assert_eq!(follow(HUB, &relative, &[]).expect("followed").place, place(EVENTS));
        for address in [None, Some(String::new())] {
            let mut nowhere = redirect(EVENTS, None, "");
            nowhere.address = address;
            assert!(follow(HUB, &nowhere, &[]).is_err());
        }
        let mut hostless = Redirect::default();
        hostless.address = Some("e/0".to_owned());
        assert!(follow(HUB, &hostless, &[]).is_err());
    }

    #[test]
    fn no_other_domain_gets_a_token_unless_it_is_allowed() {
        for host in [
            "evil.example",
            "servicebus.windows.net.evil.example",
            "evilservicebus.windows.net",
            "ns.servicebus.chinacloudapi.cn",
            "localhost",
        ] {
            let redirect = redirect(host, None, &format!("amqps://{host}/e"));
            let why = follow(HUB, &redirect, &[]).expect_err(host);
            assert!(why.contains(host), "{why}");
            assert!(follow(HUB, &redirect, &[host]).is_ok(), "{host}");
        }
        let elsewhere = redirect("a.b.example", None, "amqps://a.b.example/e");
        assert!(follow(HUB, &elsewhere, &["b.example"]).is_ok());
        assert!(follow(HUB, &elsewhere, &[".b.example"]).is_ok());
        assert!(follow(HUB, &elsewhere, &["c.example", ""]).is_err());
        assert!(follow("hub.azure-devices.cn", &redirect("n.servicebus.chinacloudapi.cn", None, "e"), &[]).is_ok());
    }

    #[test]
    fn a_hub_on_this_machine_may_send_to_itself() {
        for host in ["localhost", "127.0.0.1", "::1", "events.localhost"] {
            assert!(follow("localhost", &redirect(host, Some(5671), "e"), &[]).is_ok(), "{host}");
        }
        assert!(follow("localhost", &redirect("10.0.0.1", Some(5671), "e"), &[]).is_err());
        assert!(follow("hub.lan", &redirect("HUB.lan", Some(5671), "amqps://hub.lan:5671/e"), &[]).is_ok());
    }

    #[test]
    fn tls_is_never_given_up() {
        let why = follow(HUB, &redirect(EVENTS, None, &format!("amqp://{EVENTS}/e")), &[]).expect_err("no TLS");
        assert!(why.contains("TLS"), "{why}");
    }

    #[test]
    fn a_token_for_another_host_than_the_one_it_is_shown_to_is_not_made() {
        let redirect = redirect(EVENTS, None, "amqps://other.servicebus.windows.net/e");
        assert!(follow(HUB, &redirect, &[]).is_err());
    }

    #[test]
    fn hosts_that_are_none_are_refused() {
        for host in ["a/b", "a b", "a@b", "x:1", "h\u{e9}"] {
            assert!(follow(HUB, &redirect(host, None, "e"), &[host]).is_err(), "{host}");
        }
        assert!(follow(HUB, &redirect(EVENTS, None, &format!("amqps://{EVENTS}:x/e")), &[]).is_err());
    }
}
