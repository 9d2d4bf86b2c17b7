//! Many devices on one connection.

use super::{
    DeviceClient, DeviceClientBuilder, ModuleClient, ModuleClientBuilder, client::IdentityClient, links::Identity,
    who::Who,
};
use crate::{
    connect::{Hub, Place, Proof, Settings, client, shared_setters},
    error::{Error, ErrorKind, Subject},
    random::random,
};
use amqp1::{
    Connection, Delivered,
    auth::{cbs::RenewalPolicy, connection_string::DeviceConnectionString, sasl::Mssbcbs},
    cbs::Cbs,
};
use std::{sync::Arc, time::Duration};

/// The highest channel: as many sessions as the service grants on one connection.
const CHANNEL_MAX: u16 = 8191;

/// A thousand devices have some ten links each, of which the hub repeats names and properties when it answers.
const MAX_LINKS: usize = 20_000;
const MAX_METADATA: usize = 8 * 1024 * 1024;

/// The share of a token's life, in per cent, after which it is renewed: somewhere between the two, so that the tokens of
/// devices that were added together are not renewed together.
const RENEW_AT: std::ops::Range<u64> = 60..86;

/// A connection that many devices and modules share: each has its own authorization, session and links, and none is
/// affected by what happens to another.
///
/// The service takes up to 1,000 devices on a connection. Devices are added and removed at any time, with
/// [`add_device`](Self::add_device) and [`DeviceClient::close`]. Each authenticates with a token of its own: with a key, a
/// ready token or a token provider. Tokens are renewed at times that are spread, at most 16 at a time. Certificates belong
/// to a connection, so a device that has one needs its own.
///
/// A device whose token is refused is not added. Where one loses its authorization later, or the hub ends its session,
/// its own client fails with the reason; the others go on.
///
/// ```no_run
/// use iothub::{DeviceClient, MultiplexedConnection, Telemetry};
///
/// # async fn example(strings: Vec<String>) -> Result<(), iothub::Error> {
/// let connection = MultiplexedConnection::builder().host("my-hub.azure-devices.net")?.connect().await?;
/// let mut devices = Vec::new();
/// for string in &strings {
///     devices.push(connection.add_device(DeviceClient::builder().connection_string(string)?).await?);
/// }
/// for device in &devices {
///     device.send(Telemetry::new("on")).await?;
/// }
/// connection.close().await
/// # }
/// ```
#[doc(alias = "MultiplexingClient")]
#[derive(Clone, Debug)]
pub struct MultiplexedConnection {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connection: Connection,
    cbs: Cbs,
    place: Place,
    settings: Settings,
}

/// A [`MultiplexedConnection`] that is to be made.
#[derive(Clone, Debug, Default)]
#[must_use = "call connect"]
pub struct MultiplexedConnectionBuilder {
    place: Option<Place>,
    settings: Settings,
}

impl MultiplexedConnectionBuilder {
    /// Sets the hub, or the gateway in front of it. The host may have a port.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConnectionString`] if it cannot be a host.
    pub fn host(mut self, host: &str) -> Result<Self, Error> {
        let mut who = Who::default();
        who.set_names(host, "any", None)?;
        self.place = Some(Place::of(&who.names()?.network_host));
        Ok(self)
    }

    /// Sets the hub from the connection string of one of its devices, which is not added by it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConnectionString`], with the part that is wrong.
    pub fn host_of(mut self, connection_string: &str) -> Result<Self, Error> {
        self.place = Some(Place::of(DeviceConnectionString::parse(connection_string)?.network_host()));
        Ok(self)
    }

    shared_setters!();

    /// Connects. Devices are added afterwards.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Connect`] where nothing listens, [`ErrorKind::Tls`] for a certificate that is not trusted,
    /// [`ErrorKind::Timeout`].
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the connection is closed.
    pub async fn connect(self) -> Result<MultiplexedConnection, Error> {
        let Self { place, settings } = self;
        let Some(place) = place else {
            return Err(Error::new(ErrorKind::InvalidConnectionString, "a connection needs a host"));
        };
        let connecting = async {
            let builder = client(&place, &settings)?.sasl(Mssbcbs::default());
            let builder = builder.config(|config| {
                config.channel_max = CHANNEL_MAX;
                config.max_links = MAX_LINKS;
                config.max_metadata = MAX_METADATA;
            });
            let connection = builder.connect().await.map_err(|error| Subject::Device.error(error))?;
            let cbs = Cbs::open(&connection).await.map_err(|error| Subject::Device.error(error))?;
            Ok::<_, Error>((connection, cbs))
        };
        let (connection, cbs) = connecting.await.map_err(|error| error.about(Delivered::No))?;
        Ok(MultiplexedConnection { inner: Arc::new(Inner { connection, cbs, place, settings }) })
    }
}

impl MultiplexedConnection {
    /// A connection that is to be made.
    pub fn builder() -> MultiplexedConnectionBuilder {
        MultiplexedConnectionBuilder::default()
    }

    /// Adds a device: authorizes it and begins its session. Many may be added at a time. Its client is an ordinary one,
    /// except that its [`close`](DeviceClient::close) leaves the connection to the others. What the builder says of TLS and
    /// of time-outs is not used: that is the connection's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthorized`] for credentials that the hub refuses, which leaves the others as they are;
    /// [`ErrorKind::InvalidArgument`] for a device of another hub, or one with a certificate.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the device is not added.
    pub async fn add_device(&self, device: DeviceClientBuilder) -> Result<DeviceClient, Error> {
        let (who, settings) = device.into_parts();
        self.add(who, settings).await.map(|client| DeviceClient { client })
    }

    /// Adds a module, as [`add_device`](Self::add_device) does a device.
    ///
    /// # Errors
    ///
    /// As [`add_device`](Self::add_device).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the module is not added.
    pub async fn add_module(&self, module: ModuleClientBuilder) -> Result<ModuleClient, Error> {
        let (who, settings) = module.into_parts();
        self.add(who, settings).await.map(|client| ModuleClient { client })
    }

    async fn add(&self, who: Who, settings: Settings) -> Result<IdentityClient, Error> {
        let Inner { connection, cbs, place, settings: own } = &*self.inner;
        let names = who.names()?;
        if Place::of(&names.network_host) != *place {
            return Err(Error::invalid("the device is of another hub than the connection"));
        }
        let Proof::Cbs(signer) = who.proof(&settings)? else {
            return Err(Error::invalid("on a connection that is shared each device needs a key or a token, and CBS"));
        };
        let identity = Identity { device: names.device.clone(), module: names.module.clone() };
        let policy = renewal(settings.token_lifetime, random());
        let hub = Hub::join(connection, cbs, signer, own.operation_timeout, policy).await?;
        Ok(IdentityClient::new(hub, identity))
    }

    /// Whether the connection has ended, with all devices on it.
    pub fn is_closed(&self) -> bool {
        self.inner.connection.is_closed()
    }

    /// Writes what is queued, settlements included, and closes the connection; the devices' clients end with it.
    ///
    /// # Errors
    ///
    /// If the connection had ended otherwise, or the hub does not answer in time.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it goes on closing by itself.
    pub async fn close(&self) -> Result<(), Error> {
        match self.inner.connection.close().await {
            // It was closed before, which is what was wanted.
            Err(error) if error.kind() == amqp1::ErrorKind::Closed => Ok(()),
            closed => closed.map_err(|error| Subject::Device.error(error)),
        }
    }
}

/// When a token is renewed, of those that live this long.
fn renewal(lifetime: Duration, random: u64) -> RenewalPolicy {
    let share = RENEW_AT.start + random % (RENEW_AT.end - RENEW_AT.start);
    let default = RenewalPolicy::default();
    RenewalPolicy {
        renew_at_percent: u8::try_from(share).unwrap_or(default.renew_at_percent),
        // A short life has a short margin, or all of them would be renewed all the time. Expiries are whole seconds, which
        // takes up to one of them away.
        margin: default.margin.min((lifetime / 4).max(Duration::from_secs(2))),
        ..default
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewals_are_spread_over_a_quarter_of_a_tokens_life() {
        let shares: Vec<u8> = (0..1000).map(|n| renewal(Duration::from_secs(3600), n).renew_at_percent).collect();
        assert_eq!((shares.iter().min(), shares.iter().max()), (Some(&60), Some(&85)));
        for share in 60..=85 {
            let together = shares.iter().filter(|other| **other == share).count();
            assert!(together <= 39, "{together} of 1000 at {share} %");
        }
        assert_eq!(renewal(Duration::from_secs(20), 0).margin, Duration::from_secs(5));
        assert_eq!(renewal(Duration::from_secs(3), 0).margin, Duration::from_secs(2));
        assert_eq!(renewal(Duration::from_secs(3600), 0).margin, Duration::from_secs(30));
    }
}
