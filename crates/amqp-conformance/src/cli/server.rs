//! `amqp-conformance server`.

use super::{Exit, Failure, args::ServerArgs, output};
use crate::{
    case::Role,
    profile::Profile,
    run::Options,
    server::{Login, PasswordMechanism, ServerTarget, Sheet},
    transport::{ClientTls, Layers, WebSocket},
};
use std::net::{SocketAddr, ToSocketAddrs};

pub(super) fn run(args: &ServerArgs) -> Result<Exit, Failure> {
    let profile = output::profile(args.profile.as_deref(), Role::Server)?;
    let mut nodes = args.node.clone();
    if nodes.is_empty() {
        nodes.extend(profile.node.clone());
    }
    let mut nodes = nodes.into_iter();
    let node = nodes.next().ok_or_else(|| Failure::usage("the profile names no node: give one with --node"))?;
    let mut options =
        Options { purge: args.purge, more_nodes: nodes.collect(), ..output::options(&args.run, &profile)? };
    options.selection.restart = args.restart.is_some();
    if args.run.dry_run {
        return output::dry_run(Role::Server, &options);
    }
    let server = args.server.as_ref().or(profile.server.as_ref());
    let server = server.ok_or_else(|| Failure::usage("the profile names no server: give HOST:PORT"))?;
    let (hostname, address) = resolve(server)?;
    let target = ServerTarget {
        layers: layers(args)?,
        hostname,
        patience: profile.patience(args.run.patience),
        restart: args.restart.clone(),
        ..ServerTarget::new(address, node)
    };
    let login = login(args, &profile, &target)?;
    let target = target.with_login(login);
    output::run(target.into(), &options, &args.run)
}

/// TLS and WebSocket. That a certificate is not verified is never silent.
fn layers(args: &ServerArgs) -> Result<Layers, Failure> {
    let tls = if args.insecure {
        eprintln!("amqp-conformance: the server's certificate is not verified");
        Some(ClientTls::insecure())
    } else if args.tls {
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
    match (args.user.as_deref(), args.password.as_deref(), known) {
        (Some(user), Some(password), _) | (None, Some(password), Some((user, _))) => Ok(Some((user, password))),
        (None, None, known) => Ok(known),
        (Some(user), None, Some((known, password))) if user == known => Ok(Some((user, password))),
        (Some(_), None, _) => Err(Failure::usage("--user needs --password, or AMQP_CONFORMANCE_PASSWORD")),
        (None, Some(_), None) if args.no_sasl => Ok(None),
        (None, Some(_), None) => Err(Failure::usage("--password needs --user, or AMQP_CONFORMANCE_USER")),
    }
}

/// The host's name, and its address.
fn resolve(server: &str) -> Result<(String, SocketAddr), Failure> {
    let (host, _) = server.rsplit_once(':').ok_or_else(|| Failure::usage(format!("{server:?} is not HOST:PORT")))?;
    let unknown = |reason: String| Failure::unreachable(format!("{server}: {reason}"));
    let mut addresses = server.to_socket_addrs().map_err(|error| unknown(error.to_string()))?;
    let address = addresses.next().ok_or_else(|| unknown(String::from("it has no address")))?;
    Ok((String::from(host.trim_matches(['[', ']'])), address))
}
