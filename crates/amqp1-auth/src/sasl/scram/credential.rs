use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use super::hash::Octets;
use super::{ITERATIONS, MAX_PASSWORD, MAX_SALT, PASSWORD, ScramHash};
use crate::sasl::{SaslError, text};

const SALT: &str = "salt";

/// The two keys that a salted password gives. Wiped when dropped.
pub(super) struct Keys {
    pub(super) client: Octets,
    pub(super) server: Octets,
}

impl Keys {
    pub(super) fn of(hash: ScramHash, password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = hash.salted_password(password.as_bytes(), salt, iterations);
        Self { client: hash.hmac(&salted, &[b"Client Key"]), server: hash.hmac(&salted, &[b"Server Key"]) }
    }
}

/// A server's record of a user's password, RFC 5802 §3: enough to check a client and to answer it, not enough to
/// log in elsewhere. Who steals it can still guess passwords, and can pose as this server.
#[derive(Clone)]
pub struct StoredCredential {
    hash: ScramHash,
    salt: Vec<u8>,
    iterations: u32,
    stored_key: Octets,
    server_key: Octets,
}

impl StoredCredential {
    /// From a password, when a user is made or sets a new one. The salt is drawn at random, for this user alone; 16
    /// octets will do. This takes time in proportion to the iterations: milliseconds for 4096, so do it aside.
    ///
    /// # Errors
    ///
    /// [`SaslError::EmptyField`] and [`SaslError::FieldTooLong`] for a password or a salt, [`SaslError::Iterations`]
    /// outside of [`ITERATIONS`], [`SaslError::ForbiddenCharacter`] for a NUL in the password.
    pub fn from_password(
        hash: ScramHash,
        password: &str,
        salt: impl Into<Vec<u8>>,
        iterations: u32,
    ) -> Result<Self, SaslError> {
        let salt = checked(salt.into(), iterations)?;
        check_password(password)?;
        let keys = Keys::of(hash, password, &salt, iterations);
        Ok(Self { hash, salt, iterations, stored_key: hash.digest(&keys.client), server_key: keys.server })
    }

    /// From what a database has kept.
    ///
    /// # Errors
    ///
    /// [`SaslError::EmptyField`] and [`SaslError::FieldTooLong`] for the salt, [`SaslError::Iterations`] outside of
    /// [`ITERATIONS`], [`SaslError::KeyLength`] for keys that are not of the hash's length.
    pub fn from_keys(
        hash: ScramHash,
        salt: impl Into<Vec<u8>>,
        iterations: u32,
        stored_key: impl Into<Vec<u8>>,
        server_key: impl Into<Vec<u8>>,
    ) -> Result<Self, SaslError> {
        let salt = checked(salt.into(), iterations)?;
        let (stored_key, server_key) = (Zeroizing::new(stored_key.into()), Zeroizing::new(server_key.into()));
        if [&stored_key, &server_key].iter().any(|key| key.len() != hash.output_len()) {
            return Err(SaslError::KeyLength { expected: hash.output_len() });
        }
        Ok(Self { hash, salt, iterations, stored_key, server_key })
    }

    /// The hash, and so the mechanism, that it is for.
    pub const fn hash(&self) -> ScramHash {
        self.hash
    }

    /// The salt, which clients are told.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// The iterations, which clients are told.
    pub const fn iterations(&self) -> u32 {
        self.iterations
    }

    /// RFC 5802's StoredKey, to be kept. A secret.
    pub fn stored_key(&self) -> &[u8] {
        &self.stored_key
    }

    /// RFC 5802's ServerKey, to be kept. A secret.
    pub fn server_key(&self) -> &[u8] {
        &self.server_key
    }
}

impl fmt::Debug for StoredCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredCredential")
            .field("hash", &self.hash)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// The salts and iterations for users that do not exist, so that these look like all others.
///
/// The salt is made from the name and a secret: it is the same each time that somebody asks, as a real one is. Salts
/// and iterations must look as those of real users do, so say here what they have.
#[derive(Clone)]
pub struct ScramDecoy {
    secret: Octets,
    salt_len: usize,
    iterations: u32,
}

impl ScramDecoy {
    /// Decoys with salts of 16 octets and 4096 iterations. The secret is at least 16 octets, drawn at random once and
    /// kept: where it changes, the salts of those who do not exist change with it, and theirs alone.
    ///
    /// # Errors
    ///
    /// [`SaslError::KeyLength`] for a secret of less than 16 octets.
    pub fn new(secret: impl Into<Vec<u8>>) -> Result<Self, SaslError> {
        let secret = Zeroizing::new(secret.into());
        if secret.len() < MIN_SECRET {
            return Err(SaslError::KeyLength { expected: MIN_SECRET });
        }
        Ok(Self { secret, salt_len: 16, iterations: *ITERATIONS.start() })
    }

    /// Sets what the credentials of real users have: the length of their salts in octets, 1 to 32, and their
    /// iterations.
    ///
    /// # Errors
    ///
    /// [`SaslError::EmptyField`] and [`SaslError::FieldTooLong`] for another length,
    /// [`SaslError::Iterations`] outside of [`ITERATIONS`].
    pub fn like(mut self, salt_len: usize, iterations: u32) -> Result<Self, SaslError> {
        match salt_len {
            0 => return Err(SaslError::EmptyField { field: SALT }),
            1..=MAX_DECOY_SALT => {}
            _ => return Err(SaslError::FieldTooLong { field: SALT, max: MAX_DECOY_SALT }),
        }
        check_iterations(iterations, &ITERATIONS)?;
        (self.salt_len, self.iterations) = (salt_len, iterations);
        Ok(self)
    }

    /// A credential for this name that no password fits.
    pub(super) fn credential(&self, hash: ScramHash, user: &str) -> StoredCredential {
        let made = |what: &[u8]| hash.hmac(&self.secret, &[what, user.as_bytes()]);
        let mut salt = made(b"salt\0").to_vec();
        salt.truncate(self.salt_len);
        let (stored_key, server_key) = (made(b"stored\0"), made(b"server\0"));
        StoredCredential { hash, salt, iterations: self.iterations, stored_key, server_key }
    }
}

impl fmt::Debug for ScramDecoy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramDecoy")
            .field("salt_len", &self.salt_len)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

const MIN_SECRET: usize = 16;
const MAX_DECOY_SALT: usize = 32;

pub(super) fn check_password(password: &str) -> Result<(), SaslError> {
    if password.is_empty() {
        return Err(SaslError::EmptyField { field: PASSWORD });
    }
    text(password.as_bytes(), PASSWORD, MAX_PASSWORD).map(|_| ())
}

pub(super) fn check_iterations(count: u32, bounds: &core::ops::RangeInclusive<u32>) -> Result<(), SaslError> {
    if bounds.contains(&count) {
        return Ok(());
    }
    Err(SaslError::Iterations { count, min: *bounds.start(), max: *bounds.end() })
}

fn checked(salt: Vec<u8>, iterations: u32) -> Result<Vec<u8>, SaslError> {
    check_iterations(iterations, &ITERATIONS)?;
    match salt.len() {
        0 => Err(SaslError::EmptyField { field: SALT }),
        1..=MAX_SALT => Ok(salt),
        _ => Err(SaslError::FieldTooLong { field: SALT, max: MAX_SALT }),
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    fn stored() -> StoredCredential {
        StoredCredential::from_password(ScramHash::Sha256, "pencil", *b"0123456789abcdef", 4096).expect("a credential")
    }

    #[test]
    fn what_was_kept_is_the_same_credential() {
        let made = stored();
        let (stored_key, server_key) = (made.stored_key().to_vec(), made.server_key().to_vec());
        let kept = StoredCredential::from_keys(made.hash(), made.salt(), made.iterations(), stored_key, server_key)
            .expect("keys of the right length");
        assert_eq!((kept.stored_key(), kept.server_key()), (made.stored_key(), made.server_key()));
        assert_eq!((kept.salt(), kept.iterations()), (&b"0123456789abcdef"[..], 4096));
    }

    #[test]
    fn bad_parts_are_refused() {
        let made = |password, salt: &[u8], iterations| {
            StoredCredential::from_password(ScramHash::Sha256, password, salt, iterations).expect_err("a bad part")
        };
        assert_eq!(made("", b"salt", 4096), SaslError::EmptyField { field: "password" });
        assert_eq!(made("p", b"", 4096), SaslError::EmptyField { field: "salt" });
        assert_eq!(made("p", &[0; 1025], 4096), SaslError::FieldTooLong { field: "salt", max: 1024 });
        for count in [0, 4095, 1_000_001] {
            assert_eq!(made("p", b"salt", count), SaslError::Iterations { count, min: 4096, max: 1_000_000 });
        }
        let kept = StoredCredential::from_keys(ScramHash::Sha256, *b"salt", 4096, [0; 32], [0; 31]);
        assert_eq!(kept.expect_err("a short key"), SaslError::KeyLength { expected: 32 });
        assert_eq!(ScramDecoy::new([0; 15]).expect_err("a short secret"), SaslError::KeyLength { expected: 16 });
        let decoy = ScramDecoy::new([0; 16]).expect("a secret");
        assert!(decoy.clone().like(33, 4096).is_err() && decoy.clone().like(0, 4096).is_err());
        assert!(decoy.like(24, 10).is_err());
    }

    #[test]
    fn a_decoy_is_steady_and_differs_by_name_and_secret() {
        let decoy = |secret: u8, user| {
            let decoy = ScramDecoy::new([secret; 16]).and_then(|decoy| decoy.like(24, 5000)).expect("a decoy");
            decoy.credential(ScramHash::Sha256, user)
        };
        let salt = decoy(1, "nobody").salt().to_vec();
        assert_eq!((salt.len(), decoy(1, "nobody").iterations()), (24, 5000));
        assert_eq!(decoy(1, "nobody").salt(), salt);
        assert_ne!(decoy(1, "noone").salt(), salt);
        assert_ne!(decoy(2, "nobody").salt(), salt);
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?} {:?}", stored(), ScramDecoy::new([7; 16]));
        assert!(shown.contains("4096") && !shown.contains("key") && !shown.contains("secret"), "{shown}");
    }
}
