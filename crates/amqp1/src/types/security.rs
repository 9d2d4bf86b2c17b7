//! Facts about a peer from the layers below AMQP.

#[cfg(feature = "tls")]
use rustls::pki_types::CertificateDer;

/// Facts about the peer from the layers below AMQP.
#[derive(Clone, Debug, Default)]
pub(crate) struct Security {
    /// The chain that the peer has shown in TLS, its own certificate first.
    #[cfg(feature = "tls")]
    pub(crate) peer_certificates: Option<Vec<CertificateDer<'static>>>,
}

impl Security {
    /// Whether the peer has shown a certificate.
    pub(crate) fn has_certificate(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.peer_certificates.as_ref().is_some_and(|chain| !chain.is_empty());
        #[cfg(not(feature = "tls"))]
        false
    }
}
