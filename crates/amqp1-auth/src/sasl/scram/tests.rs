//! Both halves against each other, against the RFC's octets, and against peers that cheat.

use alloc::string::String;
use std::{format, sync::OnceLock};

use proptest::prelude::*;

use super::*;
use crate::sasl::ClientMechanism;

const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";

/// What RFC 7677 §3 has for the user "user" and the password "pencil".
const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                            p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn client() -> Scram {
    Scram::new(ScramHash::Sha256, "user", "pencil", CLIENT_NONCE).expect("the RFC's example")
}

/// A client that has sent its proof.
fn proven_client() -> Scram {
    let mut client = client();
    client.initial_response();
    client.respond(SERVER_FIRST.as_bytes()).expect("the RFC's challenge");
    client
}

/// As [`proven_client`], to a server that asks for one iteration: where what follows is refused anyhow.
fn hasty_client() -> Scram {
    let mut client = client().with_iterations(1..=4096);
    client.initial_response();
    client.respond(SERVER_FIRST.replace("i=4096", "i=1").as_bytes()).expect("a challenge");
    client
}

fn stored() -> StoredCredential {
    static STORED: OnceLock<StoredCredential> = OnceLock::new();
    let make = || {
        let salt = STANDARD.decode(SALT).expect("base64");
        StoredCredential::from_password(ScramHash::Sha256, "pencil", salt, 4096).expect("the RFC's example")
    };
    STORED.get_or_init(make).clone()
}

fn server() -> ScramServer {
    let decoy = ScramDecoy::new([9; 32]).expect("a secret");
    ScramServer::new(ScramHash::Sha256, SERVER_NONCE, &decoy).expect("the RFC's nonce")
}

/// A server that has sent the RFC's challenge.
fn asking_server() -> ScramServer {
    let mut server = server();
    server.respond(CLIENT_FIRST.as_bytes()).expect("the RFC's message");
    server.credential(Some(&stored())).expect("asked for");
    server
}

/// What is wrong with a challenge.
fn refused(challenge: &str) -> SaslError {
    let mut client = client();
    client.initial_response();
    let error = client.respond(challenge.as_bytes()).expect_err(challenge);
    let over = client.respond(SERVER_FIRST.as_bytes());
    assert_eq!(over, Err(SaslError::UnexpectedChallenge { mechanism: SHA_256 }), "an error is the end");
    assert_eq!(client.verify_outcome(Some(SERVER_FINAL.as_bytes())), Err(UNPROVEN));
    error
}

const UNPROVEN: SaslError = SaslError::ServerUnproven { mechanism: SHA_256 };

const fn malformed(what: &'static str) -> SaslError {
    SaslError::Malformed { mechanism: SHA_256, what }
}

#[test]
fn s_scram_1_the_client_says_what_the_rfc_has() {
    let mut client = client();
    assert_eq!(client.name(), "SCRAM-SHA-256");
    assert_eq!(client.initial_response().as_deref(), Some(CLIENT_FIRST.as_bytes()));
    assert_eq!(client.respond(SERVER_FIRST.as_bytes()).as_deref(), Ok(CLIENT_FINAL.as_bytes()));
    assert_eq!(client.verify_outcome(Some(SERVER_FINAL.as_bytes())), Ok(()));
}

#[test]
fn s_scram_1_the_server_says_what_the_rfc_has() {
    let mut server = server();
    let step = server.respond(CLIENT_FIRST.as_bytes());
    assert_eq!(step, Ok(ScramStep::Lookup { user: "user".into(), authzid: None }));
    assert_eq!(server.credential(Some(&stored())).as_deref(), Ok(SERVER_FIRST.as_bytes()));
    let step = server.respond(CLIENT_FINAL.as_bytes());
    let additional_data = SERVER_FINAL.as_bytes().into();
    assert_eq!(step, Ok(ScramStep::Verified { user: "user".into(), authzid: None, additional_data }));
}

/// What RFC 5802 §5 has for the same user and password, octet for octet at both ends.
#[test]
fn s_conf_1_with_sha_1_both_ends_say_what_the_rfc_has() {
    let (first, nonce) = ("n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL", "fyko+d2lbbFgONRv9qkxdawL");
    let challenge = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
    let proof = "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";
    let signature = b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=";
    let mut client = Scram::new(ScramHash::Sha1, "user", "pencil", nonce).expect("the RFC's example");
    assert_eq!(client.name(), "SCRAM-SHA-1");
    assert_eq!(client.initial_response().as_deref(), Some(first.as_bytes()));
    assert_eq!(client.respond(challenge.as_bytes()).as_deref(), Ok(proof.as_bytes()));
    assert_eq!(client.verify_outcome(Some(signature)), Ok(()));

    let decoy = ScramDecoy::new([9; 32]).expect("a secret");
    let mut server = ScramServer::new(ScramHash::Sha1, "3rfcNHYJY1ZVvWVs7j", &decoy).expect("the RFC's nonce");
    let step = server.respond(first.as_bytes());
    assert_eq!(step, Ok(ScramStep::Lookup { user: "user".into(), authzid: None }));
    let salt = STANDARD.decode("QSXCR+Q6sek8bf92").expect("base64");
    let stored = StoredCredential::from_password(ScramHash::Sha1, "pencil", salt, 4096).expect("a credential");
    assert_eq!(server.credential(Some(&stored)).as_deref(), Ok(challenge.as_bytes()));
    let step = server.respond(proof.as_bytes());
    let additional_data = signature.as_slice().into();
    assert_eq!(step, Ok(ScramStep::Verified { user: "user".into(), authzid: None, additional_data }));
}

/// The numbers are those of another implementation.
#[test]
fn s_scram_1_with_sha_512_the_dialog_is_the_same_and_the_numbers_are_longer() {
    let mut client = Scram::new(ScramHash::Sha512, "user", "pencil", CLIENT_NONCE).expect("a client");
    assert_eq!(client.name(), "SCRAM-SHA-512");
    client.initial_response();
    let response = client.respond(SERVER_FIRST.as_bytes()).expect("a challenge");
    let proof = response.rsplit(|octet| *octet == b',').next().expect("a proof");
    assert_eq!(
        core::str::from_utf8(proof),
        Ok(concat!(
            "p=",
            "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw",
            "+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ=="
        ))
    );
    assert_eq!(
        client.verify_outcome(Some(
            b"v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw=="
        )),
        Ok(())
    );
}

#[test]
fn s_scram_1_a_client_ends_it_if_the_servers_signature_is_wrong_or_missing() {
    let wrong = SERVER_FINAL.replace("v=6r", "v=7r");
    for (additional_data, why) in [
        (None, UNPROVEN),
        (Some(wrong.as_str()), UNPROVEN),
        (Some("v="), UNPROVEN),
        (Some("v=6rri"), UNPROVEN),
        (Some(""), malformed("server signature")),
        (Some("v"), malformed("server signature")),
        (Some("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4"), malformed("server signature")),
        (Some("ok"), malformed("server signature")),
        (Some("m=x,v=6rri"), SaslError::Extension { mechanism: SHA_256 }),
        (Some("e=invalid-proof"), SaslError::ServerStatus { mechanism: SHA_256, status: "invalid-proof" }),
        (Some("e=pencil"), SaslError::ServerStatus { mechanism: SHA_256, status: "other-error" }),
    ] {
        let verified = proven_client().verify_outcome(additional_data.map(str::as_bytes));
        assert_eq!(verified, Err(why), "{additional_data:?}");
        if let Some(challenge) = additional_data {
            assert_eq!(proven_client().respond(challenge.as_bytes()), Err(why), "as a challenge");
        }
    }
    // Before there was a proof of anything.
    assert_eq!(client().verify_outcome(Some(SERVER_FINAL.as_bytes())), Err(UNPROVEN));
}

#[test]
fn s_scram_1_a_signature_may_come_in_a_challenge() {
    let mut client = proven_client();
    assert_eq!(client.respond(SERVER_FINAL.as_bytes()).as_deref(), Ok(&b""[..]));
    assert_eq!(client.verify_outcome(None), Ok(()));
    let mut client = proven_client();
    client.respond(SERVER_FINAL.as_bytes()).expect("the RFC's signature");
    assert!(client.respond(SERVER_FINAL.as_bytes()).is_err(), "and only once");
    assert_eq!(client.verify_outcome(None), Err(UNPROVEN));
}

#[test]
fn a_client_refuses_challenges_that_are_not_for_it() {
    let foreign = SaslError::ForeignNonce { mechanism: SHA_256 };
    assert_eq!(refused(&SERVER_FIRST.replace("r=rO", "r=xO")), foreign);
    assert_eq!(refused(&format!("r={CLIENT_NONCE},s={SALT},i=4096")), foreign, "nothing of the server's own");
    assert_eq!(refused(&format!("r=,s={SALT},i=4096")), foreign);
    let spaced = refused(&format!("r={CLIENT_NONCE} x,s={SALT},i=4096"));
    assert_eq!(spaced, SaslError::ForbiddenCharacter { field: "nonce" });
    let long = "x".repeat(600);
    let long = refused(&format!("r={CLIENT_NONCE}{long},s={SALT},i=4096"));
    assert_eq!(long, SaslError::FieldTooLong { field: "nonce", max: 512 });
    let extended = refused(&format!("m=bind,{SERVER_FIRST}"));
    assert_eq!(extended, SaslError::Extension { mechanism: SHA_256 });
    assert_eq!(refused(&SERVER_FIRST.replace(SALT, "W22ZaJ0!")), malformed("salt"));
    assert_eq!(refused(&SERVER_FIRST.replace(SALT, "")), malformed("salt"));
    assert_eq!(refused(&format!("{SERVER_FIRST},junk")), malformed("extensions"));
    assert_eq!(refused(&format!("{SERVER_FIRST},")), malformed("extensions"));
    let huge = refused(&"x".repeat(MAX_MESSAGE + 1));
    assert_eq!(huge, SaslError::FieldTooLong { field: "message", max: MAX_MESSAGE });
    let mut client = client();
    let challenge = format!("{SERVER_FIRST},x=some day");
    assert!(client.respond(challenge.as_bytes()).is_ok(), "unknown attributes at the end are passed over");
}

#[test]
fn a_client_does_not_count_for_a_hostile_server() {
    let counted = |count: &str| refused(&SERVER_FIRST.replace("i=4096", &format!("i={count}")));
    for (count, number) in
        [("4095", 4095), ("1", 1), ("1000001", 1_000_001), ("4294967295", u32::MAX), ("99999999999", u32::MAX)]
    {
        let why = SaslError::Iterations { count: number, min: 4096, max: 1_000_000 };
        assert_eq!(counted(count), why);
    }
    for count in ["", "0", "04096", "-1", "+4096", "4096 ", "0x1000", "4e3"] {
        assert_eq!(counted(count), malformed("iteration count"), "{count}");
    }
    let mut strict = client().with_iterations(10_000..=20_000);
    let why = SaslError::Iterations { count: 4096, min: 10_000, max: 20_000 };
    assert_eq!(strict.respond(SERVER_FIRST.as_bytes()), Err(why));
    let mut lax = client().with_iterations(1..=20);
    assert!(lax.respond(SERVER_FIRST.replace("i=4096", "i=20").as_bytes()).is_ok());
}

#[test]
fn messages_that_are_cut_off_are_refused_by_both() {
    for end in 0..SERVER_FIRST.len() {
        let cut = &SERVER_FIRST[..end];
        // "i=409" is a count too, and too low a one.
        assert!(client().respond(cut.as_bytes()).is_err(), "{cut}");
    }
    for end in 0..CLIENT_FIRST.len() - CLIENT_NONCE.len() + 1 {
        assert!(server().respond(&CLIENT_FIRST.as_bytes()[..end]).is_err(), "{end}");
    }
    for end in 0..CLIENT_FINAL.len() {
        assert!(asking_server().respond(&CLIENT_FINAL.as_bytes()[..end]).is_err(), "{end}");
    }
    for end in 0..SERVER_FINAL.len() {
        assert!(hasty_client().verify_outcome(Some(&SERVER_FINAL.as_bytes()[..end])).is_err(), "{end}");
    }
}

#[test]
fn a_server_refuses_first_messages_that_it_does_not_support() {
    let refused = |message: &str| server().respond(message.as_bytes()).expect_err(message);
    assert_eq!(refused("p=tls-exporter,,n=user,r=abc"), SaslError::ChannelBinding { mechanism: SHA_256 });
    assert_eq!(refused("n,,m=x,n=user,r=abc"), SaslError::Extension { mechanism: SHA_256 });
    assert_eq!(refused("n,,n=,r=abc"), SaslError::EmptyField { field: "user name" });
    assert_eq!(refused("n,,n=us=er,r=abc"), SaslError::ForbiddenCharacter { field: "user name" });
    assert_eq!(refused("n,,n=user,r="), SaslError::EmptyField { field: "nonce" });
    assert_eq!(refused("n,,n=user,r=å"), SaslError::ForbiddenCharacter { field: "nonce" });
    let long = "x".repeat(257);
    let long = refused(&format!("n,,n=user,r={long}"));
    assert_eq!(long, SaslError::FieldTooLong { field: "nonce", max: 256 });
    assert_eq!(refused("n,,r=abc,n=user"), malformed("user name"));
    assert_eq!(server().respond(b"n,,n=\xFF,r=abc"), Err(SaslError::InvalidUtf8 { field: "message" }));
    // It would bind the channel if this end could.
    assert!(server().respond(b"y,,n=user,r=abc").is_ok());
}

#[test]
fn a_server_refuses_proofs_that_do_not_fit() {
    let refused = |message: &str| asking_server().respond(message.as_bytes()).expect_err(message);
    assert_eq!(refused(&CLIENT_FINAL.replace("p=dH", "p=eH")), SaslError::WrongProof);
    assert_eq!(refused(&CLIENT_FINAL.replace("r=rO", "r=xO")), SaslError::ForeignNonce { mechanism: SHA_256 });
    assert_eq!(refused(&CLIENT_FINAL.replace("c=biws", "c=eSws")), malformed("channel binding"), "y for n");
    assert_eq!(refused(&CLIENT_FINAL.replace("c=biws", "c=!")), malformed("channel binding"));
    assert_eq!(refused(&CLIENT_FINAL.replace("p=dHzb", "p=")), malformed("proof"));
    assert_eq!(refused(&CLIENT_FINAL.replace(",p=", ",x=1,p=")), SaslError::WrongProof, "all before it is covered");
    assert_eq!(refused(&CLIENT_FINAL.replace(",p=", ",1,p=")), malformed("extensions"));
    assert_eq!(refused(""), malformed("proof"));
}

#[test]
fn steps_out_of_turn_are_refused() {
    let out_of_turn = SaslError::OutOfTurn { mechanism: SHA_256 };
    assert_eq!(server().credential(None), Err(out_of_turn));
    let mut asked = server();
    asked.respond(CLIENT_FIRST.as_bytes()).expect("the RFC's message");
    assert_eq!(asked.respond(CLIENT_FINAL.as_bytes()), Err(out_of_turn), "the credential is due");
    assert_eq!(asked.credential(None), Err(out_of_turn), "an error is the end");
    let mut done = asking_server();
    done.respond(CLIENT_FINAL.as_bytes()).expect("the RFC's proof");
    assert_eq!(done.respond(CLIENT_FINAL.as_bytes()), Err(out_of_turn), "a proof is good once");
}

/// What a client is told of a user, and what becomes of its proof.
fn met(user: &str, credential: Option<&StoredCredential>) -> (String, Result<ScramStep, SaslError>) {
    let mut client = Scram::new(ScramHash::Sha256, user, "pencil", CLIENT_NONCE).expect("a client");
    let mut server = server();
    server.respond(&client.initial_response().expect("a first message")).expect("our own message");
    let challenge = server.credential(credential).expect("asked for");
    let response = client.respond(&challenge).expect("our own challenge");
    (String::from_utf8(challenge.to_vec()).expect("text"), server.respond(&response))
}

#[test]
fn s_scram_1_users_that_do_not_exist_look_like_others_until_the_end() {
    let (challenge, end) = met("nobody", None);
    assert_eq!(end, Err(SaslError::WrongProof));
    assert_eq!(challenge.len(), SERVER_FIRST.len(), "the same form: {challenge}");
    assert_eq!(met("nobody", None).0, challenge, "the same salt each time");
    assert_ne!(met("someone", None).0, challenge);
    // A password of another mechanism is none of this one.
    let other = StoredCredential::from_password(ScramHash::Sha512, "pencil", *b"salt", 4096).expect("a credential");
    assert_eq!(met("nobody", Some(&other)), (challenge, Err(SaslError::WrongProof)));
    assert!(met("nobody", Some(&stored())).1.is_ok());
}

#[test]
fn values_that_cannot_be_sent_are_refused_at_once() {
    let made = |user: &str, password: &str, nonce: &str| {
        Scram::new(ScramHash::Sha256, user, password, nonce).expect_err("a bad value")
    };
    assert_eq!(made("", "p", "n"), SaslError::EmptyField { field: "user name" });
    assert_eq!(made("u", "", "n"), SaslError::EmptyField { field: "password" });
    assert_eq!(made("u", "p", ""), SaslError::EmptyField { field: "nonce" });
    assert_eq!(made("u\0", "p", "n"), SaslError::ForbiddenCharacter { field: "user name" });
    assert_eq!(made("u", "p\0", "n"), SaslError::ForbiddenCharacter { field: "password" });
    assert_eq!(made("u", "p", "a,b"), SaslError::ForbiddenCharacter { field: "nonce" });
    let long = "u".repeat(1025);
    assert_eq!(made(&long, "p", "n"), SaslError::FieldTooLong { field: "user name", max: 1024 });
    assert_eq!(
        client().with_authzid("a\0").map(|_| ()),
        Err(SaslError::ForbiddenCharacter { field: "authorization id" })
    );
    let decoy = ScramDecoy::new([9; 16]).expect("a secret");
    assert!(ScramServer::new(ScramHash::Sha256, "a b", &decoy).is_err());
}

#[test]
fn debug_shows_neither_password_nor_keys() {
    let shown = format!("{:?} {:?} {:?}", proven_client(), asking_server(), stored());
    assert!(shown.contains("user"), "{shown}");
    for secret in ["pencil", "6rri", CLIENT_NONCE, SERVER_NONCE, "["] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn s_scram_1_whoever_knows_the_password_gets_in_and_nobody_else(
        user in "[^\0]{1,40}",
        authzid in "[^\0]{0,20}",
        password in "[^\0]{1,40}",
        guess in "[^\0]{1,40}",
        nonces in ("[!-+\\--~]{1,40}", "[!-+\\--~]{1,40}"),
        salt in proptest::collection::vec(any::<u8>(), 1..40),
        long in any::<bool>(),
    ) {
        let hash = if long { ScramHash::Sha512 } else { ScramHash::Sha256 };
        let stored = StoredCredential::from_password(hash, &password, salt, 4096).expect("a credential");
        let decoy = ScramDecoy::new([1; 16]).expect("a secret");
        for tried in [&password, &guess] {
            let mut client = Scram::new(hash, user.as_str(), tried.as_str(), nonces.0.as_str())
                .and_then(|client| client.with_authzid(authzid.as_str()))
                .expect("a client");
            let mut server = ScramServer::new(hash, nonces.1.as_str(), &decoy).expect("a server");
            let asked = Some(authzid.clone()).filter(|authzid| !authzid.is_empty());
            let step = server.respond(&client.initial_response().expect("a first message"));
            prop_assert_eq!(step, Ok(ScramStep::Lookup { user: user.clone(), authzid: asked.clone() }));
            let challenge = server.credential(Some(&stored)).expect("asked for");
            let step = server.respond(&client.respond(&challenge).expect("our own challenge"));
            if *tried == password {
                let Ok(ScramStep::Verified { user: who, authzid, additional_data }) = step else {
                    return Err(TestCaseError::fail(format!("{step:?}")));
                };
                prop_assert_eq!((who, authzid), (user.clone(), asked));
                prop_assert_eq!(client.verify_outcome(Some(&additional_data)), Ok(()));
            } else {
                prop_assert_eq!(step, Err(SaslError::WrongProof));
            }
        }
    }
}

/// Pieces of messages, and octets that are none.
fn octets() -> impl Strategy<Value = alloc::vec::Vec<u8>> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..12),
        proptest::sample::select(alloc::vec![
            "n,",
            "y,",
            "p=x,",
            ",",
            "=",
            "n=user",
            "a=",
            "r=rOprNGfwEbeRWgbNEkqO",
            "r=",
            SERVER_NONCE,
            "s=",
            SALT,
            "i=4096",
            "i=",
            "c=biws",
            "p=",
            "v=",
            "e=",
            "m=",
            "=2C",
            "=3D",
            "\0",
            "å",
            "0",
            "99999999999999999999",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_octets_make_either_half_panic_or_succeed(first in octets(), second in octets(), third in octets()) {
        let mut client = client().with_iterations(1..=4096);
        for challenge in [&first, &second, &third] {
            let _ = client.respond(challenge);
        }
        prop_assert!(client.verify_outcome(Some(&third)).is_err());
        prop_assert!(hasty_client().verify_outcome(Some(&first)).is_err());
        let mut server = server();
        if server.respond(&first).is_ok() {
            server.credential(None).expect("asked for");
        }
        prop_assert!(server.respond(&second).is_err());
        prop_assert!(asking_server().respond(&third).is_err());
    }
}
