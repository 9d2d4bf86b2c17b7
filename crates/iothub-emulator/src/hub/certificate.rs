//! Client certificates: what the hub compares with what it has registered.

use thiserror::Error;

use super::Hub;
use super::authentication::Authentication;
use super::clock::UnixMillis;
use super::grant::Grant;
use super::ids::IdentityId;

/// The certificate that a client has shown, and whose private key it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The SHA-1 of the certificate's DER encoding, in upper-case hexadecimal digits.
    pub sha1: String,
    /// The SHA-256 of the same.
    pub sha256: String,
    /// The common name of its subject; `None` if it has none, or more than one.
    pub common_name: Option<String>,
    /// From when to when it is valid; `None` if that cannot be read.
    pub validity: Option<(UnixMillis, UnixMillis)>,
    /// Whether an authority that was given to the hub has issued it. The error says why not.
    pub issued: Result<(), String>,
}

/// Why a client's certificate does not open a link, or answer a request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertificateRefusal {
    /// The connection serves another identity already.
    #[error(
        "401002 ErrorCode:IotHubUnauthorizedAccess; this connection serves {certified} by its client certificate, which \
         serves one identity for each connection: {asked} needs a connection of its own"
    )]
    AnotherIdentity {
        /// The one that it serves.
        certified: IdentityId,
        /// The one that was asked for.
        asked: IdentityId,
    },
    /// The certificate was issued to another identity.
    #[error(
        "401002 ErrorCode:IotHubUnauthorizedAccess; the client certificate is for {}, not for {asked}: the common name \
         must be the id", common_name.as_deref().unwrap_or("no name")
    )]
    AnotherName {
        /// Whom it was issued to.
        common_name: Option<String>,
        /// The one that was asked for.
        asked: IdentityId,
    },
    /// It matches none of the thumbprints that are registered.
    #[error(
        "401002 ErrorCode:IotHubUnauthorizedAccess; the thumbprint of the client certificate does not match: it is {sha1} \
         (SHA-1), {sha256} (SHA-256), and {asked} has {registered}"
    )]
    AnotherThumbprint {
        /// The SHA-1 of the certificate.
        sha1: String,
        /// The SHA-256 of the certificate.
        sha256: String,
        /// The thumbprints that are registered.
        registered: String,
        /// The identity that was asked for.
        asked: IdentityId,
    },
    /// The certificate is past its last day.
    #[error("401003 ErrorCode:IotHubUnauthorized; the client certificate has expired: it was valid until {}", .0.to_iso8601())]
    Expired(
        /// Until when it was valid.
        UnixMillis,
    ),
    /// The certificate is of no authority that the hub was given.
    #[error("401002 ErrorCode:IotHubUnauthorizedAccess; the client certificate is not trusted: {0}")]
    NotIssued(
        /// Why.
        String,
    ),
    /// Certificates open links of devices and modules only.
    #[error(
        "401002 ErrorCode:IotHubUnauthorizedAccess; a client certificate opens links of its own device or module only"
    )]
    NotOfAnIdentity,
    /// No such device or module.
    #[error(
        "401002 ErrorCode:IotHubUnauthorizedAccess; {0} is not registered, so the client certificate is not its own"
    )]
    NotRegistered(
        /// The identity that was asked for.
        IdentityId,
    ),
    /// The certificate is before its first day.
    #[error("401003 ErrorCode:IotHubUnauthorized; the client certificate is not valid yet: it is from {}", .0.to_iso8601())]
    NotValidYet(
        /// From when it is valid.
        UnixMillis,
    ),
    /// The identity authenticates in another way.
    #[error("401002 ErrorCode:IotHubUnauthorizedAccess; {0} authenticates by {1}, not by a certificate")]
    OtherAuthentication(
        /// Which identity.
        IdentityId,
        /// The type of its authentication.
        &'static str,
    ),
    /// Not a certificate that can be read.
    #[error("401002 ErrorCode:IotHubUnauthorizedAccess; the client certificate cannot be read")]
    Unreadable,
}

impl Hub {
    /// What a client with this certificate may do as the identity `id`.
    ///
    /// # Errors
    /// [`CertificateRefusal`] says why it may do nothing.
    pub fn authorize_certificate(
        &self,
        now: UnixMillis,
        certificate: &ClientCertificate,
        id: &IdentityId,
    ) -> Result<Grant, CertificateRefusal> {
        let identity = self.identity(id).map_err(|_| CertificateRefusal::NotRegistered(id.clone()))?;
        let authentication = identity.authentication();
        match authentication {
            Authentication::SelfSigned { .. } => {
                let mut thumbprints = authentication.thumbprints();
                if !thumbprints.any(|known| known.matches(&certificate.sha1) || known.matches(&certificate.sha256)) {
                    let registered: Vec<&str> = authentication.thumbprints().map(|known| known.as_str()).collect();
                    return Err(CertificateRefusal::AnotherThumbprint {
                        sha1: certificate.sha1.clone(),
                        sha256: certificate.sha256.clone(),
                        registered: registered.join(" and "),
                        asked: id.clone(),
                    });
                }
            }
            Authentication::CertificateAuthority => {
                // The dates come first: they are a better reason than what verification says of them.
                check_validity(now, certificate)?;
                if let Err(why) = &certificate.issued {
                    return Err(CertificateRefusal::NotIssued(why.clone()));
                }
                if certificate.common_name.as_deref() != Some(&common_name_of(id)) {
                    let common_name = certificate.common_name.clone();
                    return Err(CertificateRefusal::AnotherName { common_name, asked: id.clone() });
                }
            }
            other => return Err(CertificateRefusal::OtherAuthentication(id.clone(), other.type_name())),
        }
        check_validity(now, certificate)?;
        Ok(Grant::by_certificate(identity))
    }

    /// Whether a device or module authenticates by this certificate.
    #[must_use]
    pub fn is_certificate_registered(&self, certificate: &ClientCertificate) -> bool {
        let by_name = certificate.issued.is_ok() && certificate.common_name.is_some();
        self.identities().any(|identity| match identity.authentication() {
            Authentication::CertificateAuthority => {
                by_name && certificate.common_name.as_deref() == Some(&common_name_of(identity.id()))
            }
            authentication => {
                let mut known = authentication.thumbprints();
                known.any(|known| known.matches(&certificate.sha1) || known.matches(&certificate.sha256))
            }
        })
    }
}

fn check_validity(now: UnixMillis, certificate: &ClientCertificate) -> Result<(), CertificateRefusal> {
    let (from, until) = certificate.validity.ok_or(CertificateRefusal::Unreadable)?;
    if now < from {
        return Err(CertificateRefusal::NotValidYet(from));
    }
    if now > until {
        return Err(CertificateRefusal::Expired(until));
    }
    Ok(())
}

/// The common name in the certificate of an identity: `{device}`, or `{device}/{module}`.
fn common_name_of(id: &IdentityId) -> String {
    match &id.module {
        None => id.device.as_str().to_owned(),
        Some(module) => format!("{}/{module}", id.device),
    }
}
