//! `amqp-conformance client`.

use super::{Exit, Failure, args::ClientArgs, output};
use crate::{
    case::Role,
    client::ClientTarget,
    transport::{Listening, ServerTls},
};

/// The placeholders in the arguments of the command.
const PLACES: [&str; 4] = ["{url}", "{address}", "{scenario}", "{count}"];

/// Returns `true` if an argument is a word in braces that is not replaced. Braces within an argument may be code.
fn is_unknown(argument: &str) -> bool {
    let name = argument.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '-')))
        && !PLACES.contains(&argument)
}

pub(super) fn run(args: &ClientArgs) -> Result<Exit, Failure> {
    let profile = output::profile(args.profile.as_deref(), Role::Client)?;
    let options = output::options(Role::Client, &args.run, &profile)?;
    if args.run.dry_run {
        return output::dry_run(Role::Client, &options);
    }
    if options.jobs > 1 && args.listen.port() != 0 {
        return Err(Failure::usage("--jobs needs a port for each job: listen at port 0"));
    }
    let files = args.tls_cert.as_deref().zip(args.tls_key.as_deref());
    let tls = files.map(|(certificate, key)| ServerTls::read(certificate, key)).transpose();
    let tls = tls.map_err(|error| output::because(&error))?;
    let patience = profile.patience(args.run.patience);
    let whole_lists = args.whole_lists || profile.whole_lists;
    let command = if args.command.is_empty() { profile.command } else { args.command.clone() };
    if let Some(unknown) = command.iter().find(|argument| is_unknown(argument)) {
        return Err(Failure::usage(format!("{unknown} is not known: use {}", PLACES.join(", "))));
    }
    let layers = Listening { tls, web_socket: args.ws };
    let target = ClientTarget { listen: args.listen, layers, patience, whole_lists, ..ClientTarget::new(command) };
    if target.command.is_empty() {
        return if args.run.repro.is_some() || args.run.replay.is_some() {
            Err(Failure::usage("--repro and --replay need the client's command after --"))
        } else {
            output::stand(target, options, &args.run.output)
        };
    }
    output::run(target.into(), &options, &args.run)
}
