//! What leads from one page to the next.
//!
//! A continuation holds all that the hub needs to go on, so the hub keeps nothing for it. A hash with a secret of the hub
//! binds it to the text of its query. Its position is the id of the last row that was looked at, so it stays good while twins
//! come and go.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::super::ids::{DeviceId, IdentityId, ModuleId};
use super::super::random::Random;
use super::super::service_error::{ErrorCode, ServiceError};

const HASH: usize = 16;
/// The longest continuation that is looked at, in octets.
const MAX_LENGTH: usize = 1024;

/// What continuations are signed with.
#[derive(Clone)]
pub(crate) struct Secret([u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    pub(crate) fn new(random: &mut Random) -> Self {
        let mut octets = [0; 32];
        for half in octets.chunks_mut(HASH) {
            half.copy_from_slice(random.lock_token().as_octets());
        }
        Self(octets)
    }

    /// The first half of the hash alone: the whole of it could be continued.
    fn hash(&self, query: &str, payload: &str) -> [u8; HASH] {
        let hash = Sha256::new()
            .chain_update(self.0)
            .chain_update((query.len() as u64).to_be_bytes())
            .chain_update(query)
            .chain_update(payload)
            .finalize();
        let mut half = [0; HASH];
        half.iter_mut().zip(hash).for_each(|(out, octet)| *out = octet);
        half
    }
}

/// Where the next page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Rows of the result that earlier pages had.
    pub(super) given: u64,
    /// The last row of the collection that was looked at. `None` where rows are made of several ones.
    pub(super) after: Option<IdentityId>,
}

impl Position {
    pub(super) fn to_text(&self, secret: &Secret, query: &str) -> String {
        let mut payload = self.given.to_string();
        if let Some(id) = &self.after {
            // Ids have no slash.
            payload.push('/');
            payload.push_str(id.device.as_str());
            if let Some(module) = &id.module {
                payload.push('/');
                payload.push_str(module.as_str());
            }
        }
        let mut octets = secret.hash(query, &payload).to_vec();
        octets.extend_from_slice(payload.as_bytes());
        URL_SAFE_NO_PAD.encode(octets)
    }

    /// # Errors
    /// *ArgumentInvalid*: the hub has not given this continuation, or for another query.
    pub(super) fn parse(secret: &Secret, query: &str, text: &str) -> Result<Self, ServiceError> {
        let position = (text.len() <= MAX_LENGTH).then(|| Self::read(secret, query, text)).flatten();
        position.ok_or_else(|| {
            ServiceError::new(
                ErrorCode::ArgumentInvalid,
                "the continuation is not one that the hub has given for this query",
            )
        })
    }

    fn read(secret: &Secret, query: &str, text: &str) -> Option<Self> {
        let octets = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (hash, payload) = octets.split_first_chunk::<HASH>()?;
        let payload = core::str::from_utf8(payload).ok()?;
        if *hash != secret.hash(query, payload) {
            return None;
        }
        let mut parts = payload.split('/');
        let given = parts.next()?.parse().ok()?;
        let after = match parts.next() {
            None => None,
            Some(device) => Some(IdentityId {
                device: DeviceId::new(device).ok()?,
                module: parts.next().map(ModuleId::new).transpose().ok()?,
            }),
        };
        Some(Self { given, after })
    }
}
