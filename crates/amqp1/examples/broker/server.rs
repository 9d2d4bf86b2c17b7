//! The connections: who is let in, and how they end.

use super::{Options, attach, broker::Broker, consumer::is_orderly, transactions::Posted, users::Users};
use amqp1::{
    Acceptor, Connection, Symbol,
    acceptor::IncomingConnection,
    auth::sasl::{anonymous, plain},
    connection::Tolerances,
    engine::ErrantLinks,
    error::{AmqpError, ErrorCondition},
    link::capability,
    message::Str,
    tls::TlsServer,
    transaction::{Coordinator, CoordinatorConfig},
};
use std::{error::Error, fs, future::Future, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::watch,
    task::JoinSet,
};

/// How long clients have to answer the close when the broker ends.
const CLOSING: Duration = Duration::from_secs(5);

/// How long the broker waits after a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Server {
    acceptor: Acceptor,
    pub(crate) broker: Arc<Broker>,
    stop: watch::Sender<bool>,
}

impl Server {
    pub(crate) fn new(options: Options) -> Result<Arc<Self>, Box<dyn Error>> {
        let builder = Acceptor::builder().sole_connections();
        let mut builder = builder.config(|config| config.offered_capabilities.push(capability::ANONYMOUS_RELAY));
        let idle = Duration::from_secs(options.idle_time_out);
        builder = builder.config(|config| config.idle_timeout = Some(idle));
        builder = builder.handshake_timeout(Duration::from_secs(options.handshake_time_out));
        if options.strict {
            builder = builder.config(|config| {
                config.tolerances = Tolerances::STRICT;
                config.errant_links = ErrantLinks::EndSession;
            });
        }
        builder = match Users::of(&options)? {
            Some(users) => {
                let mechanisms: Vec<_> = users.mechanisms().into_iter().map(Symbol::from_static).collect();
                builder.authenticator(users).mechanisms(mechanisms)
            }
            // A server that does not authenticate its clients offers ANONYMOUS alone (§5.3.3.1).
            None if options.only_anonymous || options.strict => {
                builder.mechanisms([Symbol::from_static(anonymous::NAME)])
            }
            // Some clients know PLAIN alone. Whatever they say.
            None => builder.mechanisms([anonymous::NAME, plain::NAME].map(Symbol::from_static)),
        };
        if let [certificate, key] = options.tls.as_slice() {
            let read = |path| fs::read(path).map_err(|error| format!("cannot read {path:?}: {error}"));
            builder = builder.tls(TlsServer::from_pem(&read(certificate)?, &read(key)?)?);
        }
        let (acceptor, broker, stop) = (builder.build(), Broker::new(options), watch::Sender::new(false));
        Ok(Arc::new(Self { acceptor, broker: Arc::new(broker), stop }))
    }

    /// Serves until `stop` completes, then closes the connections. Returns how many messages are lost with it.
    pub(crate) async fn run(self: Arc<Self>, listener: TcpListener, stop: impl Future<Output = ()>) -> usize {
        tokio::pin!(stop);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => drop(connections.spawn(self.clone().serve(stream))),
                    // As a rule too many files are open, until some connections end.
                    Err(error) => {
                        eprintln!("broker: a connection was not accepted: {error}");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                // Those that are over are forgotten.
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        self.stop.send_replace(true);
        let closing = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(CLOSING, closing).await.is_err() {
            eprintln!("broker: some clients did not answer the close");
        }
        self.broker.len()
    }

    /// Serves one client. What goes wrong with it is no reason to leave the others.
    pub(crate) async fn serve(self: Arc<Self>, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let accepted = tokio::select! {
            accepted = self.acceptor.accept(io) => accepted,
            () = self.stopped() => return,
        };
        let served = match accepted {
            Ok(incoming) => self.serve_links(incoming).await,
            Err(error) => Err(error),
        };
        match served {
            Err(error) if !is_orderly(&error) || error.amqp_error().is_some() => eprintln!("broker: {error}"),
            _ => {}
        }
    }

    /// Waits until the broker ends.
    async fn stopped(&self) {
        self.stop.subscribe().wait_for(|stop| *stop).await.ok();
    }

    async fn serve_links(&self, incoming: IncomingConnection) -> Result<(), amqp1::Error> {
        let container = incoming.open().container_id;
        let mut connection = incoming.accept().await?;
        // How long a transaction may take is its client's to say, like the work on a message.
        let config = CoordinatorConfig { timeout: None, ..CoordinatorConfig::default() };
        let client = Client {
            broker: self.broker.clone(),
            connection: connection.connection().clone(),
            coordinator: connection.coordinator(config)?,
            number: self.broker.new_link(),
            container,
        };
        loop {
            tokio::select! {
                link = connection.next_link() => match link {
                    Some(link) => drop(tokio::spawn(attach::answer(client.clone(), link))),
                    None => return Ok(()),
                },
                () = self.stopped() => {
                    // What was accepted is said first; what is out with the client stays in its queue.
                    let error = AmqpError::new(ErrorCondition::CONNECTION_FORCED, "the broker ends");
                    return connection.connection().close_with(Some(error)).await;
                }
            }
        }
    }
}

/// The other end of a connection.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) broker: Arc<Broker>,
    pub(crate) connection: Connection,
    pub(crate) container: Str,
    pub(crate) coordinator: Coordinator<Posted>,
    pub(crate) number: u64,
}
