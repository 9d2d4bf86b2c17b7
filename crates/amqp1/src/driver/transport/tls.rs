//! TLS, by rustls. Verification cannot be switched off.

use super::first::First;
use crate::types::{
    error::{Error, ErrorKind},
    security::Security,
};
use amqp1_codec::frame::SpokenProtocol;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::WebPkiClientVerifier,
};
use std::{fmt, io, path::Path, sync::Arc};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

fn config_error(what: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Config, format!("TLS cannot be configured: {what}"))
}

/// The crypto provider: the one that the application installed, or the one that a feature chose.
fn provider() -> Result<Arc<CryptoProvider>, Error> {
    if let Some(provider) = CryptoProvider::get_default() {
        return Ok(Arc::clone(provider));
    }
    #[cfg(feature = "aws-lc-rs")]
    return Ok(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    return Ok(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    Err(config_error("no crypto provider: install one, or enable the feature ring or aws-lc-rs"))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| config_error(format_args!("a certificate is not PEM: {error}")))?;
    if chain.is_empty() { Err(config_error("no certificate in the PEM text")) } else { Ok(chain) }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| config_error("no private key in the PEM text"))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(config_error)?;
    }
    Ok(roots)
}

/// How a client does TLS: whom it trusts, and how it shows who it is.
#[derive(Clone)]
pub struct TlsClient {
    roots: Arc<RootCertStore>,
    identity: Option<Arc<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>>,
    config: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").field("identity", &self.identity.is_some()).finish_non_exhaustive()
    }
}

impl TlsClient {
    /// Trusts what the platform trusts.
    ///
    /// If the environment variable `SSL_CERT_FILE` names a PEM file, or `SSL_CERT_DIR` a directory of them, the
    /// certificates there are trusted in place of the platform's.
    ///
    /// # Errors
    ///
    /// If the platform's trust store, or what those variables name, cannot be read or holds no certificate.
    pub fn platform() -> Result<Self, Error> {
        let loaded = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(loaded.certs);
        if added == 0 {
            return Err(
                match ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find(|name| std::env::var_os(name).is_some()) {
                    Some(name) => config_error(format_args!("no certificate can be read where {name} says")),
                    None => config_error("the platform's trust store holds no certificate; give a CA of your own"),
                },
            );
        }
        Ok(Self { roots: Arc::new(roots), identity: None, config: None })
    }

    /// Trusts these certificate authorities only.
    ///
    /// # Errors
    ///
    /// If the text holds no certificate.
    pub fn with_ca_pem(pem: &[u8]) -> Result<Self, Error> {
        Ok(Self { roots: Arc::new(roots(pem)?), identity: None, config: None })
    }

    /// Trusts the certificate authorities of this file only.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or holds no certificate.
    pub fn with_ca_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let pem = std::fs::read(path);
        Self::with_ca_pem(&pem.map_err(|error| config_error(format_args!("{}: {error}", path.display())))?)
    }

    /// Shows this certificate chain to servers that ask for one.
    ///
    /// # Errors
    ///
    /// If the texts hold no certificate or no key.
    pub fn client_certificate(mut self, chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, Error> {
        self.identity = Some(Arc::new((certificates(chain_pem)?, private_key(key_pem)?)));
        Ok(self)
    }

    /// Does as this configuration says.
    pub fn from_config(config: Arc<ClientConfig>) -> Self {
        Self { roots: Arc::new(RootCertStore::empty()), identity: None, config: Some(config) }
    }

    /// Returns the configuration of rustls that connections are made with, for other protocols to the same host.
    ///
    /// # Errors
    ///
    /// If there is no crypto provider, or the client certificate does not fit its key.
    pub fn to_config(&self) -> Result<Arc<ClientConfig>, Error> {
        if let Some(config) = &self.config {
            return Ok(config.clone());
        }
        let builder = ClientConfig::builder_with_provider(provider()?).with_safe_default_protocol_versions();
        let builder = builder.map_err(config_error)?.with_root_certificates(self.roots.clone());
        let config = match self.identity.as_deref() {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(config_error)?
            }
        };
        Ok(Arc::new(config))
    }

    /// Returns what TLS says about an error of a stream, in words; `None` if the error is not one of TLS.
    pub fn reason(error: &io::Error) -> Option<String> {
        tls_reason(error)
    }
}

/// How a server does TLS.
#[derive(Clone)]
pub struct TlsServer {
    chain: Vec<CertificateDer<'static>>,
    key: Option<Arc<PrivateKeyDer<'static>>>,
    client_roots: Option<Arc<RootCertStore>>,
    config: Option<Arc<ServerConfig>>,
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").field("client_certificates", &self.client_roots.is_some()).finish_non_exhaustive()
    }
}

impl TlsServer {
    /// Shows this certificate chain.
    ///
    /// # Errors
    ///
    /// If the texts hold no certificate or no key.
    pub fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, Error> {
        let key = Some(Arc::new(private_key(key_pem)?));
        Ok(Self { chain: certificates(chain_pem)?, key, client_roots: None, config: None })
    }

    /// Asks clients for a certificate of these authorities; those without one are served too.
    ///
    /// # Errors
    ///
    /// If the text holds no certificate.
    pub fn request_client_certificates(mut self, ca_pem: &[u8]) -> Result<Self, Error> {
        self.client_roots = Some(Arc::new(roots(ca_pem)?));
        Ok(self)
    }

    /// Does as this configuration says.
    pub fn from_config(config: Arc<ServerConfig>) -> Self {
        Self { chain: Vec::new(), key: None, client_roots: None, config: Some(config) }
    }

    /// Returns the configuration of rustls that clients are served with, for other protocols on the same host.
    ///
    /// # Errors
    ///
    /// If there is no crypto provider, or the certificate does not fit its key.
    pub fn to_config(&self) -> Result<Arc<ServerConfig>, Error> {
        if let Some(config) = &self.config {
            return Ok(config.clone());
        }
        let key = self.key.as_ref().ok_or_else(|| config_error("the server has no key"))?;
        let provider = provider()?;
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.map_err(config_error)?;
        let builder = match &self.client_roots {
            None => builder.with_no_client_auth(),
            Some(roots) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider);
                let verifier = verifier.allow_unauthenticated().build().map_err(config_error)?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        builder.with_single_cert(self.chain.clone(), key.clone_key()).map(Arc::new).map_err(config_error)
    }
}

/// A client's TLS handshake that is ready to be made: what can be wrong at this end has been looked at.
pub(crate) struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Connector {
    /// `name` is what the server's certificate must be for; it is sent as SNI.
    pub(crate) fn new(tls: &TlsClient, name: &str) -> Result<Self, Error> {
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| config_error(format_args!("{name} cannot be the name of a server")))?;
        Ok(Self { config: tls.to_config()?, name })
    }

    pub(crate) async fn connect<IO>(self, io: IO) -> Result<(client::TlsStream<First<IO>>, Security), Error>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let name = self.name.to_str().into_owned();
        let stream = TlsConnector::from(self.config).connect(self.name, First::new(io)).into_fallible().await;
        let stream = stream.map_err(|(error, io)| match not_tls_at_server(io.spoken()) {
            Some(text) => Error::new(ErrorKind::Tls, text).with_source(error),
            None => handshake_error(&format!("TLS with {name} failed"), CLOSED_BY_SERVER, error),
        })?;
        let security = security(stream.get_ref().1.peer_certificates());
        Ok((stream, security))
    }
}

/// A server's TLS handshake.
pub(crate) async fn accept<IO>(tls: &TlsServer, io: IO) -> Result<(server::TlsStream<First<IO>>, Security), Error>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let stream = TlsAcceptor::from(tls.to_config()?).accept(First::new(io)).into_fallible().await;
    let stream = stream.map_err(|(error, io)| match not_tls_at_client(io.spoken()) {
        Some(text) => Error::new(ErrorKind::Tls, text).with_source(error),
        None => handshake_error("TLS with a client failed", CLOSED_BY_CLIENT, error),
    })?;
    let security = security(stream.get_ref().1.peer_certificates());
    Ok((stream, security))
}

fn security(chain: Option<&[CertificateDer<'static>]>) -> Security {
    Security { peer_certificates: chain.map(<[_]>::to_vec) }
}

/// The protocol of a server that does not speak TLS.
fn not_tls_at_server(spoken: SpokenProtocol) -> Option<&'static str> {
    match spoken {
        SpokenProtocol::Amqp1(_) => Some("this port speaks AMQP without TLS: use amqp://"),
        SpokenProtocol::Amqp0 => Some("this port speaks AMQP 0-9-1 without TLS, not AMQP 1.0 with it"),
        SpokenProtocol::Http => Some("this port speaks HTTP, not TLS: check the port"),
        _ => None,
    }
}

/// The protocol of a client that does not speak TLS.
pub(super) fn not_tls_at_client(spoken: SpokenProtocol) -> Option<&'static str> {
    match spoken {
        SpokenProtocol::Amqp1(_) => Some("the client speaks AMQP without TLS: let it use amqps://"),
        SpokenProtocol::Amqp0 => Some("the client speaks AMQP 0-9-1 without TLS, not AMQP 1.0 with it"),
        SpokenProtocol::Http => Some("the client speaks HTTP, not TLS"),
        _ => None,
    }
}

/// The error text of a client whose server closed the connection during the handshake.
const CLOSED_BY_SERVER: &str =
    "the peer closed the connection; this port may speak AMQP without TLS: use amqp:// if so";

/// The error text of a server whose client closed the connection during the handshake.
const CLOSED_BY_CLIENT: &str =
    "the client closed the connection during the TLS handshake: it may not trust the server's certificate";

/// One plain sentence about a handshake that failed. `closed` is the sentence for a connection that the peer closed.
fn handshake_error(what: &str, closed: &str, error: io::Error) -> Error {
    let why = match tls_reason(&error) {
        Some(why) => why,
        None if error.kind() == io::ErrorKind::UnexpectedEof => closed.to_owned(),
        None => error.to_string(),
    };
    Error::new(ErrorKind::Tls, format!("{what}: {why}")).with_source(error)
}

/// The error of TLS behind an error of the stream, if there is one.
pub(crate) fn tls_reason(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::InvalidCertificate(certificate) => certificate_reason(certificate),
        rustls::Error::AlertReceived(alert) => alert_reason(*alert),
        rustls::Error::InvalidMessage(_) => "the peer does not speak TLS on this port".to_owned(),
        rustls::Error::NoCertificatesPresented => "the peer has shown no certificate".to_owned(),
        other => other.to_string(),
    })
}

fn certificate_reason(error: &CertificateError) -> String {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, Revoked, UnknownIssuer,
    };
    match error {
        // The second: there is a trusted authority of that name, but with another key.
        UnknownIssuer | BadSignature => {
            "the peer's certificate comes from an authority that is not trusted here".to_owned()
        }
        Expired | ExpiredContext { .. } => "the peer's certificate has expired".to_owned(),
        NotValidYet | NotValidYetContext { .. } => "the peer's certificate is not valid yet".to_owned(),
        NotValidForName => "the peer's certificate is for another name".to_owned(),
        NotValidForNameContext { presented, .. } => {
            format!("the peer's certificate is for another name: {}", presented.join(", "))
        }
        Revoked => "the peer's certificate was revoked".to_owned(),
        other => format!("the peer's certificate cannot be verified: {other}"),
    }
}

fn alert_reason(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA => {
            "the peer does not trust the certificate that it was shown (alert unknown_ca)".to_owned()
        }
        AlertDescription::DecryptError => {
            "the peer does not trust the certificate that it was shown: it may know another authority of the same name \
             (alert decrypt_error)"
                .to_owned()
        }
        AlertDescription::CertificateRequired => "the peer wants a certificate, and none was shown".to_owned(),
        AlertDescription::BadCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => {
            format!("the peer does not take the certificate that it was shown ({alert:?})")
        }
        other => format!("the peer broke the handshake off ({other:?})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_said_to_be_none() {
        for pem in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "rubbish"] {
            let error = TlsClient::with_ca_pem(pem.as_bytes()).expect_err(pem);
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        }
        let error = TlsClient::with_ca_file("/does/not/exist").expect_err("no file");
        assert!(error.to_string().contains("/does/not/exist"), "{error}");
    }
}
