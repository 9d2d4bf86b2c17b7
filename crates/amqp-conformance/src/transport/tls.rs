//! TLS in both roles.

use std::{fmt, io, path::Path, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor, TlsConnector, client,
    rustls::{
        self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem, pem::PemObject},
    },
    server,
};

/// TLS that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file with certificates or a key cannot be read.
    #[error("{path}: it is not a file of certificates or keys in PEM")]
    Pem {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        error: pem::Error,
    },
    /// A file has no certificate in it.
    #[error("{0}: it has no certificate")]
    NoCertificate(String),
    /// The system has no certificates of authorities.
    #[error("the system has no certificates of authorities: give those of the server with --ca")]
    NoRoots,
    /// The certificates and the key cannot be used.
    #[error("the certificates cannot be used")]
    Rustls(#[from] rustls::Error),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// TLS to a server.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    is_verified: bool,
}

impl ClientTls {
    /// Trusts the authorities in this file of PEM, or those of the system.
    ///
    /// # Errors
    ///
    /// If there are none, or they cannot be read.
    pub fn verified(authorities: Option<&Path>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        match authorities {
            Some(path) => {
                for certificate in certificates(path)? {
                    roots.add(certificate)?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err(TlsError::NoRoots);
                }
            }
        }
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config), is_verified: true })
    }

    /// Trusts every certificate. Reports say so.
    ///
    /// # Errors
    ///
    /// If the versions of TLS cannot be used.
    pub fn insecure() -> Result<Self, TlsError> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TrustsAll(provider())))
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config), is_verified: false })
    }

    /// Returns `true` unless every certificate is trusted.
    pub fn is_verified(&self) -> bool {
        self.is_verified
    }

    pub(super) async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<client::TlsStream<TcpStream>> {
        let name = ServerName::try_from(String::from(host))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await.map_err(of_handshake)
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("is_verified", &self.is_verified).finish_non_exhaustive()
    }
}

/// TLS for a listener.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// The certificates and the private key of these files in PEM.
    ///
    /// # Errors
    ///
    /// If they cannot be read, or do not belong together.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| in_file(key, error))?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(certificates(certificate)?, key_der)?;
        Ok(Self { config: Arc::new(config) })
    }

    /// A certificate for `localhost` that it has signed itself, so that no client may trust it.
    ///
    /// # Errors
    ///
    /// If the provider cannot use it.
    pub fn untrusted() -> Result<Self, TlsError> {
        const CERTIFICATE: &[u8] = include_bytes!("../../data/untrusted.crt.der");
        const KEY: &[u8] = include_bytes!("../../data/untrusted.key.der");
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(CERTIFICATE)], PrivateKeyDer::Pkcs8(KEY.into()))?;
        Ok(Self { config: Arc::new(config) })
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<server::TlsStream<TcpStream>> {
        TlsAcceptor::from(Arc::clone(&self.config)).accept(stream).await
    }
}

/// The key is not shown.
impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

/// Says of a peer that leaves in the handshake, or answers in another protocol, that it does not speak TLS.
fn of_handshake(error: io::Error) -> io::Error {
    let is_other = |error: &rustls::Error| matches!(error, rustls::Error::InvalidMessage(_));
    let has_left = matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset);
    if has_left || error.get_ref().and_then(|error| error.downcast_ref()).is_some_and(is_other) {
        return io::Error::new(error.kind(), format!("the peer does not speak TLS there: {error}"));
    }
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(why)) => io::Error::new(error.kind(), of_certificate(why)),
        _ => error,
    }
}

/// Says what is wrong with the server's certificate, and what to do.
fn of_certificate(why: &CertificateError) -> String {
    let advice = match why {
        // Another authority of the same name has signed it.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "it is signed by an authority that is not trusted: give that one with --ca FILE, or trust every certificate \
             with --insecure"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another host: connect to a name that is in it, or trust every certificate with --insecure"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired: renew it, or trust every certificate with --insecure"
        }
        // The cause is a type of another crate, which is not named here.
        CertificateError::Other(cause) if format!("{cause:?}").contains("CaUsedAsEndEntity") => {
            "it is self-signed, and that of an authority (CA:TRUE), which a server must not use: make one with CA:FALSE, \
             or one that the authority has signed, and give the authority with --ca FILE; or trust every certificate with \
             --insecure"
        }
        _ => "trust every certificate with --insecure",
    };
    format!("the server's certificate is not valid ({why}): {advice}")
}

fn in_file(path: &Path, error: pem::Error) -> TlsError {
    TlsError::Pem { path: path.display().to_string(), error }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_file_iter(path).map_err(|error| in_file(path, error))?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(|error| in_file(path, error))?;
    if all.is_empty() { Err(TlsError::NoCertificate(path.display().to_string())) } else { Ok(all) }
}

/// Trusts every certificate; signatures are still checked.
#[derive(Debug)]
struct TrustsAll(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustsAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
