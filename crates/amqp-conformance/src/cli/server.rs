//! `amqp-conformance server`.

use super::{Exit, Failure, args::ServerArgs, output};
use crate::{
    case::Role,
    report::Expectations,
    run::Options,
    server::{Login, ServerTarget},
};
use std::net::ToSocketAddrs;

pub(super) fn run(args: &ServerArgs) -> Result<Exit, Failure> {
    let (node, more_nodes) = args.node.split_first().ok_or_else(|| Failure::usage("--node is missing"))?;
    let options = Options {
        purge: args.purge,
        more_nodes: more_nodes.to_vec(),
        ..output::options(&args.run, Expectations::default())?
    };
    if args.run.dry_run {
        return output::dry_run(Role::Server, &options);
    }
    let login = match (&args.user, &args.password) {
        (Some(user), Some(password)) => Login::Plain { user: user.clone(), password: password.clone() },
        _ if args.no_sasl => Login::None,
        _ => Login::Anonymous,
    };
    let (host, _) =
        args.server.rsplit_once(':').ok_or_else(|| Failure::usage(format!("{:?} is not HOST:PORT", args.server)))?;
    let address = args
        .server
        .to_socket_addrs()
        .map_err(|error| Failure::unreachable(format!("{}: {error}", args.server)))?
        .next()
        .ok_or_else(|| Failure::unreachable(format!("{} has no address", args.server)))?;
    let target = ServerTarget {
        address,
        hostname: String::from(host.trim_matches(['[', ']'])),
        login,
        node: node.clone(),
        patience: args.run.patience,
    };
    output::run_and_report(target.into(), &options, &args.run.output)
}
