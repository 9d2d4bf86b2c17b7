use super::ServiceClient;
use crate::{
    caller::{Caller, caller_setters},
    connect::{Hub, Place, Settings, common_setters},
    error::{Error, Subject},
};

/// A [`ServiceClient`] that is to be connected.
#[derive(Clone, Debug, Default)]
#[must_use = "call connect"]
pub struct ServiceClientBuilder {
    caller: Caller,
    settings: Settings,
}

impl ServiceClientBuilder {
    /// Sets which hub and as whom: `HostName=…;SharedAccessKeyName=…;SharedAccessKey=…`. The host may have a port
    /// (`HostName=localhost:5671`).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConnectionString`](crate::ErrorKind::InvalidConnectionString), with the part that is wrong.
    pub fn connection_string(mut self, text: &str) -> Result<Self, Error> {
        self.caller.set_string(text)?;
        Ok(self)
    }

    caller_setters!();

    common_setters!();

    /// Connects and authenticates.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthorized`](crate::ErrorKind::Unauthorized) for credentials that the hub refuses,
    /// [`ErrorKind::Connect`](crate::ErrorKind::Connect) where nothing listens,
    /// [`ErrorKind::Tls`](crate::ErrorKind::Tls) for a certificate that is not trusted,
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the connection is closed.
    pub async fn connect(self) -> Result<ServiceClient, Error> {
        let place = Place::of(&self.caller.hosts()?.network);
        let proof = self.caller.proof(self.settings.auth, self.settings.token_lifetime)?;
        Hub::open(&place, proof, &self.settings, Subject::Service).await.map(ServiceClient::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_wrong_connection_string_says_which_part() {
        let builder = ServiceClientBuilder::default().connection_string("HostName=h;SharedAccessKey=c2VjcmV0");
        let error = builder.expect_err("no policy");
        assert_eq!(error.kind(), ErrorKind::InvalidConnectionString);
        assert!(error.to_string().contains("SharedAccessKeyName"), "{error}");
        assert!(!format!("{error:?}").contains("c2VjcmV0"));
    }
}
