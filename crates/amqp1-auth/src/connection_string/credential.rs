use alloc::string::String;

use super::ConnectionStringError;
use super::fields::{Fields, SHARED_ACCESS_KEY, SHARED_ACCESS_KEY_NAME, SHARED_ACCESS_SIGNATURE, X509};
use crate::sas::{SasToken, SharedAccessKey};

/// The credential in a connection string.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum Credential {
    /// A key, to sign tokens with.
    SharedAccessKey {
        /// The shared access policy that the key belongs to; `None` for the key of a device or a module.
        policy: Option<String>,
        /// The key.
        key: SharedAccessKey,
    },
    /// A token that somebody else signed; it cannot be renewed here.
    SharedAccessSignature(SasToken),
    /// A client certificate, which is not in the connection string (`x509=true`).
    X509,
}

/// Whether a key is to be base64, or any text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyForm {
    Base64,
    Text,
}

impl Credential {
    /// Takes the credential's fields out; exactly one kind of credential has to be there.
    pub(super) fn take(fields: &mut Fields<'_>, form: KeyForm) -> Result<Self, ConnectionStringError> {
        let x509 = fields.flag(X509)?;
        let key = fields.take(SHARED_ACCESS_KEY);
        let token = fields.take(SHARED_ACCESS_SIGNATURE);
        let policy = fields.take(SHARED_ACCESS_KEY_NAME);
        match (key, token, x509) {
            (Some(_), Some(_), _) => {
                Err(ConnectionStringError::ConflictingFields(SHARED_ACCESS_KEY, SHARED_ACCESS_SIGNATURE))
            }
            (Some(_), _, true) => Err(ConnectionStringError::ConflictingFields(SHARED_ACCESS_KEY, X509)),
            (_, Some(_), true) => Err(ConnectionStringError::ConflictingFields(SHARED_ACCESS_SIGNATURE, X509)),
            (Some(key), None, false) => Self::key(key, policy, form),
            // The token says itself which policy signed it.
            (None, Some(token), false) => SasToken::parse(token)
                .map(Self::SharedAccessSignature)
                .map_err(|source| ConnectionStringError::InvalidToken { field: SHARED_ACCESS_SIGNATURE, source }),
            (None, None, true) if policy.is_some() => {
                Err(ConnectionStringError::ConflictingFields(SHARED_ACCESS_KEY_NAME, X509))
            }
            (None, None, true) => Ok(Self::X509),
            (None, None, false) => Err(ConnectionStringError::MissingField(SHARED_ACCESS_KEY)),
        }
    }

    fn key(text: &str, policy: Option<&str>, form: KeyForm) -> Result<Self, ConnectionStringError> {
        let invalid = |_| ConnectionStringError::InvalidKey { field: SHARED_ACCESS_KEY };
        let key = SharedAccessKey::new(text).map_err(invalid)?;
        if form == KeyForm::Base64 {
            key.decoded().map_err(invalid)?;
        }
        Ok(Self::SharedAccessKey { policy: policy.map(String::from), key })
    }

    /// The shared access policy that is used; `None` for a device's or a module's own credential.
    pub fn policy(&self) -> Option<&str> {
        match self {
            Self::SharedAccessKey { policy, .. } => policy.as_deref(),
            Self::SharedAccessSignature(token) => token.policy(),
            Self::X509 => None,
        }
    }
}
