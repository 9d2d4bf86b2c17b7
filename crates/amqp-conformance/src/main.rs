//! The command `amqp-conformance`.
#![forbid(unsafe_code)]

use amqp_conformance::{
    client::ClientTarget,
    run::{Runner, Target},
    server::{Login, ServerTarget, Sheet},
};
use std::{env, net::ToSocketAddrs, process::ExitCode, time::Duration};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    if let Some(("client", command)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        let target = Target::Client(ClientTarget { command: command.to_vec(), patience: Duration::from_secs(5) });
        let sheet = Sheet::default();
        let mut runner = Runner::new(&target, &sheet, false);
        for case in amqp_conformance::client::cases::all() {
            let result = runner.run(case);
            println!("{:12} {} {}", result.outcome.verdict, result.id, result.outcome.reason);
        }
        return ExitCode::SUCCESS;
    }
    let Some(server) = words.first().cloned() else { return ExitCode::from(2) };
    let Some(address) = server.to_socket_addrs().ok().and_then(|mut addresses| addresses.next()) else {
        return ExitCode::from(3);
    };
    let target = ServerTarget {
        address,
        hostname: server,
        login: Login::Anonymous,
        node: words.get(1).cloned().unwrap_or_default(),
        patience: Duration::from_secs(5),
    };
    let sheet = match Sheet::of(&target) {
        Ok(sheet) => sheet,
        Err(stop) => {
            eprintln!("{}", stop.into_outcome().reason);
            return ExitCode::from(3);
        }
    };
    let target = Target::Server(target);
    let mut runner = Runner::new(&target, &sheet, false);
    for case in amqp_conformance::server::cases::all() {
        let result = runner.run(case);
        println!("{:12} {} {}", result.outcome.verdict, result.id, result.outcome.reason);
    }
    ExitCode::SUCCESS
}
