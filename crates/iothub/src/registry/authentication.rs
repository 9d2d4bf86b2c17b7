//! How devices and modules show who they are.

use amqp1::codec::printable::printable;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// A key of a device or a module, in Base64. It is shown only by [`expose`](Self::expose).
#[derive(Clone, PartialEq, Eq)]
pub struct SymmetricKey(Zeroizing<String>);

impl SymmetricKey {
    /// The key of this text in Base64.
    pub fn new(base64: impl Into<String>) -> Self {
        Self(Zeroizing::new(base64.into()))
    }

    /// The key in Base64. Pass it on; do not print it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SymmetricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hidden>")
    }
}

/// How a device or a module shows who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Authentication {
    /// By tokens that are signed with one of two keys. The hub makes those that are missing.
    SymmetricKeys {
        /// The first.
        primary: Option<SymmetricKey>,
        /// The other, for the time in which the first is replaced.
        secondary: Option<SymmetricKey>,
    },
    /// By an X.509 certificate with one of these thumbprints: the SHA-1 or SHA-256 of its DER, in hexadecimal digits.
    SelfSigned {
        /// The first.
        primary: String,
        /// The other, for the time in which the first is replaced.
        secondary: Option<String>,
    },
    /// By an X.509 certificate of an authority that the hub knows, whose common name is the device's id.
    CertificateAuthority,
    /// Not at all: the identity cannot connect by itself.
    None,
}

impl Authentication {
    /// Keys that the hub makes.
    pub const fn generated_keys() -> Self {
        Self::SymmetricKeys { primary: None, secondary: None }
    }

    /// Keys that are given, in Base64.
    pub fn keys(primary: impl Into<String>, secondary: impl Into<String>) -> Self {
        Self::SymmetricKeys { primary: Some(SymmetricKey::new(primary)), secondary: Some(SymmetricKey::new(secondary)) }
    }

    /// A certificate with this thumbprint.
    pub fn thumbprint(primary: impl Into<String>) -> Self {
        Self::SelfSigned { primary: primary.into(), secondary: None }
    }

    /// A certificate with the first thumbprint, and one with the second that will follow it.
    pub fn thumbprints(primary: impl Into<String>, secondary: impl Into<String>) -> Self {
        Self::SelfSigned { primary: primary.into(), secondary: Some(secondary.into()) }
    }

    /// The first key, if there are keys.
    pub fn primary_key(&self) -> Option<&SymmetricKey> {
        match self {
            Self::SymmetricKeys { primary, .. } => primary.as_ref(),
            _ => None,
        }
    }

    /// The second key, if there are keys.
    pub fn secondary_key(&self) -> Option<&SymmetricKey> {
        match self {
            Self::SymmetricKeys { secondary, .. } => secondary.as_ref(),
            _ => None,
        }
    }

    /// The hub's name for the way: `sas`, `selfSigned`, `certificateAuthority` or `none`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SymmetricKeys { .. } => "sas",
            Self::SelfSigned { .. } => "selfSigned",
            Self::CertificateAuthority => "certificateAuthority",
            Self::None => "none",
        }
    }
}

impl Default for Authentication {
    fn default() -> Self {
        Self::generated_keys()
    }
}

/// Authentication as the hub writes it.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireAuthentication {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symmetric_key: Option<WireKeys>,
    #[serde(rename = "x509Thumbprint", skip_serializing_if = "Option::is_none")]
    thumbprints: Option<WireThumbprints>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireKeys {
    primary_key: Option<Zeroizing<String>>,
    secondary_key: Option<Zeroizing<String>>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireThumbprints {
    pub(super) primary_thumbprint: Option<String>,
    pub(super) secondary_thumbprint: Option<String>,
}

impl fmt::Debug for WireAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_deref().map(printable);
        f.debug_struct("WireAuthentication").field("kind", &kind).finish_non_exhaustive()
    }
}

impl From<&Authentication> for WireAuthentication {
    fn from(authentication: &Authentication) -> Self {
        let kind = Some(authentication.name().to_owned());
        match authentication {
            Authentication::SymmetricKeys { primary, secondary } => {
                let key = |key: &Option<SymmetricKey>| key.as_ref().map(|key| key.0.clone());
                let keys = WireKeys { primary_key: key(primary), secondary_key: key(secondary) };
                Self { kind, symmetric_key: Some(keys), thumbprints: None }
            }
            Authentication::SelfSigned { primary, secondary } => {
                let thumbprints = WireThumbprints {
                    primary_thumbprint: Some(primary.clone()),
                    secondary_thumbprint: secondary.clone(),
                };
                Self { kind, symmetric_key: None, thumbprints: Some(thumbprints) }
            }
            Authentication::CertificateAuthority | Authentication::None => Self { kind, ..Self::default() },
        }
    }
}

impl From<WireAuthentication> for Authentication {
    fn from(wire: WireAuthentication) -> Self {
        let thumbprints = wire.thumbprints.unwrap_or_default();
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let (primary, secondary) = (given(thumbprints.primary_thumbprint), given(thumbprints.secondary_thumbprint));
        let kind = wire.kind.unwrap_or_default();
        if kind.eq_ignore_ascii_case("certificateAuthority") {
            Self::CertificateAuthority
        } else if kind.eq_ignore_ascii_case("none") {
            Self::None
        } else if kind.eq_ignore_ascii_case("selfSigned") || kind.is_empty() && primary.is_some() {
            Self::SelfSigned { primary: primary.unwrap_or_default(), secondary }
        } else {
            let keys = wire.symmetric_key.unwrap_or_default();
            let key = |key: Option<Zeroizing<String>>| key.filter(|key| !key.is_empty()).map(SymmetricKey);
            Self::SymmetricKeys { primary: key(keys.primary_key), secondary: key(keys.secondary_key) }
        }
    }
}
