use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac;
use zeroize::Zeroizing;

use super::{PercentEncoding, SasError, SasKey, percent_decode};
use crate::UnixSeconds;
use crate::secret::SecretText;

/// The longest token text taken, in octets.
pub const MAX_TOKEN: usize = 8192;

const PREFIX: &str = "SharedAccessSignature ";

/// A shared access signature token, in parts and as the text that it was made from or read from.
///
/// The text is a secret for as long as the token is good: `Debug` and `Display` leave the signature out. It is wiped
/// when dropped.
#[derive(Clone)]
pub struct SasToken {
    text: SecretText,
    /// Where `sr` and `se` stand in the text: these octets, no others, are what is signed.
    signed_resource: Range<usize>,
    signed_expiry: Range<usize>,
    resource: String,
    expiry: UnixSeconds,
    signature: Zeroizing<Vec<u8>>,
    policy: Option<String>,
}

impl SasToken {
    /// Takes a token apart. Nothing is verified yet.
    ///
    /// The fields may stand in any order. Fields that are not known are passed over, an empty `skn` is none.
    ///
    /// # Errors
    ///
    /// A [`SasError`] that names what is wrong, and the field.
    pub fn parse(text: &str) -> Result<Self, SasError> {
        if text.len() > MAX_TOKEN {
            return Err(SasError::TooLong { max: MAX_TOKEN });
        }
        let fields = text.strip_prefix(PREFIX).ok_or(SasError::MissingPrefix)?;
        if !fields.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(SasError::InvalidCharacter);
        }

        let (mut sr, mut sig, mut se, mut skn) = (None, None, None, None);
        let mut position = PREFIX.len();
        for part in fields.split('&') {
            let (name, value) = part.split_once('=').ok_or(SasError::MalformedField)?;
            let start = position + name.len() + 1;
            position += part.len() + 1;
            let (field, slot) = match name {
                "sr" => ("sr", &mut sr),
                "sig" => ("sig", &mut sig),
                "se" => ("se", &mut se),
                "skn" => ("skn", &mut skn),
                _ => continue,
            };
            if slot.replace((value, start..start + value.len())).is_some() {
                return Err(SasError::DuplicateField { field });
            }
        }

        let required = |slot: Option<(_, Range<usize>)>, field| {
            slot.filter(|(_, range)| !range.is_empty()).ok_or(SasError::MissingField { field })
        };
        let (resource, signed_resource) = required(sr, "sr")?;
        let (signature, _) = required(sig, "sig")?;
        let (expiry, signed_expiry) = required(se, "se")?;
        let decode = |value, field| percent_decode(value).map_err(|_| SasError::InvalidPercentEncoding { field });
        let signature = Zeroizing::new(decode(signature, "sig")?);
        Ok(Self {
            resource: decode(resource, "sr")?,
            signature: STANDARD
                .decode(signature.as_bytes())
                .map(Zeroizing::new)
                .map_err(|_| SasError::InvalidBase64 { field: "sig" })?,
            expiry: parse_expiry(expiry)?,
            policy: match skn {
                Some((value, _)) if !value.is_empty() => Some(decode(value, "skn")?),
                _ => None,
            },
            text: SecretText::new(text),
            signed_resource,
            signed_expiry,
        })
    }

    /// The work of [`SasKey::sign`].
    pub(super) fn signed(
        key: &SasKey,
        resource: &str,
        encoding: PercentEncoding,
        expiry: UnixSeconds,
        policy: Option<&str>,
    ) -> Self {
        let sr = encoding.encode(resource);
        let se = alloc::format!("{expiry}");
        let mac = key.mac(&sr, &se).finalize().into_bytes();
        let sig = PercentEncoding::Component.encode(&Zeroizing::new(STANDARD.encode(mac)));
        let policy = policy.filter(|policy| !policy.is_empty());

        let mut text = alloc::format!("{PREFIX}sr={sr}&sig={sig}&se={se}");
        let resource_start = PREFIX.len() + "sr=".len();
        let expiry_start = text.len() - se.len();
        if let Some(policy) = policy {
            text.push_str("&skn=");
            text.push_str(&PercentEncoding::Component.encode(policy));
        }
        Self {
            text: SecretText::new(text),
            signed_resource: resource_start..resource_start + sr.len(),
            signed_expiry: expiry_start..expiry_start + se.len(),
            // A verbatim resource is encoded already, if it needs to be.
            resource: percent_decode(&sr).unwrap_or(sr),
            expiry,
            signature: Zeroizing::new(mac.to_vec()),
            policy: policy.map(String::from),
        }
    }

    /// Whether the token was signed with `key` and `now` is before its expiry.
    ///
    /// The signature is looked at first, and in constant time, so that a forger learns nothing from the answer. To
    /// allow for clocks that differ, give an earlier `now`. What the token is good for, its
    /// [`resource`](Self::resource), is for the caller to compare: see [`covers`](super::covers).
    ///
    /// # Errors
    ///
    /// [`SasError::BadSignature`] or [`SasError::Expired`].
    pub fn verify(&self, key: &SasKey, now: UnixSeconds) -> Result<(), SasError> {
        let text = self.text.expose();
        let resource = text.get(self.signed_resource.clone()).unwrap_or_default();
        let expiry = text.get(self.signed_expiry.clone()).unwrap_or_default();
        key.mac(resource, expiry).verify_slice(&self.signature).map_err(|_| SasError::BadSignature)?;
        if self.is_expired(now) {
            return Err(SasError::Expired { expiry: self.expiry, now });
        }
        Ok(())
    }

    /// Whether `now` is the expiry or later.
    pub fn is_expired(&self, now: UnixSeconds) -> bool {
        now >= self.expiry
    }

    /// The resource that the token is for (`sr`), percent-decoded.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The resource as it stands in the token: encoded, and part of what is signed.
    pub fn encoded_resource(&self) -> &str {
        self.text.expose().get(self.signed_resource.clone()).unwrap_or_default()
    }

    /// When the token expires (`se`).
    pub fn expiry(&self) -> UnixSeconds {
        self.expiry
    }

    /// The shared access policy whose key signed it (`skn`); `None` if it was a device's or a module's own key.
    pub fn policy(&self) -> Option<&str> {
        self.policy.as_deref()
    }

    /// The whole token, to be sent. It is a secret.
    pub fn as_str(&self) -> &str {
        self.text.expose()
    }

    /// The whole token, which is a secret and from here on not wiped.
    pub fn into_secret_text(self) -> String {
        self.text.into_inner()
    }
}

/// Digits only: `str::parse` alone would also take a sign.
fn parse_expiry(text: &str) -> Result<UnixSeconds, SasError> {
    if !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(SasError::InvalidExpiry);
    }
    text.parse().map(UnixSeconds::new).map_err(|_| SasError::InvalidExpiry)
}

impl core::str::FromStr for SasToken {
    type Err = SasError;

    fn from_str(text: &str) -> Result<Self, SasError> {
        Self::parse(text)
    }
}

impl fmt::Display for SasToken {
    /// The token without its signature, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}sr={}&sig=<redacted>&se={}", self.encoded_resource(), self.expiry)?;
        match &self.policy {
            Some(policy) => write!(f, "&skn={policy}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for SasToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SasToken")
            .field("resource", &self.resource)
            .field("expiry", &self.expiry)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
