//! How identities authenticate: keys, certificates, and the documents that say so.

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::key::Key;
use super::service_error::{ErrorCode, ServiceError};

/// The hash of a certificate's DER form, in hexadecimal: SHA-1 or SHA-256. Compared without regard to case.
#[derive(Clone, Debug)]
pub struct Thumbprint(Arc<str>);

/// A text is not the hash of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a thumbprint is the SHA-1 or SHA-256 of a certificate: 40 or 64 hexadecimal digits")]
pub struct ThumbprintError;

impl Thumbprint {
    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `hex` is the same hash.
    #[must_use]
    pub fn matches(&self, hex: &str) -> bool {
        self.0.eq_ignore_ascii_case(hex)
    }
}

impl FromStr for Thumbprint {
    type Err = ThumbprintError;

    fn from_str(text: &str) -> Result<Self, ThumbprintError> {
        let hex = text.bytes().all(|octet| octet.is_ascii_hexdigit());
        if hex && matches!(text.len(), 40 | 64) { Ok(Self(text.into())) } else { Err(ThumbprintError) }
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for Thumbprint {
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for Thumbprint {}

/// How a registered identity authenticates.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// Tokens signed with one of two keys (`sas`).
    SymmetricKey {
        /// The first key.
        primary: Key,
        /// A second key that is as good, for changing keys without a gap.
        secondary: Key,
    },
    /// A certificate whose hash is known (`selfSigned`). At least one of them is there.
    SelfSigned {
        /// The first certificate.
        primary: Option<Thumbprint>,
        /// A second one that is as good.
        secondary: Option<Thumbprint>,
    },
    /// A certificate that a verified authority has issued to the identity (`certificateAuthority`).
    CertificateAuthority,
    /// Not at all (`none`).
    None,
}

impl Authentication {
    /// The word in documents: `sas`, `selfSigned`, `certificateAuthority` or `none`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::SymmetricKey { .. } => "sas",
            Self::SelfSigned { .. } => "selfSigned",
            Self::CertificateAuthority => "certificateAuthority",
            Self::None => "none",
        }
    }

    /// The keys that tokens may be signed with, the primary one first.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        let keys = match self {
            Self::SymmetricKey { primary, secondary } => [Some(primary), Some(secondary)],
            _ => [None, None],
        };
        keys.into_iter().flatten()
    }

    /// The hashes of the certificates that are good, the primary one first.
    pub fn thumbprints(&self) -> impl Iterator<Item = &Thumbprint> {
        let (primary, secondary) = match self {
            Self::SelfSigned { primary, secondary } => (primary.as_ref(), secondary.as_ref()),
            _ => (None, None),
        };
        primary.into_iter().chain(secondary)
    }

    /// The document, keys included.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (primary, secondary) = match self {
            Self::SymmetricKey { primary, secondary } => (Some(primary.base64()), Some(secondary.base64())),
            _ => (None, None),
        };
        json!({
            "symmetricKey": { "primaryKey": primary, "secondaryKey": secondary },
            "x509Thumbprint": self.thumbprints_to_json(),
            "type": self.type_name(),
        })
    }

    pub(crate) fn thumbprints_to_json(&self) -> Value {
        let (primary, secondary) = match self {
            Self::SelfSigned { primary, secondary } => (primary.as_ref(), secondary.as_ref()),
            _ => (None, None),
        };
        json!({
            "primaryThumbprint": primary.map(Thumbprint::as_str),
            "secondaryThumbprint": secondary.map(Thumbprint::as_str),
        })
    }
}

/// How an identity is to authenticate. The hub makes the keys that are not given.
#[derive(Clone, Debug)]
pub enum AuthenticationSpec {
    /// See [`Authentication::SymmetricKey`].
    SymmetricKey {
        /// The first key.
        primary: Option<Key>,
        /// The second key.
        secondary: Option<Key>,
    },
    /// See [`Authentication::SelfSigned`].
    SelfSigned {
        /// The first certificate.
        primary: Option<Thumbprint>,
        /// The second certificate.
        secondary: Option<Thumbprint>,
    },
    /// See [`Authentication::CertificateAuthority`].
    CertificateAuthority,
    /// See [`Authentication::None`].
    None,
}

/// By keys that the hub makes.
impl Default for AuthenticationSpec {
    fn default() -> Self {
        Self::SymmetricKey { primary: None, secondary: None }
    }
}

impl AuthenticationSpec {
    /// Reads the `authentication` of a document. Missing, null and empty texts mean the same. Without a `type`, a
    /// thumbprint means `selfSigned` and anything else `sas`.
    ///
    /// # Errors
    /// *ArgumentInvalid*: a field has another JSON type, is not a key or a thumbprint, or does not go with the type.
    pub fn parse(document: &Value) -> Result<Self, ServiceError> {
        let document = object(document, "authentication")?;
        let key = |name: &str| {
            let text = text(document, &["symmetricKey", name])?;
            text.map(|text| Key::from_base64(text).map_err(|error| invalid(format!("{name}: {error}")))).transpose()
        };
        let thumbprint = |name: &str| {
            let text = text(document, &["x509Thumbprint", name])?;
            text.map(|text| text.parse::<Thumbprint>().map_err(|error| invalid(format!("{name}: {error}")))).transpose()
        };
        let keys = (key("primaryKey")?, key("secondaryKey")?);
        let thumbprints = (thumbprint("primaryThumbprint")?, thumbprint("secondaryThumbprint")?);
        let has_key = keys.0.is_some() || keys.1.is_some();
        let has_thumbprint = thumbprints.0.is_some() || thumbprints.1.is_some();
        if has_key && has_thumbprint {
            return Err(invalid("an identity has symmetric keys or thumbprints, not both"));
        }
        let kind = text(document, &["type"])?.unwrap_or(if has_thumbprint { "selfSigned" } else { "sas" });
        let kinds = ["sas", "selfSigned", "certificateAuthority", "none"];
        let kind = kinds.into_iter().find(|known| known.eq_ignore_ascii_case(kind));
        match kind {
            Some("sas") if !has_thumbprint => Ok(Self::SymmetricKey { primary: keys.0, secondary: keys.1 }),
            Some("selfSigned") if has_thumbprint => {
                Ok(Self::SelfSigned { primary: thumbprints.0, secondary: thumbprints.1 })
            }
            Some("selfSigned") if !has_key => Err(invalid("selfSigned needs a primaryThumbprint")),
            Some("certificateAuthority") if !has_key && !has_thumbprint => Ok(Self::CertificateAuthority),
            Some("none") if !has_key && !has_thumbprint => Ok(Self::None),
            Some(kind) => Err(invalid(format!("an identity of type {kind} has no such keys or thumbprints"))),
            None => Err(invalid("type must be sas, selfSigned, certificateAuthority or none")),
        }
    }

    /// Makes the keys that are missing.
    pub(crate) fn complete(self) -> Result<Authentication, ServiceError> {
        let or_new = |key: Option<Key>| match key {
            Some(key) => Ok(key),
            None => Key::generate()
                .map_err(|_| ServiceError::new(ErrorCode::ServerError, "the operating system gave no random octets")),
        };
        Ok(match self {
            Self::SymmetricKey { primary, secondary } => {
                Authentication::SymmetricKey { primary: or_new(primary)?, secondary: or_new(secondary)? }
            }
            Self::SelfSigned { primary, secondary } => Authentication::SelfSigned { primary, secondary },
            Self::CertificateAuthority => Authentication::CertificateAuthority,
            Self::None => Authentication::None,
        })
    }
}

pub(crate) fn invalid(text: impl Into<String>) -> ServiceError {
    ServiceError::new(ErrorCode::ArgumentInvalid, text)
}

pub(crate) fn object<'v>(value: &'v Value, name: &str) -> Result<&'v Map<String, Value>, ServiceError> {
    value.as_object().ok_or_else(|| invalid(format!("{name} must be an object")))
}

/// The text at a path of field names. `None`: it, or an object on the path to it, is missing, null or empty.
pub(crate) fn text<'v>(document: &'v Map<String, Value>, path: &[&str]) -> Result<Option<&'v str>, ServiceError> {
    let Some((name, rest)) = path.split_first() else { return Ok(None) };
    match document.get(*name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if rest.is_empty() => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) if rest.is_empty() => Err(invalid(format!("{name} must be a string"))),
        Some(value) => text(object(value, name)?, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(document: Value) -> Result<Authentication, ErrorCode> {
        AuthenticationSpec::parse(&document).and_then(AuthenticationSpec::complete).map_err(|error| error.code())
    }

    #[test]
    fn missing_null_and_empty_keys_are_made_of_32_octets() {
        for document in [
            json!({}),
            json!({ "type": "sas" }),
            json!({ "symmetricKey": null }),
            json!({ "symmetricKey": { "primaryKey": null, "secondaryKey": "" }, "x509Thumbprint": null }),
            json!({ "type": "SAS", "x509Thumbprint": { "primaryThumbprint": null, "secondaryThumbprint": "" } }),
        ] {
            let authentication = parse(document.clone()).unwrap();
            let keys: Vec<_> = authentication.keys().map(|key| key.octets().to_vec()).collect();
            assert_eq!((keys.len(), keys[0].len(), keys[1].len()), (2, 32, 32), "{document}");
            assert_ne!(keys[0], keys[1]);
        }
        let half = parse(json!({ "symmetricKey": { "primaryKey": "c2VjcmV0" } })).unwrap();
        assert_eq!(half.keys().next().unwrap().octets(), b"secret");
        assert_eq!(half.keys().count(), 2);
    }

    #[test]
    fn certificates_are_known_by_either_hash() {
        let (sha1, sha256) = ("Ab".repeat(20), "cD".repeat(32));
        for kind in [Value::Null, json!("selfSigned")] {
            let document = json!({
                "type": kind,
                "x509Thumbprint": { "primaryThumbprint": sha1, "secondaryThumbprint": sha256 },
                "symmetricKey": { "primaryKey": null },
            });
            let authentication = parse(document).unwrap();
            assert_eq!(authentication.type_name(), "selfSigned");
            assert!(authentication.thumbprints().any(|known| known.matches(&sha256.to_uppercase())));
            assert_eq!(authentication.to_json()["x509Thumbprint"]["primaryThumbprint"], json!(sha1));
            assert_eq!(authentication.to_json()["symmetricKey"]["primaryKey"], Value::Null);
        }
        assert_eq!(parse(json!({ "type": "certificateAuthority" })).unwrap().type_name(), "certificateAuthority");
        assert_eq!(parse(json!({ "type": "none" })).unwrap().keys().count(), 0);
    }

    #[test]
    fn what_does_not_go_together_is_an_invalid_argument() {
        let sha1 = "a".repeat(40);
        for document in [
            json!({ "symmetricKey": { "primaryKey": "c2VjcmV0" }, "x509Thumbprint": { "primaryThumbprint": sha1 } }),
            json!({ "type": "sas", "x509Thumbprint": { "primaryThumbprint": sha1 } }),
            json!({ "type": "selfSigned" }),
            json!({ "type": "selfSigned", "symmetricKey": { "primaryKey": "c2VjcmV0" } }),
            json!({ "type": "certificateAuthority", "symmetricKey": { "primaryKey": "c2VjcmV0" } }),
            json!({ "type": "password" }),
            json!({ "type": 5 }),
            json!({ "symmetricKey": "c2VjcmV0" }),
            json!({ "symmetricKey": { "primaryKey": "not base64" } }),
            json!({ "x509Thumbprint": { "primaryThumbprint": "ab" } }),
            json!("sas"),
        ] {
            assert_eq!(parse(document.clone()).unwrap_err(), ErrorCode::ArgumentInvalid, "{document}");
        }
    }
}
