//! Who is let in, where a password is wanted.

use super::Options;
use amqp1::{
    acceptor::{Authenticator, BoxFuture, SaslAttempt, SaslCode, SaslDecision, ScramHash, StoredCredential},
    auth::sasl::{SaslError, plain},
};
use std::{
    collections::hash_map::RandomState,
    error::Error,
    hash::{BuildHasher, Hasher},
};

/// One user for each mechanism.
pub(crate) struct Users {
    plain: Option<(String, String)>,
    scram: Option<(String, Vec<StoredCredential>)>,
}

/// The rounds that make guessing a password dearer, from what SCRAM shows of it.
const ITERATIONS: u32 = 4096;

impl Users {
    /// The users of the command line, if there are any.
    pub(crate) fn of(options: &Options) -> Result<Option<Self>, Box<dyn Error>> {
        let split = |credentials: &String, option: &str| {
            let (user, password) = credentials.split_once(':').ok_or_else(|| format!("{option} wants USER:PASS"))?;
            Ok::<_, String>((user.to_owned(), password.to_owned()))
        };
        let plain = options.sasl_plain.as_ref().map(|credentials| split(credentials, "--sasl-plain")).transpose()?;
        let scram = options.sasl_scram.as_ref().map(|credentials| split(credentials, "--sasl-scram")).transpose()?;
        let stored = |(user, password): (String, String)| {
            let of = |hash| StoredCredential::from_password(hash, &password, salt(), ITERATIONS);
            Ok::<_, SaslError>((user, ScramHash::ALL.into_iter().map(of).collect::<Result<_, _>>()?))
        };
        let scram = scram.map(stored).transpose()?;
        Ok((plain.is_some() || scram.is_some()).then_some(Self { plain, scram }))
    }

    /// The mechanisms that are offered.
    pub(crate) fn mechanisms(&self) -> Vec<&'static str> {
        let scram = self.scram.iter().flat_map(|_| ScramHash::ALL.into_iter().rev().map(ScramHash::mechanism));
        scram.chain(self.plain.iter().map(|_| plain::NAME)).collect()
    }
}

/// 16 octets, from the seeds that the standard library draws at random.
fn salt() -> [u8; 16] {
    let half = || RandomState::new().build_hasher().finish();
    (u128::from(half()) << 64 | u128::from(half())).to_be_bytes()
}

impl Authenticator for Users {
    fn authenticate(&self, attempt: SaslAttempt) -> BoxFuture<'_, SaslDecision> {
        let said = plain::Credentials::parse(attempt.response.as_deref().unwrap_or_default()).ok();
        let known = said.zip(self.plain.as_ref()).filter(|(said, (user, password))| {
            let is_user = said.authcid() == user;
            said.password_matches(password) && is_user
        });
        Box::pin(std::future::ready(match known {
            Some((_, (user, _))) => SaslDecision::Accept { identity: user.clone(), additional_data: None },
            None => SaslDecision::Refuse(SaslCode::Auth),
        }))
    }

    fn scram_credential<'a>(
        &'a self,
        user: &'a str,
        hash: ScramHash,
    ) -> BoxFuture<'a, Result<Option<StoredCredential>, SaslCode>> {
        let known = self.scram.as_ref().filter(|(known, _)| known == user);
        let stored = known.and_then(|(_, stored)| stored.iter().find(|stored| stored.hash() == hash));
        Box::pin(std::future::ready(Ok(stored.cloned())))
    }
}
