//! The right peers, which wrong ones are made of.

use amqp_conformance::{
    Role,
    client::{self, ClientTarget},
    server::{Login, ServerTarget, Sheet},
};
use std::{
    error::Error,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A right peer in one configuration.
pub(crate) enum Right {
    /// A server that runs at this address.
    Running(SocketAddr),
    /// The example `broker` with these options.
    Broker(String, Configuration),
    /// A client that this command runs, with `{url}` and its like, for cases of this pace.
    Client(Vec<String>, Pace),
}

/// The cases that a right peer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Those that wait for answers alone. The peer must not give up a connection meanwhile.
    Quick,
    /// Those that wait until the peer gives up a connection, which it does after a short time.
    Slow,
}

/// The idle time-outs of clients, in seconds: `{idle}` in their command.
const IDLE: [(&str, Pace); 2] = [("8", Pace::Quick), ("2", Pace::Slow)];

/// A configuration of the broker.
#[derive(Clone, Copy)]
pub(crate) struct Configuration {
    options: &'static [&'static str],
    /// The user and the password, if it wants them.
    user: Option<(&'static str, &'static str)>,
    pace: Pace,
}

/// Each case is tested with the first of these that has what the case needs.
const CONFIGURATIONS: &[Configuration] = &[
    Configuration {
        options: &["--strict", "--settle-second", "--take-durable", "--idle-time-out", "8"],
        user: None,
        pace: Pace::Quick,
    },
    Configuration {
        options: &[
            "--strict",
            "--sasl-plain",
            "matrix:secret",
            "--sasl-scram",
            "matrix:secret",
            "--idle-time-out",
            "8",
        ],
        user: Some(("matrix", "secret")),
        pace: Pace::Quick,
    },
    Configuration {
        options: &["--strict", "--idle-time-out", "2", "--handshake-time-out", "2"],
        user: None,
        pace: Pace::Slow,
    },
];

/// The configurations of a broker, or one that runs.
pub(crate) fn brokers(broker: &str) -> Vec<Right> {
    match broker.parse() {
        Ok(address) => vec![Right::Running(address)],
        Err(_) => CONFIGURATIONS.iter().map(|with| Right::Broker(String::from(broker), *with)).collect(),
    }
}

impl Right {
    pub(crate) fn clients(words: &[&str]) -> Vec<Self> {
        let with = |idle| words.iter().map(|word| word.replace("{idle}", idle)).collect();
        IDLE.iter().map(|(idle, pace)| Self::Client(with(idle), *pace)).collect()
    }

    /// Returns `true` if it is a peer for cases of this pace.
    pub(crate) fn is_for(&self, pace: Pace) -> bool {
        match self {
            Self::Running(_) => true,
            Self::Broker(_, Configuration { pace: is, .. }) | Self::Client(_, is) => *is == pace,
        }
    }

    pub(crate) const fn role(&self) -> Role {
        match self {
            Self::Running(_) | Self::Broker(..) => Role::Server,
            Self::Client(..) => Role::Client,
        }
    }

    /// The login of the tool.
    pub(crate) fn login(&self) -> Login {
        match self {
            Self::Broker(_, Configuration { user: Some((user, password)), .. }) => {
                Login::Plain { user: String::from(*user), password: String::from(*password) }
            }
            _ => Login::Anonymous,
        }
    }

    /// The peer's capabilities.
    pub(crate) fn sheet(&self, patience: Duration) -> Result<Sheet, Box<dyn Error>> {
        let sheet = match self {
            Self::Client(command, _) => {
                client::sheet_of(&ClientTarget { patience, ..ClientTarget::new(command.clone()) })
            }
            _ => {
                let server = self.serve()?;
                Sheet::of(&server.target(server.address, "sheet", patience, self.login()))
            }
        };
        sheet.map_err(|stop| stop.into_outcome().reason.into())
    }

    /// Starts a server, if it is not one that runs.
    pub(crate) fn serve(&self) -> io::Result<Server> {
        match self {
            Self::Running(address) => Ok(Server { address: *address, process: None }),
            Self::Broker(broker, with) => Server::start(broker, with.options),
            Self::Client(..) => Err(io::Error::new(io::ErrorKind::InvalidInput, "a client does not serve")),
        }
    }
}

/// A server that ends when this is dropped, if it was started for this.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    process: Option<Child>,
}

impl Server {
    fn start(broker: &str, options: &[&str]) -> io::Result<Self> {
        let mut process = Command::new(broker)
            .arg("127.0.0.1:0")
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.trim_end().rsplit(' ').next().and_then(|address| address.parse().ok());
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, format!("{broker} does not print its address"));
        Ok(Self { address: address.ok_or_else(invalid)?, process: Some(process) })
    }

    /// This server, or what stands before it at this address, as the target of a check.
    pub(crate) fn target(&self, at: SocketAddr, node: &str, patience: Duration, login: Login) -> ServerTarget {
        // Workers on one server must not take each other's links.
        ServerTarget { patience, login, container_id: String::from(node), ..ServerTarget::new(at, node) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
