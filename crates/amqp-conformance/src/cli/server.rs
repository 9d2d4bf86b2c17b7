//! `amqp-conformance server`.

use super::{Exit, Failure, args::ServerArgs, output};
use crate::{
    case::Role,
    profile::Profile,
    run::{Options, masked},
    server::{Login, PasswordMechanism, ServerTarget, Sheet},
    transport::{ClientTls, Layers, WebSocket},
};
use std::{
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};

pub(super) fn run(args: &ServerArgs) -> Result<Exit, Failure> {
    let profile = output::profile(args.profile.as_deref(), Role::Server)?;
    let nodes = if args.node.is_empty() { profile.node.iter().cloned().collect() } else { args.node.clone() };
    let mut nodes = nodes.into_iter();
    let node = nodes.next();
    let mut options = Options {
        purge: args.purge,
        more_nodes: nodes.collect(),
        ..output::options(Role::Server, &args.run, &profile)?
    };
    options.selection.restart = args.restart.is_some();
    if args.run.dry_run {
        return output::dry_run(Role::Server, &options);
    }
    let server =
        args.server.as_ref().or(profile.server.as_ref()).ok_or_else(|| missing("the server: give HOST:PORT"))?;
    let node = match node {
        Some(node) => node,
        // A script names the node itself.
        None if args.run.replay.is_some() => String::new(),
        None => return Err(missing("the queue: give --node ADDRESS")),
    };
    let Place { host, port, is_secure } = Place::of(server, args)?;
    let patience = profile.patience(args.run.patience);
    let address = resolve(&host, port, patience)?;
    let target = ServerTarget {
        layers: layers(args, is_secure)?,
        hostname: host,
        patience,
        restart: args.restart.clone(),
        ..ServerTarget::new(address, node)
    };
    let login = login(args, &profile, &target)?;
    let target = target.with_login(login);
    output::run(target.into(), &options, &args.run)
}

fn missing(what: &str) -> Failure {
    let known: Vec<&str> = Profile::names().collect();
    Failure::usage(format!("nothing names {what}, or a --profile that names it ({}, or a file)", known.join(", ")))
}

/// TLS and WebSocket. That a certificate is not verified is never silent.
fn layers(args: &ServerArgs, is_secure: bool) -> Result<Layers, Failure> {
    if !is_secure && (args.insecure || args.ca.is_some()) {
        return Err(Failure::usage("--ca and --insecure need --tls, or an address that begins with amqps://"));
    }
    let tls = if args.insecure {
        eprintln!("amqp-conformance: the server's certificate is not verified");
        Some(ClientTls::insecure())
    } else if is_secure {
        Some(ClientTls::verified(args.ca.as_deref()))
    } else {
        None
    };
    let tls = tls.transpose().map_err(|error| output::because(&error))?;
    Ok(Layers { tls, web_socket: args.ws.clone().map(|path| WebSocket { path }) })
}

/// The login of the command line, or else of the profile. Which mechanism it uses, the server's list says unless the
/// command line does.
fn login(args: &ServerArgs, profile: &Profile, target: &ServerTarget) -> Result<Login, Failure> {
    let account = account(args, profile)?;
    let Some((user, password)) = account else {
        return match args.mechanism {
            Some(_) => Err(Failure::usage("--mechanism needs --user and --password")),
            None if args.no_sasl => Ok(Login::None),
            None => Ok(Login::Anonymous),
        };
    };
    if args.no_sasl {
        return Ok(Login::None);
    }
    let mechanism = args.mechanism.unwrap_or_else(|| PasswordMechanism::among(&Sheet::mechanisms_of(target)));
    mechanism.login(user, password).map_err(|error| Failure::usage(error.to_string()))
}

/// The user and the password. A password alone is that of the profile's user.
fn account<'a>(args: &'a ServerArgs, profile: &'a Profile) -> Result<Option<(&'a str, &'a str)>, Failure> {
    let known = profile.user.as_deref().zip(profile.password.as_deref());
    let password = args.password.as_ref().map(|password| password.0.as_str());
    match (args.user.as_deref(), password, known) {
        (Some(user), Some(password), _) | (None, Some(password), Some((user, _))) => Ok(Some((user, password))),
        (None, None, known) => Ok(known),
        (Some(user), None, Some((known, password))) if user == known => Ok(Some((user, password))),
        (Some(_), None, _) => Err(Failure::usage("--user needs --password, or AMQP_CONFORMANCE_PASSWORD")),
        (None, Some(_), None) if args.no_sasl => Ok(None),
        (None, Some(_), None) => Err(Failure::usage("--password needs --user, or AMQP_CONFORMANCE_USER")),
    }
}

/// Where a server listens.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    host: String,
    port: u16,
    is_secure: bool,
}

impl Place {
    /// Reads `HOST:PORT`, or a URL of AMQP, in which the port may be left out.
    fn of(server: &str, args: &ServerArgs) -> Result<Self, Failure> {
        // The text before an `@` may hold a password.
        if server.contains('@') {
            return Err(Failure::usage(
                "the user and the password are not part of the address: give --user and --password",
            ));
        }
        let shown = shown(server);
        let (scheme, rest) = server.split_once("://").map_or((None, server), |(scheme, rest)| (Some(scheme), rest));
        let is_secure = match scheme {
            None | Some("amqp") => args.tls,
            Some("amqps") => true,
            Some(_) => {
                let reason = "use HOST:PORT, amqp:// or amqps://, and --ws for WebSocket";
                return Err(Failure::usage(format!("{shown:?} is not an address of AMQP: {reason}")));
            }
        };
        let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !path.is_empty() {
            return Err(Failure::usage(format!("{shown:?} has a path: name the queue with --node")));
        }
        let has_port = place.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        if scheme.is_none() && !has_port {
            return Err(Failure::usage(format!("{shown:?} is not HOST:PORT")));
        }
        let (host, port) = match place.rsplit_once(':').filter(|_| has_port) {
            Some((host, port)) => (host, port.parse().ok()),
            None => (place, Some(if is_secure { 5671 } else { 5672 })),
        };
        match port {
            Some(port) if !host.is_empty() => {
                Ok(Self { host: String::from(host.trim_matches(['[', ']'])), port, is_secure })
            }
            _ => Err(Failure::usage(format!("{shown:?} is not HOST:PORT"))),
        }
    }
}

/// An address that cannot be read, without what may be a password: it may be a connection string.
fn shown(server: &str) -> String {
    masked(&[String::from(server)]).concat()
}

/// The address of a host at which the server listens.
fn resolve(host: &str, port: u16, patience: Duration) -> Result<SocketAddr, Failure> {
    let unknown = |reason: String| Failure::unreachable(format!("{host}:{port}: {reason}"));
    let addresses = (host, port).to_socket_addrs().map_err(|error| unknown(error.to_string()))?;
    reachable(&addresses.collect::<Vec<_>>(), patience).ok_or_else(|| unknown(String::from("it has no address")))
}

/// The first of several addresses that accepts a connection; the first of all if none does.
fn reachable(addresses: &[SocketAddr], within: Duration) -> Option<SocketAddr> {
    let accepts = |address: &&SocketAddr| TcpStream::connect_timeout(address, within).is_ok();
    match addresses {
        [] | [_] => addresses.first().copied(),
        [first, ..] => Some(*addresses.iter().find(accepts).unwrap_or(first)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Args, Command};
    use clap::Parser as _;
    use std::net::TcpListener;

    fn place(server: &str, options: &[&str]) -> Result<Place, String> {
        let args = Args::parse_from([&["amqp-conformance", "server", server][..], options].concat());
        let Command::Server(args) = args.command else { return Err(String::from("another command")) };
        Place::of(server, &args).map_err(|failure| failure.reason)
    }

    #[test]
    fn every_address_of_a_host_is_tried() {
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (listener, other) = (listen(), listen());
        let [listens, free] = [&listener, &other].map(|listener| listener.local_addr().expect("its address"));
        drop(other);
        let reachable = |addresses: &[SocketAddr]| reachable(addresses, Duration::from_secs(10));
        assert_eq!(reachable(&[free, listens]), Some(listens));
        assert_eq!(reachable(&[free, free]), Some(free), "the error of a connection names it");
        assert_eq!((reachable(&[free]), reachable(&[])), (Some(free), None));
    }

    #[test]
    fn a_server_is_named_by_its_address_or_a_url() {
        let at = |host: &str, port, is_secure| Ok(Place { host: String::from(host), port, is_secure });
        assert_eq!(place("h:1", &[]), at("h", 1, false));
        assert_eq!(place("[::1]:1", &["--tls"]), at("::1", 1, true));
        assert_eq!(place("amqp://h", &[]), at("h", 5672, false));
        assert_eq!(place("amqp://h:1/", &[]), at("h", 1, false));
        assert_eq!(place("amqps://[::1]", &[]), at("::1", 5671, true));
        for wrong in ["h", "[::1]", "h:", ":1", "h:99999", "http://h:1", "amqp://", "amqp://h:1/queue"] {
            assert!(place(wrong, &[]).is_err(), "{wrong}");
        }
        let error = place("amqp://me:sesame@h:1", &[]).expect_err("a password is not part of it");
        assert!(error.contains("--password") && !error.contains("sesame"), "{error}");
        for secret in ["Endpoint=sb://h/;SharedAccessKey=sesame", "amqp://h:1/?password=sesame", "h:1;password=sesame"]
        {
            let error = place(secret, &[]).expect_err("it is no address");
            assert!(!error.contains("sesame"), "{error}");
        }
    }
}
