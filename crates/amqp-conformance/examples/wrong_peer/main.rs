//! Peers that break the specification on purpose, by which the cases are tested: a right peer behind a proxy that
//! changes what it writes or reads.
//!
//! ```text
//! wrong_peer list
//! wrong_peer server NAME UPSTREAM                    serves as a wrong server, and prints its address
//! wrong_peer client NAME {url} COMMAND … {proxy} …   runs a right client, and makes it wrong
//! wrong_peer matrix FILE server BROKER               prints by which wrong server each case is failed
//! wrong_peer matrix FILE client COMMAND …            prints by which wrong client each case is failed
//! ```
//!
//! BROKER is the example `broker`, which is started for each check; or the address of one that runs. In COMMAND `{idle}`
//! is the client's idle time-out in seconds. FILE has the wrong
//! peer that fails each case. If the variable `WRITE` is set, another is looked for where that does not fail it, and FILE
//! is written. `ONLY` has the beginnings of the ids of the cases to be tested, separated by commas. If `LIST` is set, every
//! peer is listed that fails them.

mod bench;
mod changes;
mod matrix;
mod place;
mod proxy;
mod right;
mod wrong;

use proxy::{Proxy, Side};
use right::Right;
use std::{
    env,
    error::Error,
    net::{SocketAddr, ToSocketAddrs},
    process::{Command, ExitCode},
    thread,
};
use wrong::Wrong;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["list"] => {
            for wrong in changes::ALL {
                println!("{}", wrong.name);
            }
            Ok(ExitCode::SUCCESS)
        }
        ["server", name, upstream] => {
            let proxy = Proxy::start(named(name)?, Side::Server, address(upstream)?)?;
            println!("{}", proxy.address);
            loop {
                thread::park();
            }
        }
        ["client", name, url, command, arguments @ ..] => {
            let upstream = url.trim_start_matches("amqp://");
            let proxy = Proxy::start(named(name)?, Side::Client, address(upstream)?)?;
            let url = format!("amqp://{}", proxy.address);
            let arguments = arguments.iter().map(|word| word.replace("{proxy}", &url));
            let status = Command::new(command).args(arguments).status()?;
            Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        ["matrix", file, role, rest @ ..] => {
            let rights = match (*role, rest) {
                ("server", [broker]) => right::brokers(broker),
                ("client", [_, ..]) => Right::clients(rest),
                _ => return Err("wrong_peer matrix FILE server BROKER | client COMMAND …".into()),
            };
            let only = env::var("ONLY").unwrap_or_default();
            let is_complete = matrix::print(&rights, file.as_ref(), env::var_os("WRITE").is_some(), &only)?;
            Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        _ => Err("wrong_peer list | server NAME UPSTREAM | client NAME {url} COMMAND …".into()),
    }
}

fn named(name: &str) -> Result<Wrong, String> {
    changes::named(name).ok_or_else(|| format!("no wrong peer is called {name}"))
}

fn address(text: &str) -> Result<SocketAddr, Box<dyn Error>> {
    text.to_socket_addrs()?.next().ok_or_else(|| format!("{text} has no address").into())
}
