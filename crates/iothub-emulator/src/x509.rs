//! Client certificates, read for the hub: their hashes, names and dates, and whether a known authority issued them.

use core::fmt;
use core::time::Duration;
use std::path::Path;
use std::sync::Arc;

use sha1::Sha1;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{CertificateError, Error as TlsError, RootCertStore};
use x509_parser::asn1_rs::FromDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Version;

use crate::hub::{ClientCertificate, UnixMillis};
use crate::tls::provider;

/// Why a certificate authority for devices cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeviceCaError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text has no certificate in PEM, or one that cannot be an authority's.
    #[error("the certificate authority for devices: {0}")]
    Unusable(String),
}

/// The authorities whose certificates devices may show.
#[derive(Default)]
pub(crate) struct DeviceAuthorities {
    all: Vec<Authority>,
}

struct Authority {
    verifier: Arc<dyn ClientCertVerifier>,
    /// Verification takes no notice of it: to rustls a root is a name and a key.
    validity: (UnixMillis, UnixMillis),
}

impl fmt::Debug for DeviceAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceAuthorities").field("all", &self.all.len()).finish()
    }
}

impl DeviceAuthorities {
    /// The authorities of these PEM texts, each with one or more certificates.
    pub(crate) fn from_pem<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, DeviceCaError> {
        let unusable = |why: &dyn fmt::Display| DeviceCaError::Unusable(why.to_string());
        let mut all = Vec::new();
        for text in texts {
            let before = all.len();
            for certificate in CertificateDer::pem_slice_iter(text) {
                let certificate = certificate.map_err(|_| unusable(&"not a certificate in PEM"))?;
                let parsed = X509Certificate::from_der(&certificate).map_err(|error| unusable(&error))?.1;
                let validity = validity(&parsed);
                let mut root = RootCertStore::empty();
                root.add(certificate.clone()).map_err(|error| unusable(&error))?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(root), provider()).build();
                all.push(Authority { verifier: verifier.map_err(|error| unusable(&error))?, validity });
            }
            if all.len() == before {
                return Err(unusable(&"no certificate in the PEM text"));
            }
        }
        Ok(Self { all })
    }

    /// Reads the chain that a client has shown in TLS, its own certificate first.
    pub(crate) fn read(&self, chain: &[CertificateDer<'_>], now: UnixMillis) -> Option<Arc<ClientCertificate>> {
        let (own, intermediates) = chain.split_first()?;
        let parsed = X509Certificate::from_der(own).ok().map(|(_, parsed)| parsed);
        Some(Arc::new(ClientCertificate {
            sha1: hexadecimal(&Sha1::digest(own)),
            sha256: hexadecimal(&Sha256::digest(own)),
            common_name: parsed.as_ref().and_then(common_name),
            validity: parsed.as_ref().map(validity),
            issued: self.issued(parsed.as_ref(), own, intermediates, now),
        }))
    }

    fn issued(
        &self,
        parsed: Option<&X509Certificate<'_>>,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixMillis,
    ) -> Result<(), String> {
        if self.all.is_empty() {
            return Err("the hub was given no certificate authority for devices".into());
        }
        if parsed.is_some_and(|parsed| parsed.version() != X509Version::V3) {
            return Err("it is of X.509 version 1, which has no extensions: issue it with extensions \
                        (openssl x509 -req with -extfile)"
                .into());
        }
        let time = UnixTime::since_unix_epoch(Duration::from_millis(now.0));
        let mut why = None;
        for Authority { verifier, validity: (from, to) } in &self.all {
            match verifier.verify_client_cert(own, intermediates, time) {
                Ok(_) if now < *from || now > *to => {
                    why = Some(format!(
                        "the authority that has issued it is valid from {} to {}",
                        from.to_iso8601(),
                        to.to_iso8601()
                    ));
                }
                Ok(_) => return Ok(()),
                Err(TlsError::InvalidCertificate(CertificateError::UnknownIssuer)) => {}
                Err(error) => _ = why.get_or_insert_with(|| reason(&error)),
            }
        }
        Err(why.unwrap_or_else(|| reason(&TlsError::InvalidCertificate(CertificateError::UnknownIssuer))))
    }
}

/// Reads the file of an authority.
pub(crate) fn read_authority(path: &Path) -> Result<Vec<u8>, DeviceCaError> {
    std::fs::read(path).map_err(|source| DeviceCaError::Io { path: path.into(), source })
}

fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let mut names = certificate.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?.to_owned();
    names.next().is_none().then_some(name)
}

/// From when to when it is valid.
fn validity(certificate: &X509Certificate<'_>) -> (UnixMillis, UnixMillis) {
    let validity = certificate.validity();
    (millis(validity.not_before), millis(validity.not_after))
}

fn millis(time: ASN1Time) -> UnixMillis {
    UnixMillis(u64::try_from(time.timestamp()).unwrap_or_default().saturating_mul(1000))
}

fn reason(error: &TlsError) -> String {
    match error {
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "none of the hub's authorities has issued it, or an intermediate certificate is missing".into()
        }
        TlsError::InvalidCertificate(CertificateError::InvalidPurpose) => {
            "its extended key usage does not allow client authentication".into()
        }
        other => other.to_string(),
    }
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, Issuer, KeyPair};

    fn named(name: &str) -> CertificateParams {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters
    }

    fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
        let mut parameters = named(name);
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        (pem, Issuer::new(parameters, key))
    }

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    #[test]
    fn a_chain_is_followed_to_a_known_authority_through_intermediates() {
        let (root_pem, root) = authority("root");
        let mut parameters = named("intermediate");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let intermediate = parameters.signed_by(&key, &root).unwrap().der().clone();
        let issuer = Issuer::new(parameters, key);
        let own = named("dev1").signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone();

        let authorities = DeviceAuthorities::from_pem([root_pem.as_bytes()]).unwrap();
        let whole = authorities.read(&[own.clone(), intermediate], NOW).unwrap();
        assert_eq!((whole.issued.clone(), whole.common_name.as_deref()), (Ok(()), Some("dev1")));
        let alone = authorities.read(std::slice::from_ref(&own), NOW).unwrap();
        assert!(alone.issued.as_ref().unwrap_err().contains("intermediate"), "{alone:?}");
        let unknown = DeviceAuthorities::default().read(&[own], NOW).unwrap();
        assert!(unknown.issued.as_ref().unwrap_err().contains("no certificate authority"), "{unknown:?}");
        assert_eq!((whole.sha1.len(), whole.sha256.len()), (40, 64));
        assert_eq!(authorities.read(&[], NOW), None);
    }

    #[test]
    fn an_authority_that_has_expired_vouches_for_nobody() {
        let of = |name: &str, last: i32| {
            let mut parameters = named(name);
            parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(last, 1, 1);
            let key = KeyPair::generate().unwrap();
            (parameters.self_signed(&key).unwrap().pem(), Issuer::new(parameters, key))
        };
        let ((old_pem, old), (new_pem, new)) = (of("old", 2026), of("new", 2050));
        let issued = |issuer: &Issuer<'static, KeyPair>| {
            named("dev1").signed_by(&KeyPair::generate().unwrap(), issuer).unwrap().der().clone()
        };
        let authorities = DeviceAuthorities::from_pem([old_pem.as_bytes(), new_pem.as_bytes()]).unwrap();
        assert_eq!(authorities.read(&[issued(&new)], NOW).unwrap().issued, Ok(()));
        let why = authorities.read(&[issued(&old)], NOW).unwrap().issued.clone().unwrap_err();
        assert!(why.contains("2020-01-01") && why.contains("2026-01-01"), "{why}");
        // In its time it was good.
        let then = UnixMillis(1_700_000_000_000);
        assert_eq!(authorities.read(&[issued(&old)], then).unwrap().issued, Ok(()));
    }

    #[test]
    fn what_is_not_an_authority_is_refused() {
        for text in ["", "rubbish", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(DeviceAuthorities::from_pem([text.as_bytes()]).is_err(), "{text}");
        }
    }
}
