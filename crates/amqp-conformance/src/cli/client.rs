//! `amqp-conformance client`.

use super::{Exit, Failure, args::ClientArgs, output};
use crate::{case::Role, client::ClientTarget, report::Expectations};

pub(super) fn run(args: &ClientArgs) -> Result<Exit, Failure> {
    let options = output::options(&args.run, Expectations::default())?;
    if args.run.dry_run {
        return output::dry_run(Role::Client, &options);
    }
    if options.jobs > 1 && args.listen.port() != 0 {
        return Err(Failure::usage("--jobs needs a port for each job: listen at port 0"));
    }
    let target = ClientTarget { command: args.command.clone(), listen: args.listen, patience: args.run.patience };
    output::run_and_report(target.into(), &options, &args.run.output)
}
