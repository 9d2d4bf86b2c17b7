//! A SASL dialog with a client, as its server.

use super::{
    authenticator::{SaslAttempt, SaslDecision},
    builder::AcceptorBuilder,
};
use crate::{
    connect::nonce,
    handle::{connection::Connection, incoming::Identity},
    state::shared::SaslStep,
    types::error::{Error, ErrorKind},
};
use amqp1_auth::sasl::{
    SaslError, TokenStatus, external, oauthbearer, plain,
    scram::{ScramHash, ScramServer, ScramStep},
    xoauth2,
};
use amqp1_codec::{Str, Symbol, sasl::SaslCode};
use bytes::Bytes;

/// More challenges than any mechanism has: a client that needs more is refused.
const MAX_CHALLENGES: usize = 16;

// Not to be shown: it holds what the client has said.
pub(super) struct Dialog<'a> {
    acceptor: &'a AcceptorBuilder,
    connection: &'a Connection,
    /// The mechanism that the client chose.
    mechanism: Option<Symbol>,
    hostname: Option<Str>,
    /// SCRAM, when it is under way.
    scram: Option<ScramServer>,
    /// The client was told why in a challenge; when it has answered, this is its outcome.
    refusing: Option<SaslCode>,
    /// The client's responses, each with the challenge that followed it.
    earlier: Vec<(Bytes, Bytes)>,
}

impl<'a> Dialog<'a> {
    pub(super) fn new(acceptor: &'a AcceptorBuilder, connection: &'a Connection) -> Self {
        let earlier = Vec::new();
        Self { acceptor, connection, mechanism: None, hostname: None, scram: None, refusing: None, earlier }
    }

    /// Answers one step. Who the client is, if that is settled now.
    pub(super) async fn answer(&mut self, step: SaslStep) -> Result<Option<Identity>, Error> {
        if let Some(mechanism) = step.mechanism {
            self.hostname = step.hostname;
            let asked_for = client_begins(&mechanism) && step.response.is_none();
            self.mechanism = Some(mechanism);
            if asked_for {
                self.connection.shared().command(|state, _| state.engine.sasl_challenge(Bytes::new()))?;
                return Ok(None);
            }
        }
        let Some(mechanism) = self.mechanism.clone() else { return Ok(None) };
        let response = step.response.clone().unwrap_or_default();
        let decision = match (self.refusing, ScramHash::from_mechanism(mechanism.as_str())) {
            (Some(code), _) => SaslDecision::Refuse(code),
            (None, Some(hash)) => self.scram(hash, &response).await,
            // With nothing else on offer it was offered, and means nothing without a certificate.
            (None, None) if mechanism.as_str() == external::NAME && self.is_unproven() => {
                SaslDecision::Refuse(SaslCode::Auth)
            }
            (None, None) => self.ask(mechanism.clone(), step.response).await,
        };
        let decision = self.explained(&mechanism, decision);
        if let SaslDecision::Challenge(challenge) = &decision {
            self.earlier.push((response, challenge.clone()));
        }
        self.connection.shared().command(|state, _| match decision {
            SaslDecision::Accept { identity, additional_data } => {
                state.engine.sasl_outcome(SaslCode::Ok, additional_data);
                Some(Identity { mechanism, name: identity })
            }
            SaslDecision::Challenge(challenge) => {
                state.engine.sasl_challenge(challenge);
                None
            }
            SaslDecision::Refuse(code) => {
                state.engine.sasl_outcome(code, None);
                None
            }
        })
    }

    /// Why there is no connection, as the server sees it.
    pub(super) fn explain(&self, error: Error, offered: &[Symbol]) -> Error {
        let text = match (error.kind(), &self.mechanism) {
            (ErrorKind::Authentication, Some(mechanism)) => format!("the client was refused ({mechanism})"),
            (ErrorKind::TransportLost, Some(mechanism)) => {
                format!("the client left after SASL had begun ({mechanism})")
            }
            (ErrorKind::TransportLost, None) if !offered.is_empty() => {
                let offered: Vec<_> = offered.iter().map(Symbol::as_str).collect();
                format!("the client left before SASL; it may not take what is offered here ({})", offered.join(", "))
            }
            _ => return error,
        };
        Error::new(error.kind(), text).with_source(error)
    }

    /// Whether somebody has to know who the client is, and it has shown no certificate in TLS.
    fn is_unproven(&self) -> bool {
        #[cfg(feature = "tls")]
        let certified = self.connection.peer_certificates().is_some_and(|chain| !chain.is_empty());
        #[cfg(not(feature = "tls"))]
        let certified = false;
        self.acceptor.authenticator.is_some() && !certified
    }

    /// The application's decision.
    async fn ask(&self, mechanism: Symbol, response: Option<Bytes>) -> SaslDecision {
        let attempt = SaslAttempt {
            mechanism,
            response,
            hostname: self.hostname.clone(),
            earlier: self.earlier.clone(),
            #[cfg(feature = "tls")]
            peer_certificates: self.connection.peer_certificates(),
        };
        match &self.acceptor.authenticator {
            Some(authenticator) => authenticator.authenticate(attempt).await,
            None => SaslDecision::Accept { identity: String::new(), additional_data: None },
        }
    }

    /// The answer of SCRAM, from the credential that the application has stored for the user.
    async fn scram(&mut self, hash: ScramHash, response: &[u8]) -> SaslDecision {
        match self.scram_step(hash, response).await {
            Ok(decision) => decision,
            Err(error) => {
                tracing::debug!(%error, "SCRAM failed");
                SaslDecision::Refuse(SaslCode::Auth)
            }
        }
    }

    async fn scram_step(&mut self, hash: ScramHash, response: &[u8]) -> Result<SaslDecision, SaslError> {
        let inner = self.acceptor;
        let mut server = match self.scram.take() {
            Some(server) => server,
            None => ScramServer::new(hash, nonce::nonce(), &inner.scram_decoy)?,
        };
        match server.respond(response)? {
            ScramStep::Lookup { user, .. } => {
                let stored = match &inner.authenticator {
                    Some(authenticator) => authenticator.scram_credential(&user, hash).await,
                    None => Ok(None),
                };
                let stored = match stored {
                    Ok(stored) => stored,
                    Err(code) => return Ok(SaslDecision::Refuse(code)),
                };
                let challenge = server.credential(stored.as_ref())?;
                self.scram = Some(server);
                Ok(SaslDecision::Challenge(challenge))
            }
            ScramStep::Verified { user, authzid, additional_data } => {
                if authzid.is_some_and(|authzid| authzid != user) {
                    tracing::debug!("SCRAM failed: the user asks to act as another");
                    return Ok(SaslDecision::Refuse(SaslCode::Auth));
                }
                Ok(SaslDecision::Accept { identity: user, additional_data: Some(additional_data) })
            }
        }
    }

    /// The decision, as it can be carried out: a refused token is explained first (RFC 7628 §3.2.2), no refusal says
    /// ok, and it ends some time.
    fn explained(&mut self, mechanism: &Symbol, decision: SaslDecision) -> SaslDecision {
        let failure: Option<fn(TokenStatus) -> Bytes> = match mechanism.as_str() {
            oauthbearer::NAME => Some(oauthbearer::failure),
            xoauth2::NAME => Some(xoauth2::failure),
            _ => None,
        };
        match (decision, failure) {
            (SaslDecision::Refuse(SaslCode::Ok), _) => self.explained(mechanism, SaslDecision::Refuse(SaslCode::Auth)),
            (SaslDecision::Challenge(_), _) if self.earlier.len() >= MAX_CHALLENGES => {
                SaslDecision::Refuse(SaslCode::Auth)
            }
            (SaslDecision::Challenge(challenge), Some(_)) => {
                self.refusing = Some(SaslCode::Auth);
                SaslDecision::Challenge(challenge)
            }
            (SaslDecision::Refuse(SaslCode::Auth), Some(failure)) if self.refusing.is_none() => {
                self.refusing = Some(SaslCode::Auth);
                SaslDecision::Challenge(failure(TokenStatus::InvalidToken))
            }
            (decision, _) => decision,
        }
    }
}

/// RFC 4422 §3: whether the mechanism begins with the client's response, which an empty challenge asks for.
fn client_begins(mechanism: &Symbol) -> bool {
    let name = mechanism.as_str();
    matches!(name, plain::NAME | external::NAME | oauthbearer::NAME | xoauth2::NAME)
        || ScramHash::from_mechanism(name).is_some()
}
