use alloc::format;
use alloc::string::String;
use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{Attributes, MAX_NONCE, ScramDecoy, ScramHash, StoredCredential, USER, check_nonce, message};
use crate::sasl::{SaslError, gs2};
use crate::secret::equal;

/// The server's half of SCRAM: give it what the client says, and do what it says to that.
///
/// ```
/// use amqp1_auth::sasl::scram::{ScramDecoy, ScramHash, ScramServer, ScramStep, StoredCredential};
///
/// # let (secret, nonce) = ([7; 16], "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
/// let decoy = ScramDecoy::new(secret)?;
/// let mut server = ScramServer::new(ScramHash::Sha256, nonce, &decoy)?;
///
/// let step = server.respond(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")?;
/// assert_eq!(step, ScramStep::Lookup { user: "user".into(), authzid: None });
///
/// // Look the user up, for as long as that takes, then send the challenge.
/// let stored = StoredCredential::from_password(ScramHash::Sha256, "pencil", *b"a salt for users", 4096)?;
/// let challenge = server.credential(Some(&stored))?;
/// assert!(challenge.starts_with(b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s="));
/// # Ok::<(), amqp1_auth::sasl::SaslError>(())
/// ```
///
/// After an error the negotiation is over: answer with [`SaslOutcome::Auth`](crate::sasl::SaslOutcome::Auth).
pub struct ScramServer {
    hash: ScramHash,
    nonce: String,
    decoy: ScramDecoy,
    state: State,
}

/// The next step of a [`ScramServer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScramStep {
    /// Look the user up, and give what is stored of it, or `None`, to [`ScramServer::credential`].
    Lookup {
        /// Whose credential is wanted.
        user: String,
        /// Whom it asks to act as; `None` is the user itself.
        authzid: Option<String>,
    },
    /// The client knows the password. Whether the user may act as `authzid` is for the caller to say; then the
    /// outcome is ok, with this additional-data.
    Verified {
        /// Who it is.
        user: String,
        /// Whom it asks to act as; `None` is the user itself.
        authzid: Option<String>,
        /// The server's proof, without which the client will not go on.
        additional_data: Bytes,
    },
}

enum State {
    /// The client's first message is due.
    First,
    /// The credential is due.
    Lookup(First),
    /// The client's proof is due.
    Proof(First, Challenge),
    Over,
}

/// The client-first-message.
struct First {
    user: String,
    authzid: Option<String>,
    /// The GS2 header as it was written, which the client repeats under its proof.
    header: String,
    bare: String,
    /// Both ends' nonces.
    nonce: String,
}

struct Challenge {
    sent: String,
    stored: StoredCredential,
    /// Whether there is such a user.
    real: bool,
}

impl ScramServer {
    /// For one negotiation. The nonce is drawn at random for it: see the [module](super).
    ///
    /// # Errors
    ///
    /// [`SaslError::EmptyField`], [`SaslError::FieldTooLong`] and [`SaslError::ForbiddenCharacter`] for the nonce.
    pub fn new(hash: ScramHash, nonce: impl Into<String>, decoy: &ScramDecoy) -> Result<Self, SaslError> {
        let nonce = nonce.into();
        check_nonce(&nonce, MAX_NONCE)?;
        Ok(Self { hash, nonce, decoy: decoy.clone(), state: State::First })
    }

    /// Takes sasl-init's initial-response (§5.3.3.2) and then a response (§5.3.3.4).
    ///
    /// # Errors
    ///
    /// [`SaslError::WrongProof`] for a wrong password or a user that does not exist, which are not told apart; other
    /// variants for messages that are malformed or ask for what is not supported; [`SaslError::OutOfTurn`] if it is
    /// not the client's turn.
    pub fn respond(&mut self, response: &[u8]) -> Result<ScramStep, SaslError> {
        match core::mem::replace(&mut self.state, State::Over) {
            State::First => {
                let first = self.first(response)?;
                let step = ScramStep::Lookup { user: first.user.clone(), authzid: first.authzid.clone() };
                self.state = State::Lookup(first);
                Ok(step)
            }
            State::Proof(first, challenge) => self.proof(response, first, &challenge),
            State::Lookup(_) | State::Over => Err(SaslError::OutOfTurn { mechanism: self.hash.mechanism() }),
        }
    }

    /// Takes what is stored of the user, and gives the challenge to send (§5.3.3.3). With `None`, or with a
    /// credential that is for another hash, the negotiation goes on in the same way and fails at its end.
    ///
    /// # Errors
    ///
    /// [`SaslError::OutOfTurn`] if no credential was asked for.
    pub fn credential(&mut self, stored: Option<&StoredCredential>) -> Result<Bytes, SaslError> {
        let State::Lookup(first) = core::mem::replace(&mut self.state, State::Over) else {
            return Err(SaslError::OutOfTurn { mechanism: self.hash.mechanism() });
        };
        // Made for those who exist too, so that it takes as long.
        let decoy = self.decoy.credential(self.hash, &first.user);
        let stored = stored.filter(|stored| stored.hash() == self.hash);
        let real = stored.is_some();
        let stored = stored.cloned().unwrap_or(decoy);
        let sent = format!("r={},s={},i={}", first.nonce, STANDARD.encode(stored.salt()), stored.iterations());
        let challenge = Bytes::from(sent.clone());
        self.state = State::Proof(first, Challenge { sent, stored, real });
        Ok(challenge)
    }

    fn first(&self, response: &[u8]) -> Result<First, SaslError> {
        let mechanism = self.hash.mechanism();
        let header = gs2::read(message(response, mechanism)?, mechanism)?;
        let mut attributes = Attributes::of(header.rest, mechanism)?;
        let user = gs2::unescaped(attributes.expect('n', USER)?, USER)?;
        let nonce = attributes.expect('r', "nonce")?;
        attributes.ignore_rest()?;
        check_nonce(nonce, MAX_NONCE)?;
        Ok(First {
            user,
            authzid: header.authzid,
            header: header.written.into(),
            bare: header.rest.into(),
            nonce: [nonce, &self.nonce].concat(),
        })
    }

    fn proof(&self, response: &[u8], first: First, challenge: &Challenge) -> Result<ScramStep, SaslError> {
        let (hash, mechanism) = (self.hash, self.hash.mechanism());
        let client_final = message(response, mechanism)?;
        // The proof is the last attribute, and covers all before it.
        let malformed = SaslError::Malformed { mechanism, what: "proof" };
        let (without_proof, proof) = client_final.rsplit_once(",p=").ok_or(malformed)?;
        let mut proof = STANDARD.decode(proof).map_err(|_| malformed)?;
        if proof.len() != hash.output_len() {
            return Err(malformed);
        }
        let mut attributes = Attributes::of(without_proof, mechanism)?;
        let binding = attributes.expect_base64('c', "channel binding")?;
        let nonce = attributes.expect('r', "nonce")?;
        attributes.ignore_rest()?;
        if *binding != first.header.as_bytes() {
            return Err(SaslError::Malformed { mechanism, what: "channel binding" });
        }
        if nonce != first.nonce {
            return Err(SaslError::ForeignNonce { mechanism });
        }

        let signed = format!("{},{},{without_proof}", first.bare, challenge.sent);
        let signature = hash.hmac(challenge.stored.stored_key(), &[signed.as_bytes()]);
        // The result is the client's key, if it knows it.
        proof.iter_mut().zip(signature.iter()).for_each(|(octet, mask)| *octet ^= mask);
        let key = super::hash::Octets::from(proof);
        let right = equal(&hash.digest(&key), challenge.stored.stored_key());
        if !(right & challenge.real) {
            return Err(SaslError::WrongProof);
        }
        let proof = hash.hmac(challenge.stored.server_key(), &[signed.as_bytes()]);
        let additional_data = Bytes::from(format!("v={}", STANDARD.encode(proof)));
        Ok(ScramStep::Verified { user: first.user, authzid: first.authzid, additional_data })
    }
}

impl fmt::Debug for ScramServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::First => "first message due",
            State::Lookup(_) => "credential due",
            State::Proof(..) => "proof due",
            State::Over => "over",
        };
        f.debug_struct("ScramServer").field("hash", &self.hash).field("state", &state).finish_non_exhaustive()
    }
}
