//! The `iothub` command: a demo, a hub on your own machine, and tools that work against any hub.
#![forbid(unsafe_code)]

mod announce;
mod arguments;
mod c2d;
mod cli;
mod connect;
mod demo;
mod device;
mod emulator;
mod failure;
mod listen;
mod method;
mod output;
mod registry;
mod rest;
mod telemetry;
mod timing;
mod twin;
mod uploads;

use cli::{C2d, Command, Device, Method, Registry, Telemetry, Twin};
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match arguments::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(failure) => return report(&failure),
    };
    init_logs(&cli.command);
    let https = uses_https(&cli.command);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::new(format!("the runtime does not start: {error}"))),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(code) => code,
        Err(failure) => report(&failure.with_option(https)),
    }
}

/// Whether a command uses the hub's REST interface.
fn uses_https(command: &Command) -> bool {
    matches!(command, Command::Registry(_) | Command::Twin(_) | Command::Method(_) | Command::Query(_))
}

async fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Demo(options) => demo::run(options).await,
        Command::Emulator(options) => emulator::run(*options).await,
        Command::C2d(C2d::Send(options)) => c2d::send(options).await,
        Command::C2d(C2d::Feedback(options)) => c2d::feedback(options).await,
        Command::Telemetry(Telemetry::Monitor(options)) => telemetry::monitor(options).await,
        Command::Device(Device::Simulate(options)) => device::simulate(options).await,
        Command::Registry(Registry::Create(options)) => registry::create(options).await,
        Command::Registry(Registry::List(options)) => registry::list(options).await,
        Command::Registry(Registry::Show(options)) => registry::show(options).await,
        Command::Registry(Registry::Delete(options)) => registry::delete(options).await,
        Command::Twin(Twin::Get(options)) => twin::get(options).await,
        Command::Twin(Twin::Patch(options)) => twin::patch(options).await,
        Command::Twin(Twin::Watch(options)) => twin::watch(options).await,
        Command::Method(Method::Invoke(options)) => method::invoke(options).await,
        Command::Query(options) => method::query(options).await,
    }
}

/// One plain sentence and a code that is not zero.
fn report(failure: &Failure) -> ExitCode {
    eprintln!("iothub: {failure}");
    failure.code()
}

/// `RUST_LOG=debug iothub …` shows what the connections do. Unless it is set, the emulator says whom it refuses and why,
/// and the other commands log nothing.
fn init_logs(command: &Command) {
    use tracing_subscriber::EnvFilter;
    let filter = match (std::env::var_os("RUST_LOG"), command) {
        (Some(_), _) => EnvFilter::from_default_env(),
        (None, Command::Emulator(_)) => EnvFilter::new("warn"),
        (None, _) => return,
    };
    // Colours only for people.
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(std::io::stderr).init();
}
