//! Mechanisms of several steps, between a client and an acceptor.

use super::*;
use crate::support;
use amqp1::auth::sasl::{
    OAuthBearer, Scram, XOAuth2, oauthbearer,
    scram::{ScramHash, StoredCredential},
    xoauth2,
};
use std::sync::OnceLock;
use tokio::io::AsyncReadExt;

pub(crate) const SCRAM: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Keeps passwords as SCRAM wants them, and knows a token.
struct Accounts;

pub(crate) fn stored(hash: ScramHash) -> StoredCredential {
    static STORED: OnceLock<[StoredCredential; 2]> = OnceLock::new();
    let make =
        |hash| StoredCredential::from_password(hash, "pencil", *b"0123456789abcdef", 4096).expect("a credential");
    let [short, long] = STORED.get_or_init(|| [make(ScramHash::Sha256), make(ScramHash::Sha512)]);
    if hash == ScramHash::Sha256 { short.clone() } else { long.clone() }
}

/// As long as those of real issuers.
fn token() -> String {
    "eyJ0eXAi.".repeat(340)
}

impl Authenticator for Accounts {
    fn authenticate(&self, attempt: SaslAttempt) -> amqp1::acceptor::BoxFuture<'_, SaslDecision> {
        let response = attempt.response.clone().unwrap_or_default();
        let decision = match attempt.mechanism.as_str() {
            oauthbearer::NAME => match oauthbearer::Request::parse(&response) {
                Ok(request) if request.token_matches(&token()) => Ok(request.authzid().unwrap_or("alice").to_owned()),
                Ok(request) if request.token() == "narrow" => {
                    Err(SaslDecision::Challenge(Bytes::from_static(br#"{"status":"insufficient_scope","scope":"x"}"#)))
                }
                Ok(request) if request.token() == "later" => Err(SaslDecision::Refuse(SaslCode::SysTemp)),
                _ => Err(SaslDecision::Refuse(SaslCode::Auth)),
            },
            xoauth2::NAME => match xoauth2::Request::parse(&response) {
                Ok(request) if request.token_matches(&token()) => Ok(request.user().to_owned()),
                _ => Err(SaslDecision::Refuse(SaslCode::Auth)),
            },
            // Asks once and once more.
            "X-RIDDLE" => match (attempt.earlier.as_slice(), &response[..]) {
                ([], _) => Err(SaslDecision::Challenge("one".into())),
                ([(first, asked)], b"1") if first == "hello" && asked == "one" => {
                    Err(SaslDecision::Challenge("two".into()))
                }
                ([_, (second, asked)], b"2") if second == "1" && asked == "two" => Ok("sphinx".to_owned()),
                (_, b"again") => Err(SaslDecision::Challenge("again".into())),
                _ => Err(SaslDecision::Refuse(SaslCode::Auth)),
            },
            other => panic!("{other} does not come here"),
        };
        let accept = |identity| SaslDecision::Accept { identity, additional_data: None };
        Box::pin(std::future::ready(decision.map_or_else(|refused| refused, accept)))
    }

    fn scram_credential<'a>(
        &'a self,
        user: &'a str,
        hash: ScramHash,
    ) -> amqp1::acceptor::BoxFuture<'a, Result<Option<StoredCredential>, SaslCode>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            match user {
                "alice" | "a=b,c" => Ok(Some(stored(hash))),
                "busy" => Err(SaslCode::SysTemp),
                _ => Ok(None),
            }
        })
    }
}

pub(crate) fn accounts() -> Acceptor {
    let mechanisms = [SCRAM[0], SCRAM[1], "OAUTHBEARER", "XOAUTH2", "X-RIDDLE"].map(Symbol::from_static);
    Acceptor::builder().mechanisms(mechanisms).authenticator(Accounts).build()
}

pub(crate) fn builder() -> ClientBuilder {
    Client::builder("amqp://server.test")
}

#[tokio::test]
async fn s_scram_1_the_right_password_opens_a_connection_over_tcp() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    for (hash, name) in [(ScramHash::Sha256, SCRAM[0]), (ScramHash::Sha512, SCRAM[1])] {
        let client = Client::builder(format!("amqp://127.0.0.1:{port}")).scram(hash, "alice", "pencil");
        let (client, server) = tokio::join!(client.connect(), async {
            let (tcp, _) = listener.accept().await.expect("the client");
            let incoming = accounts().accept(tcp).await?;
            let who = (incoming.identity().map(ToOwned::to_owned), incoming.mechanism().map(ToOwned::to_owned));
            incoming.accept().await?;
            Ok::<_, Error>(who)
        });
        client.expect("let in");
        assert_eq!(server.expect("let in"), seen("alice", name));
    }
}

#[tokio::test]
async fn s_scram_1_a_wrong_password_and_an_unknown_user_are_refused_alike() {
    let mut texts = Vec::new();
    for (user, password) in [("alice", "pencils"), ("nobody", "pencil")] {
        let (client, server) = meet(builder().scram(ScramHash::Sha256, user, password), &accounts()).await;
        let error = client.expect_err("refused");
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Authentication, Retry::Never));
        assert_eq!(server.expect_err("refused").kind(), ErrorKind::Authentication);
        assert!(error.to_string().contains("check the user name"), "{error}");
        texts.push(error.to_string());
    }
    assert_eq!(texts[0], texts[1]);
    let (client, _) = meet(builder().scram(ScramHash::Sha256, "busy", "pencil"), &accounts()).await;
    assert!(matches!(client.expect_err("refused").retry(), Retry::After(_)));
}

#[tokio::test]
async fn s_scram_1_names_are_escaped_and_nobody_acts_as_another() {
    let scram = |authzid: &str| {
        let scram = Scram::new(ScramHash::Sha256, "a=b,c", "pencil", "a-nonce");
        builder().sasl(scram.and_then(|scram| scram.with_authzid(authzid)).expect("a client"))
    };
    for authzid in ["", "a=b,c"] {
        let (client, server) = meet(scram(authzid), &accounts()).await;
        client.expect("let in");
        assert_eq!(server.expect("let in"), seen("a=b,c", SCRAM[0]));
    }
    let (client, server) = meet(scram("alice"), &accounts()).await;
    assert_eq!(client.expect_err("refused").kind(), ErrorKind::Authentication);
    assert!(server.is_err());
}

#[tokio::test]
async fn a_password_that_cannot_be_sent_is_an_error_before_anything_is() {
    let (near, mut far) = tokio::io::duplex(4096);
    let client = builder().scram(ScramHash::Sha256, "alice", "");
    let error = client.connect_with(support::checked::Checked::new(near)).await.expect_err("an empty password");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert_eq!(far.read(&mut [0; 8]).await.expect("the end"), 0);
}

#[tokio::test]
async fn a_token_of_three_kilobytes_lets_its_bearer_in() {
    let bearer = OAuthBearer::new(token()).and_then(|bearer| bearer.with_host("server.test", 5671)).expect("a token");
    let (client, server) = meet(builder().sasl(bearer.clone()), &accounts()).await;
    client.expect("let in");
    assert_eq!(server.expect("let in"), seen("alice", "OAUTHBEARER"));
    let (client, server) = meet(builder().sasl(bearer.with_authzid("bob").expect("a name")), &accounts()).await;
    client.expect("let in");
    assert_eq!(server.expect("let in"), seen("bob", "OAUTHBEARER"));
    let (client, server) = meet(builder().sasl(XOAuth2::new("carol", token()).expect("a token")), &accounts()).await;
    client.expect("let in");
    assert_eq!(server.expect("let in"), seen("carol", "XOAUTH2"));
}

#[tokio::test]
async fn why_a_token_is_refused_is_told_and_the_token_is_not() {
    let bearer = |token: &str| builder().sasl(OAuthBearer::new(token).expect("a token"));
    let other = |token: &str| builder().sasl(XOAuth2::new("carol", token).expect("a token"));
    for (client, reason) in
        [(bearer("expired"), "invalid_token"), (bearer("narrow"), "insufficient_scope"), (other("expired"), "401")]
    {
        let (client, server) = meet(client, &accounts()).await;
        let error = client.expect_err("refused");
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Authentication, Retry::Never));
        let text = format!("{error} {error:?}");
        assert!(text.contains(reason) && !text.contains("expired") && !text.contains("narrow"), "{text}");
        assert_eq!(server.expect_err("refused").kind(), ErrorKind::Authentication);
    }
    let (client, _) = meet(bearer("later"), &accounts()).await;
    assert!(matches!(client.expect_err("refused").retry(), Retry::After(_)));
}

/// Says what it is told to, in turn.
#[derive(Debug)]
struct Riddle(std::slice::Iter<'static, &'static str>);

impl ClientMechanism for Riddle {
    fn name(&self) -> &'static str {
        "X-RIDDLE"
    }

    fn initial_response(&mut self) -> Option<Bytes> {
        self.0.next().map(|answer| Bytes::from(*answer))
    }

    fn respond(&mut self, _: &[u8]) -> Result<Bytes, SaslError> {
        Ok(self.0.next().copied().unwrap_or("again").into())
    }
}

/// Also S-5.3.2-6.
#[tokio::test]
async fn s_5_3_3_3_1_a_mechanism_of_ones_own_takes_as_many_steps_as_it_needs() {
    let riddle = |answers: &'static [&'static str]| builder().sasl(Riddle(answers.iter()));
    let (client, server) = meet(riddle(&["hello", "1", "2"]), &accounts()).await;
    client.expect("let in");
    assert_eq!(server.expect("let in"), seen("sphinx", "X-RIDDLE"));
    // One that never comes to an end is refused some time.
    for answers in [&["hello", "2"][..], &["hello", "again"]] {
        let (client, server) = meet(riddle(answers), &accounts()).await;
        assert_eq!(client.expect_err("refused").kind(), ErrorKind::Authentication);
        assert!(server.is_err());
    }
}

#[tokio::test]
async fn without_an_authenticator_nobody_is_let_in_by_scram() {
    let acceptor = Acceptor::builder().mechanisms(SCRAM.map(Symbol::from_static)).build();
    let (client, server) = meet(builder().scram(ScramHash::Sha256, "alice", "pencil"), &acceptor).await;
    assert_eq!(client.expect_err("refused").kind(), ErrorKind::Authentication);
    assert!(server.is_err());
}
