//! The server's side of TLS, configured once for the AMQP listeners and for HTTPS.
//!
//! Clients may show a certificate, of any issuer: devices with self-signed certificates do. The handshake checks that
//! the client has the certificate's private key; [`x509`](crate::x509) and the hub decide which device it belongs to.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
};
use x509_parser::asn1_rs::{FromDer, Sequence};
use x509_parser::certificate::X509Certificate;

use crate::ca::ServerCertificate;

/// The crypto provider: the one that the application installed, or *ring*.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()))
}

/// The configuration that all listeners share. HTTPS adds its protocols to a clone of it.
pub(crate) fn server_config(certificate: &ServerCertificate) -> Result<Arc<ServerConfig>, Error> {
    let unreadable = |_| Error::General("the server's certificate is not PEM".into());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.chain_pem.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes()).map_err(unreadable)?;
    let provider = provider();
    let verifier = PossessionVerifier { algorithms: provider.signature_verification_algorithms };
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config =
        builder.with_client_cert_verifier(Arc::new(verifier)).with_single_cert(chain.map_err(unreadable)?, key)?;
    Ok(Arc::new(config))
}

/// Takes a certificate of any issuer from those who can sign with its key, and clients without one.
#[derive(Debug)]
struct PossessionVerifier {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for PossessionVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints: a client shows whatever it has.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // Issuer, dates and names are looked at when the device is known.
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(verify_tls12_signature, message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(verify_tls13_signature, message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// How a version of TLS has a signature verified.
type Verify = fn(
    &[u8],
    &CertificateDer<'_>,
    &DigitallySignedStruct,
    &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error>;

impl PossessionVerifier {
    fn verify(
        &self,
        by_version: Verify,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match ParsedCertificate::try_from(certificate) {
            Ok(_) => by_version(message, certificate, signed, &self.algorithms),
            Err(_) => self.verify_by_key(message, certificate, signed),
        }
    }

    /// For certificates that webpki does not read, such as those of X.509 version 1, which `openssl x509 -req` makes
    /// unless it is given extensions. Of them only the public key matters here.
    fn verify_by_key(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let bad = |error| Error::InvalidCertificate(error);
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| bad(CertificateError::BadEncoding))?;
        let key = parsed.public_key();
        let identifier = algorithm_identifier(&SubjectPublicKeyInfoDer::from(key.raw));
        let identifier = identifier.ok_or_else(|| bad(CertificateError::BadEncoding))?;
        let of_scheme = self.algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signed.scheme);
        let of_key =
            of_scheme.flat_map(|(_, all)| *all).filter(|algorithm| *algorithm.public_key_alg_id() == identifier);
        for algorithm in of_key {
            if algorithm.verify_signature(&key.subject_public_key.data, message, signed.signature()).is_ok() {
                return Ok(HandshakeSignatureValid::assertion());
            }
        }
        Err(bad(CertificateError::BadSignature))
    }
}

/// What is inside of the `AlgorithmIdentifier` of a public key.
fn algorithm_identifier(key: &SubjectPublicKeyInfoDer<'_>) -> Option<Vec<u8>> {
    let (_, outer) = Sequence::from_der(key).ok()?;
    let (_, inner) = Sequence::from_der(&outer.content).ok()?;
    Some(inner.content.into_owned())
}
