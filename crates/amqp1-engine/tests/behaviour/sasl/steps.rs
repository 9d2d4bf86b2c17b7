//! Mechanisms of several steps, with both ends.

use super::*;
use amqp1_auth::sasl::{
    OAuthBearer, Scram, TokenStatus, oauthbearer,
    scram::{ScramDecoy, ScramHash, ScramServer, ScramStep, StoredCredential},
};

fn scram_server() -> ScramServer {
    let decoy = ScramDecoy::new([3; 16]).unwrap();
    ScramServer::new(ScramHash::Sha256, "server", &decoy).unwrap()
}

/// A SCRAM dialog up to where the outcome is due: the ends, and how the server's half sees the client.
pub(super) fn scram(password: &str) -> (Pair, Result<ScramStep, SaslError>) {
    let (client, server) = Pair::configs();
    let mechanism = Scram::new(ScramHash::Sha256, "user", password, "client").unwrap();
    let offered = vec![Symbol::from_static("SCRAM-SHA-256")];
    let mut pair = Pair::sasl(client, Some(Box::new(mechanism)), server, ServerSasl::Required(offered));
    pair.server.accept.sasl = false;
    pair.drive();
    let mut half = scram_server();
    half.respond(&asked(&mut pair.server).1.unwrap()).unwrap();
    let stored = StoredCredential::from_password(ScramHash::Sha256, "pencil", *b"salt", 4096).unwrap();
    pair.server.sasl_challenge(half.credential(Some(&stored)).unwrap());
    pair.drive();
    let step = half.respond(answers(&pair.server)[0]);
    (pair, step)
}

#[test]
fn s_scram_1_both_ends_prove_that_they_know_the_password() {
    let (mut pair, step) = scram("pencil");
    let Ok(ScramStep::Verified { additional_data, .. }) = step else { panic!("{step:?}") };
    pair.server.sasl_outcome(SaslCode::Ok, Some(additional_data));
    pair.drive();
    assert!(pair.client.opened() && pair.server.opened());
    assert_eq!(scram("guess").1, Err(SaslError::WrongProof));
}

/// Also S-5.1-1 and S-5.3.3.5-1.
#[test]
fn s_scram_1_a_client_leaves_a_server_that_has_proven_nothing() {
    let wrong = "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for additional_data in [None, Some(wrong.into())] {
        let (mut pair, _) = scram("pencil");
        pair.server.sasl_outcome(SaslCode::Ok, additional_data);
        pair.drive();
        let unproven = SaslError::ServerUnproven { mechanism: "SCRAM-SHA-256" };
        assert_eq!(pair.client.closed(), ConnectionError::Sasl(SaslFailure::Mechanism(unproven)));
        assert!(!pair.client.opened() && pair.client.is_finished());
        let written = items(&pair.client.written);
        assert!(matches!(written.last(), Some(Item::Sasl(SaslBody::Response(_)))), "no AMQP header leaves");
    }
}

#[test]
fn s_5_3_3_6_1_why_a_token_was_refused_is_told_by_the_client() {
    for (code, told) in [(SaslCode::Auth, true), (SaslCode::SysTemp, false)] {
        let (client, mut server) = Pair::configs();
        server.tolerances.long_sasl_frames = true;
        let mechanism = OAuthBearer::new("t".repeat(4000)).unwrap();
        let offered = vec![Symbol::from_static("OAUTHBEARER")];
        let mut pair = Pair::sasl(client, Some(Box::new(mechanism)), server, ServerSasl::Required(offered));
        pair.server.accept.sasl = false;
        pair.drive();
        let request = oauthbearer::Request::parse(&asked(&mut pair.server).1.unwrap()).unwrap();
        assert_eq!(request.token().len(), 4000);
        pair.server.sasl_challenge(oauthbearer::failure(TokenStatus::InvalidToken));
        pair.drive();
        assert_eq!(answers(&pair.server), [oauthbearer::DUMMY_RESPONSE]);
        pair.server.sasl_outcome(code, None);
        pair.drive();
        let why = SaslError::ServerStatus { mechanism: "OAUTHBEARER", status: "invalid_token" };
        let why = if told { SaslFailure::Mechanism(why) } else { SaslFailure::Refused(code) };
        assert_eq!(pair.client.closed(), ConnectionError::Sasl(why));
    }
}
