//! The server under test.

use super::Login;
use crate::{
    transport::Layers,
    wire::{Recorder, WireLog},
};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

/// The server under test, and how it is reached.
#[derive(Clone, Debug)]
pub struct ServerTarget {
    /// Its address.
    pub address: SocketAddr,
    /// TLS and WebSocket below AMQP.
    pub layers: Layers,
    /// The name that is put into open's `hostname`, and is looked for in its certificate.
    pub hostname: String,
    /// The tool's `container-id`. Cases that run at the same time need different ones: the name of a link is unique
    /// between two containers (§2.6.1).
    pub container_id: String,
    /// The login.
    pub login: Login,
    /// The address of a queue that the tool may fill and empty.
    pub node: String,
    /// The longest time that is waited for an answer.
    pub patience: Duration,
    /// The command that restarts the server, for a shell.
    pub restart: Option<String>,
}

impl ServerTarget {
    /// A server at this address, with a queue that the tool may fill and empty. The login is ANONYMOUS.
    pub fn new(address: SocketAddr, node: impl Into<String>) -> Self {
        Self {
            address,
            layers: Layers::default(),
            hostname: address.ip().to_string(),
            container_id: String::from("amqp-conformance"),
            login: Login::Anonymous,
            node: node.into(),
            patience: Duration::from_secs(5),
            restart: None,
        }
    }

    /// The same server with this login.
    #[must_use]
    pub fn with_login(self, login: Login) -> Self {
        Self { login, ..self }
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// If the server does not accept within this time.
    pub fn connect(&self, within: Duration, log: Arc<Mutex<WireLog>>) -> io::Result<Recorder> {
        Ok(Recorder::new(self.layers.connect(self.address, &self.hostname, within)?, log))
    }
}
