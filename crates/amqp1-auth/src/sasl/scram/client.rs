use alloc::format;
use alloc::string::String;
use core::fmt;
use core::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::credential::{Keys, check_iterations, check_password};
use super::hash::Octets;
use super::{Attributes, ITERATIONS, MAX_NONCE, MAX_SALT, ScramHash, USER, check_nonce, message};
use crate::sasl::{ClientMechanism, SaslError, gs2, text};
use crate::secret::{SecretText, equal};

/// The client's half of SCRAM. One value is good for one connection, since its nonce is.
///
/// ```
/// use amqp1_auth::sasl::{ClientMechanism, scram::{Scram, ScramHash}};
///
/// let mut scram = Scram::new(ScramHash::Sha256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO")?;
/// assert_eq!(scram.initial_response().as_deref(), Some(&b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"[..]));
/// # Ok::<(), amqp1_auth::sasl::SaslError>(())
/// ```
pub struct Scram {
    hash: ScramHash,
    authzid: String,
    user: String,
    password: SecretText,
    nonce: String,
    iterations: RangeInclusive<u32>,
    state: State,
}

enum State {
    /// The server's first message is due.
    First,
    /// The proof is sent: the server's is due, and must be this.
    Final(Octets),
    /// The server gave its proof in a challenge.
    Proven,
    /// There is nothing more to say.
    Over,
}

impl Scram {
    /// Authenticates as `user`. The nonce is drawn at random for this one attempt: see the [module](super).
    ///
    /// # Errors
    ///
    /// [`SaslError::EmptyField`] for an empty user name, password or nonce; [`SaslError::ForbiddenCharacter`] for a
    /// NUL in the first two, and for anything in the nonce but visible ASCII other than the comma;
    /// [`SaslError::FieldTooLong`].
    pub fn new(
        hash: ScramHash,
        user: impl Into<String>,
        password: impl Into<String>,
        nonce: impl Into<String>,
    ) -> Result<Self, SaslError> {
        let (user, password, nonce) = (user.into(), SecretText::new(password), nonce.into());
        if user.is_empty() {
            return Err(SaslError::EmptyField { field: USER });
        }
        text(user.as_bytes(), USER, gs2::MAX_NAME)?;
        check_password(password.expose())?;
        check_nonce(&nonce, MAX_NONCE)?;
        let (authzid, iterations) = (String::new(), ITERATIONS);
        Ok(Self { hash, authzid, user, password, nonce, iterations, state: State::First })
    }

    /// Asks to act as `authzid`; an empty one is the user itself.
    ///
    /// # Errors
    ///
    /// [`SaslError::FieldTooLong`], [`SaslError::ForbiddenCharacter`] for a NUL.
    pub fn with_authzid(mut self, authzid: impl Into<String>) -> Result<Self, SaslError> {
        self.authzid = authzid.into();
        text(self.authzid.as_bytes(), gs2::AUTHZID, gs2::MAX_NAME)?;
        Ok(self)
    }

    /// Sets how many iterations a server may ask for, [`ITERATIONS`] unless set. With less, a proof that somebody
    /// records is easier to guess a password from; with more, a server can keep this end busy.
    pub fn with_iterations(mut self, bounds: RangeInclusive<u32>) -> Self {
        self.iterations = bounds;
        self
    }

    fn first_bare(&self) -> String {
        format!("n={},r={}", gs2::escaped(&self.user), self.nonce)
    }

    /// The answer to the server's first message, and the proof that the server owes then.
    fn prove(&self, challenge: &[u8]) -> Result<(Bytes, Octets), SaslError> {
        let (hash, mechanism) = (self.hash, self.hash.mechanism());
        let server_first = message(challenge, mechanism)?;
        let mut attributes = Attributes::of(server_first, mechanism)?;
        let nonce = attributes.expect('r', "nonce")?;
        let salt = attributes.expect_base64('s', "salt")?;
        let iterations = attributes.expect('i', "iteration count")?;
        attributes.ignore_rest()?;

        // The server's own part must be there, or an old dialog could be played again.
        if nonce.strip_prefix(self.nonce.as_str()).is_none_or(str::is_empty) {
            return Err(SaslError::ForeignNonce { mechanism });
        }
        check_nonce(nonce, 2 * MAX_NONCE)?;
        if salt.is_empty() || salt.len() > MAX_SALT {
            return Err(SaslError::Malformed { mechanism, what: "salt" });
        }
        let iterations = self.count(iterations)?;

        let keys = Keys::of(hash, self.password.expose(), &salt, iterations);
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(gs2::header(&self.authzid)));
        let signed = format!("{},{server_first},{without_proof}", self.first_bare());
        let mut proof = hash.hmac(&hash.digest(&keys.client), &[signed.as_bytes()]);
        proof.iter_mut().zip(keys.client.iter()).for_each(|(octet, key)| *octet ^= key);
        let response = format!("{without_proof},p={}", STANDARD.encode(&proof));
        Ok((Bytes::from(response), hash.hmac(&keys.server, &[signed.as_bytes()])))
    }

    /// The iterations, if they are bearable. They are judged before any is made.
    fn count(&self, written: &str) -> Result<u32, SaslError> {
        if written.is_empty() || written.starts_with('0') || !written.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(SaslError::Malformed { mechanism: self.hash.mechanism(), what: "iteration count" });
        }
        // A number that no u32 holds is too large in any case.
        let count = written.parse().unwrap_or(u32::MAX);
        check_iterations(count, &self.iterations)?;
        Ok(count)
    }

    /// Whether the server's last message holds the proof that it owes.
    fn check(&self, server_final: &[u8], expected: &[u8]) -> Result<(), SaslError> {
        let mechanism = self.hash.mechanism();
        let server_final = message(server_final, mechanism)?;
        if let Some(error) = server_final.strip_prefix("e=") {
            let error = error.split(',').next().unwrap_or_default();
            let known = SERVER_ERRORS.into_iter().find(|known| *known == error);
            return Err(SaslError::ServerStatus { mechanism, status: known.unwrap_or("other-error") });
        }
        let mut attributes = Attributes::of(server_final, mechanism)?;
        let proof = attributes.expect_base64('v', "server signature")?;
        attributes.ignore_rest()?;
        if equal(&proof, expected) { Ok(()) } else { Err(SaslError::ServerUnproven { mechanism }) }
    }
}

/// RFC 5802 §7, server-error-value. Others are not repeated: a server writes there what it likes.
const SERVER_ERRORS: [&str; 11] = [
    "invalid-encoding",
    "extensions-not-supported",
    "invalid-proof",
    "channel-bindings-dont-match",
    "server-does-support-channel-binding",
    "channel-binding-not-supported",
    "unsupported-channel-binding-type",
    "unknown-user",
    "invalid-username-encoding",
    "no-resources",
    "other-error",
];

impl ClientMechanism for Scram {
    fn name(&self) -> &'static str {
        self.hash.mechanism()
    }

    fn initial_response(&mut self) -> Option<Bytes> {
        Some(Bytes::from(gs2::header(&self.authzid) + &self.first_bare()))
    }

    /// Answers the server's first message with the proof. Some servers say their last message in a challenge, not in
    /// the outcome; it is checked and answered with nothing.
    fn respond(&mut self, challenge: &[u8]) -> Result<Bytes, SaslError> {
        match core::mem::replace(&mut self.state, State::Over) {
            State::First => {
                let (response, expected) = self.prove(challenge)?;
                self.state = State::Final(expected);
                Ok(response)
            }
            State::Final(expected) => {
                self.check(challenge, &expected)?;
                self.state = State::Proven;
                Ok(Bytes::new())
            }
            State::Proven | State::Over => Err(SaslError::UnexpectedChallenge { mechanism: self.hash.mechanism() }),
        }
    }

    /// The server's proof must be there, or have come in a challenge.
    fn verify_outcome(&mut self, additional_data: Option<&[u8]>) -> Result<(), SaslError> {
        let unproven = SaslError::ServerUnproven { mechanism: self.hash.mechanism() };
        match core::mem::replace(&mut self.state, State::Over) {
            State::Final(expected) => self.check(additional_data.ok_or(unproven)?, &expected),
            State::Proven => Ok(()),
            State::First | State::Over => Err(unproven),
        }
    }
}

impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scram")
            .field("hash", &self.hash)
            .field("authzid", &self.authzid)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
