//! From the host of a connection string to wherever its events are.

use super::{
    builder::Origin,
    redirect::{Hop, MAX_HOPS, refused},
};
use crate::{
    caller::Caller,
    connect::{Hub, Place, Proof, Settings},
    credential::Signer,
    error::{Error, ErrorKind, Subject},
};
use amqp1::auth::connection_string::Credential;

/// The port of an emulator of Event Hubs, which speaks without TLS.
const EMULATOR: u16 = 5672;

/// Where the client is on its way.
pub(super) struct Trail<'a> {
    origin: &'a Origin,
    settings: &'a Settings,
    allowed: &'a [String],
    place: Place,
    proof: Proof,
    address: String,
    hops: usize,
}

impl<'a> Trail<'a> {
    /// The way to what is `below` the events of the hub.
    pub(super) fn new(
        origin: &'a Origin,
        settings: &'a Settings,
        allowed: &'a [String],
        below: &str,
    ) -> Result<Self, Error> {
        let (place, proof, address) = match origin {
            Origin::Hub(string) => {
                let proof = Caller::from(string).proof(settings.auth, settings.token_lifetime)?;
                (Place::of(string.network_host()), proof, format!("/messages/events/{below}"))
            }
            Origin::EventHubs(string) => {
                let endpoint = string.endpoint();
                let mut place = Place::of(endpoint);
                if string.is_development_emulator() {
                    place = Place { port: endpoint.port_or(EMULATOR), tls: false, ..place };
                }
                let address = format!("{}/{below}", string.entity_path().unwrap_or_default().trim_matches('/'));
                let resource = format!("sb://{}/{address}", endpoint.host().to_ascii_lowercase());
                (place, proof(string.credential(), resource, settings)?, address)
            }
        };
        Ok(Self { origin, settings, allowed, place, proof, address, hops: 0 })
    }

    /// What to attach to here.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Whether this is still the hub itself, which may redirect.
    pub(super) fn is_at_hub(&self) -> bool {
        self.hops == 0 && matches!(self.origin, Origin::Hub(_))
    }

    /// Connects to where the way has led so far.
    pub(super) async fn open(&self) -> Result<Hub, Error> {
        Hub::open(&self.place, self.proof.clone(), self.settings, Subject::Events).await
    }

    /// Goes on to where the error redirects, if it does.
    pub(super) fn follow(&mut self, hub: &Hub, error: amqp1::Error) -> Result<(), Error> {
        let Some(redirect) = error.redirect() else { return Err(hub.error(error)) };
        if self.hops == MAX_HOPS {
            return Err(refused(&format!("{MAX_HOPS} others led to it")));
        }
        let hop = Hop::new(&redirect, &self.place, self.origin.host(), self.allowed)?;
        tracing::debug!(host = hop.place.name, address = hop.address, "following the redirect");
        self.proof = proof(self.origin.credential(), hop.address.clone(), self.settings)?;
        (self.place, self.address) = (hop.place, hop.address);
        self.hops += 1;
        Ok(())
    }
}

/// A token for the Event-Hubs-compatible endpoint.
fn proof(credential: &Credential, resource: String, settings: &Settings) -> Result<Proof, Error> {
    let signer = Signer::for_events(credential, resource, settings.token_lifetime)?;
    let no_key = || Error::new(ErrorKind::InvalidConnectionString, "the connection string has no SharedAccessKey");
    signer.map(Proof::Cbs).ok_or_else(no_key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1::auth::connection_string::ConnectionString;

    fn first(text: &str) -> (Place, String, String) {
        let origin = match ConnectionString::parse(text).expect("a connection string") {
            ConnectionString::Service(string) => Origin::Hub(string),
            ConnectionString::EventHubs(string) => Origin::EventHubs(string),
            ConnectionString::Device(_) => panic!("not for events"),
        };
        let settings = Settings::default();
        let trail = Trail::new(&origin, &settings, &[], "ConsumerGroups/$Default/Partitions/1").expect("a key");
        let Proof::Cbs(signer) = trail.proof else { panic!("CBS is the default") };
        (trail.place, signer.resource().to_owned(), trail.address)
    }

    #[test]
    fn a_service_begins_at_its_hub() {
        let (place, resource, address) = first("HostName=Hub.example;SharedAccessKeyName=service;SharedAccessKey=YWJj");
        assert_eq!((place.name.as_str(), place.port, place.tls), ("Hub.example", 5671, true));
        assert_eq!(resource, "hub.example");
        assert_eq!(address, "/messages/events/ConsumerGroups/$Default/Partitions/1");
    }

    #[test]
    fn an_event_hubs_connection_string_begins_at_its_entity() {
        let (place, resource, address) =
            first("Endpoint=sb://ns.example/;SharedAccessKeyName=p;SharedAccessKey=any text;EntityPath=hub");
        assert_eq!((place.name.as_str(), place.port, place.tls), ("ns.example", 5671, true));
        assert_eq!(resource, "sb://ns.example/hub/ConsumerGroups/$Default/Partitions/1");
        assert_eq!(address, "hub/ConsumerGroups/$Default/Partitions/1");
    }

    #[test]
    fn an_emulator_is_without_tls() {
        let text =
            "Endpoint=sb://localhost;SharedAccessKeyName=p;SharedAccessKey=k;UseDevelopmentEmulator=true;EntityPath=e";
        let (place, ..) = first(text);
        assert_eq!((place.port, place.tls), (5672, false));
    }
}
