//! Who is let in, and what is said to those who are not.
#![allow(missing_docs)]

mod support;

use amqp1::{
    Acceptor, Authenticator, Client, ClientBuilder, Connection, EncodeStyle, Error, ErrorKind, Retry, SaslAttempt,
    SaslDecision, Symbol,
    auth::sasl::{
        Anonymous, ClientMechanism, OAuthBearer, SaslError, Scram, XOAuth2, oauthbearer,
        plain::Credentials,
        scram::{ScramDecoy, ScramHash, ScramServer, ScramStep, StoredCredential},
        xoauth2,
    },
    codec::{
        Limits,
        frame::{Frame, FrameDecoder, ProtocolHeader, write_sasl_frame},
        sasl::{SaslBody, SaslChallenge, SaslCode, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse, Secret},
    },
};
use bytes::{Bytes, BytesMut};
use std::{future::Future, pin::Pin, sync::OnceLock, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Knows one user; takes its time.
struct Users;

impl Authenticator for Users {
    fn authenticate(&self, attempt: SaslAttempt) -> Pin<Box<dyn Future<Output = SaslDecision> + Send + '_>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert_eq!(attempt.hostname.as_ref().map(|name| name.as_str()), Some("server.test"));
            assert!(!format!("{attempt:?}").contains("geheim"));
            let Ok(credentials) = Credentials::parse(attempt.response.as_deref().unwrap_or_default()) else {
                return SaslDecision::Refuse(SaslCode::Auth);
            };
            match (credentials.authcid(), credentials.password_matches("geheim")) {
                ("busy", _) => SaslDecision::Refuse(SaslCode::SysTemp),
                ("broken", _) => SaslDecision::Refuse(SaslCode::Ok),
                (user, true) => SaslDecision::Accept { identity: user.to_owned(), additional_data: None },
                _ => SaslDecision::Refuse(SaslCode::Sys),
            }
        })
    }
}

/// What the server learns: who it is, and by which mechanism.
type Seen = (Option<String>, Option<String>);

/// Both ends' view of a connection.
async fn meet(builder: ClientBuilder, acceptor: &Acceptor) -> (Result<Connection, Error>, Result<Seen, Error>) {
    let (near, far) = tokio::io::duplex(4096);
    tokio::join!(builder.connect_with(near), async {
        let incoming = acceptor.accept(far).await?;
        let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
        let seen = (owned(incoming.identity()), owned(incoming.mechanism()));
        let _connection = incoming.accept().await?;
        Ok(seen)
    })
}

fn acceptor() -> Acceptor {
    Acceptor::builder().authenticator(Users).build()
}

fn seen(identity: &str, mechanism: &str) -> Seen {
    (Some(identity.to_owned()), Some(mechanism.to_owned()))
}

#[tokio::test]
async fn the_urls_user_and_password_are_plains() {
    let (client, server) = meet(Client::builder("amqp://alice:geheim@server.test"), &acceptor()).await;
    client.expect("let in");
    assert_eq!(server.expect("let in"), seen("alice", "PLAIN"));
}

#[tokio::test]
async fn a_wrong_password_is_an_error_of_authentication_at_both_ends() {
    for (user, retry) in [("alice:falsch", false), ("busy:x", true), ("broken:x", false)] {
        let (client, server) = meet(Client::builder(&format!("amqp://{user}@server.test")), &acceptor()).await;
        let error = client.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Authentication, "{user}");
        assert_eq!(matches!(error.retry(), Retry::After(_)), retry, "{user}: {error}");
        assert_eq!(server.expect_err("refused").kind(), ErrorKind::Authentication, "{user}");
    }
}

#[tokio::test]
async fn a_mechanism_that_is_not_offered_is_not_tried() {
    let (client, server) = meet(Client::builder("amqp://server.test").sasl(Anonymous::default()), &acceptor()).await;
    assert_eq!(client.expect_err("not offered").kind(), ErrorKind::MechanismNotOffered);
    assert!(server.is_err());
}

#[tokio::test]
async fn t_2_2_8_sasl_can_be_left_out_only_where_that_is_allowed() {
    let bare = || Client::builder("amqp://server.test").no_sasl();
    let (client, server) = meet(bare(), &acceptor()).await;
    assert_eq!(client.expect_err("refused").kind(), ErrorKind::Protocol);
    assert!(server.is_err());
    let lenient = Acceptor::builder().authenticator(Users).allow_no_sasl(true).build();
    let (client, server) = meet(bare(), &lenient).await;
    client.expect("let in");
    assert_eq!(server.expect("let in"), (None, None));
    let (client, server) = meet(Client::builder("amqp://alice:geheim@server.test"), &lenient).await;
    client.expect("let in");
    assert_eq!(server.expect("let in"), seen("alice", "PLAIN"));
}

#[tokio::test]
async fn without_an_authenticator_everybody_is_let_in() {
    let open = Acceptor::builder().build();
    let (client, server) = meet(Client::builder("amqp://server.test"), &open).await;
    client.expect("let in");
    assert_eq!(server.expect("let in"), seen("", "ANONYMOUS"));
    let (client, server) = meet(Client::builder("amqp://server.test").no_sasl(), &open).await;
    client.expect("let in");
    assert_eq!(server.expect("let in"), (None, None));
}

/// PLAIN that waits to be asked.
#[derive(Debug)]
struct Reluctant;

impl ClientMechanism for Reluctant {
    fn name(&self) -> &'static str {
        "PLAIN"
    }

    fn initial_response(&mut self) -> Option<Bytes> {
        None
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Bytes, SaslError> {
        assert!(challenge.is_empty());
        Ok(Bytes::from_static(b"\0alice\0geheim"))
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_at_first_is_asked() {
    let (client, server) = meet(Client::builder("amqp://server.test").sasl(Reluctant), &acceptor()).await;
    client.expect("let in");
    assert_eq!(server.expect("let in"), seen("alice", "PLAIN"));
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_is_an_error_of_protocol() {
    let (near, mut far) = tokio::io::duplex(4096);
    far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("room");
    let error = Client::builder("amqp://server.test").connect_with(near).await.expect_err("HTTP");
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    let (mut near, far) = tokio::io::duplex(4096);
    near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("room");
    let error = acceptor().accept(far).await.expect_err("HTTP");
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
}

#[tokio::test]
async fn mechanisms_are_offered_as_set() {
    let acceptor = Acceptor::builder().mechanisms(["MSSBCBS", "ANONYMOUS"].map(Symbol::from_static)).build();
    let (client, server) =
        meet(Client::builder("amqp://server.test").sasl(amqp1::auth::sasl::Mssbcbs::default()), &acceptor).await;
    client.expect("let in");
    assert_eq!(server.expect("let in"), seen("", "MSSBCBS"));
}

const SCRAM: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Keeps passwords as SCRAM wants them, and knows a token.
struct Accounts;

fn stored(hash: ScramHash) -> StoredCredential {
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
    fn authenticate(&self, attempt: SaslAttempt) -> Pin<Box<dyn Future<Output = SaslDecision> + Send + '_>> {
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
    ) -> Pin<Box<dyn Future<Output = Result<Option<StoredCredential>, SaslCode>> + Send + 'a>> {
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

fn accounts() -> Acceptor {
    let mechanisms = [SCRAM[0], SCRAM[1], "OAUTHBEARER", "XOAUTH2", "X-RIDDLE"].map(Symbol::from_static);
    Acceptor::builder().mechanisms(mechanisms).authenticator(Accounts).build()
}

fn builder() -> ClientBuilder {
    Client::builder("amqp://server.test")
}

#[tokio::test]
async fn s_scram_1_the_right_password_opens_a_connection_over_tcp() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    for (hash, name) in [(ScramHash::Sha256, SCRAM[0]), (ScramHash::Sha512, SCRAM[1])] {
        let client = Client::builder(&format!("amqp://127.0.0.1:{port}")).scram(hash, "alice", "pencil");
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
    let error = client.connect_with(near).await.expect_err("an empty password");
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

/// A peer that is written octet by octet.
struct Script {
    io: DuplexStream,
    input: BytesMut,
}

impl Script {
    /// The peer after both have sent SASL's header.
    async fn new(mut io: DuplexStream) -> Self {
        io.write_all(&ProtocolHeader::SASL.encode()).await.expect("room");
        let mut header = [0; 8];
        io.read_exact(&mut header).await.expect("a header");
        assert_eq!(header, ProtocolHeader::SASL.encode());
        Self { io, input: BytesMut::new() }
    }

    async fn read(&mut self) -> SaslBody {
        let decoder = FrameDecoder::sasl(65536, Limits::default());
        loop {
            if let Some(frame) = decoder.decode(&mut self.input).expect("a frame") {
                let Frame::Sasl(body) = frame else { panic!("{frame:?}") };
                return body;
            }
            assert_ne!(self.io.read_buf(&mut self.input).await.expect("octets"), 0, "the end");
        }
    }

    async fn write(&mut self, body: SaslBody) {
        let mut octets = BytesMut::new();
        write_sasl_frame(&body, EncodeStyle::Compact, &mut octets);
        self.io.write_all(&octets).await.expect("room");
    }

    /// What the peer says from here to the end.
    async fn rest(mut self) -> BytesMut {
        while self.io.read_buf(&mut self.input).await.is_ok_and(|count| count > 0) {}
        self.input
    }

    async fn challenge(&mut self, challenge: Bytes) -> Bytes {
        self.write(SaslBody::Challenge(SaslChallenge { challenge: Secret(challenge) })).await;
        let SaslBody::Response(response) = self.read().await else { panic!("no response") };
        response.response.0
    }
}

/// A server that knows the user and ends the dialog of SCRAM in some way of its own. The client's result, and the header
/// with which it goes on, if it does.
async fn ends_with(end: impl AsyncFnOnce(&mut Script, Bytes) -> Option<Bytes>) -> (Result<(), Error>, Vec<u8>) {
    let (near, far) = tokio::io::duplex(4096);
    let client = builder().scram(ScramHash::Sha256, "alice", "pencil");
    tokio::join!(async { client.connect_with(near).await.map(drop) }, async {
        let mut script = Script::new(far).await;
        let sasl_server_mechanisms = vec![Symbol::from_static("SCRAM-SHA-256")].into();
        script.write(SaslBody::Mechanisms(SaslMechanisms { sasl_server_mechanisms })).await;
        let SaslBody::Init(init) = script.read().await else { panic!("no init") };
        let decoy = ScramDecoy::new([1; 16]).expect("a secret");
        let mut scram = ScramServer::new(ScramHash::Sha256, "server", &decoy).expect("a nonce");
        scram.respond(&init.initial_response.expect("a response").0).expect("a first message");
        let challenge = scram.credential(Some(&stored(ScramHash::Sha256))).expect("asked for");
        let response = script.challenge(challenge).await;
        let Ok(ScramStep::Verified { additional_data, .. }) = scram.respond(&response) else { panic!("not proven") };
        let additional_data = end(&mut script, additional_data).await.map(Secret);
        script.write(SaslBody::Outcome(SaslOutcome { code: SaslCode::Ok, additional_data })).await;
        let mut header = Vec::new();
        let _ = script.io.take(8).read_to_end(&mut header).await;
        header
    })
}

#[tokio::test]
async fn s_scram_1_a_client_leaves_a_server_that_does_not_know_the_password() {
    let forged = async |_: &mut Script, proof: Bytes| {
        let mut forged = proof.to_vec();
        forged[2] = if forged[2] == b'A' { b'B' } else { b'A' };
        Some(forged.into())
    };
    let missing = async |_: &mut Script, _: Bytes| None;
    for (client, heard) in [ends_with(forged).await, ends_with(missing).await] {
        let error = client.expect_err("the server has proven nothing");
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Authentication, Retry::Never));
        assert!(error.to_string().contains("signature"), "{error}");
        assert!(heard.is_empty(), "the client goes on");
    }
}

#[tokio::test]
async fn s_scram_1_a_server_may_prove_it_in_a_challenge() {
    let in_challenge = async |script: &mut Script, proof: Bytes| {
        assert_eq!(script.challenge(proof).await, "");
        None
    };
    let (client, heard) = ends_with(in_challenge).await;
    assert_eq!(heard, ProtocolHeader::AMQP.encode());
    assert_eq!(client.expect_err("the script is over").kind(), ErrorKind::TransportLost);
}

/// Also S-5.3.2-1.
#[tokio::test]
async fn s_5_3_2_2_where_nobody_has_to_say_who_it_is_anonymous_is_all_that_is_offered() {
    let (near, far) = tokio::io::duplex(4096);
    let accepting = tokio::spawn(async move { Acceptor::builder().build().accept(far).await.map(drop) });
    let mut script = Script::new(near).await;
    let SaslBody::Mechanisms(list) = script.read().await else { panic!("no mechanisms") };
    assert_eq!(list.sasl_server_mechanisms.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["ANONYMOUS"]);
    drop(script);
    assert!(accepting.await.expect("no panic").is_err());
}

/// The acceptor's outcome for what is said to it: S-plain-1 at this layer.
async fn outcome_of(mechanism: &'static str, steps: &[&'static [u8]]) -> (SaslOutcome, usize) {
    let (near, far) = tokio::io::duplex(16384);
    let acceptor = if mechanism == "PLAIN" { acceptor() } else { accounts() };
    let accepting = tokio::spawn(async move { acceptor.accept(far).await.map(drop) });
    let mut script = Script::new(near).await;
    script.read().await;
    let mut steps = steps.iter().map(|step| Secret(Bytes::from_static(step)));
    let init = SaslInit {
        mechanism: Symbol::from_static(mechanism),
        initial_response: steps.next(),
        hostname: Some("server.test".into()),
    };
    script.write(SaslBody::Init(init)).await;
    let mut challenges = 0;
    let outcome = loop {
        match script.read().await {
            SaslBody::Challenge(_) => challenges += 1,
            SaslBody::Outcome(outcome) => break outcome,
            other => panic!("{other:?}"),
        }
        let response = steps.next().unwrap_or(Secret(Bytes::new()));
        script.write(SaslBody::Response(SaslResponse { response })).await;
    };
    // S-5.1-1: then the stream ends, and nothing is left in it.
    assert!(script.rest().await.is_empty());
    assert!(accepting.await.expect("no panic").is_err());
    (outcome, challenges)
}

/// Also S-5.1-1, S-5.3.3.5-1 and S-scram-1.
#[tokio::test]
async fn s_plain_1_malformed_responses_are_refused_with_code_1_and_nothing_else() {
    let refused = SaslOutcome { code: SaslCode::Auth, additional_data: None };
    for response in [&b""[..], b"\0", b"alice\0geheim", b"\0alice\0ge\0heim", b"\0\xFF\0geheim"] {
        assert_eq!(outcome_of("PLAIN", &[response]).await, (refused.clone(), 0), "{}", response.escape_ascii());
    }
    for response in [&b""[..], b"n,,", b"\xFF", b"p=x,,n=alice,r=abc", b"n,,m=1,n=alice,r=abc", b"n,,n=a=b,r=abc"] {
        assert_eq!(outcome_of(SCRAM[0], &[response]).await, (refused.clone(), 0), "{}", response.escape_ascii());
    }
    for response in [&b""[..], b"\xFF", b"c=biws,r=abc,p=AAAA"] {
        let steps = [b"n,,n=alice,r=abc", response];
        assert_eq!(outcome_of(SCRAM[0], &steps).await, (refused.clone(), 1), "{}", response.escape_ascii());
    }
    // RFC 7628 §3.2.3: why comes first, and what the client says to it does not matter.
    for response in [&b"\x01"[..], b"", b"n,,\x01auth=Bearer eyJ0eXAi\x01\x01"] {
        let steps = [b"n,,\x01auth=Bearer x\x01\x01", response];
        assert_eq!(outcome_of("OAUTHBEARER", &steps).await, (refused.clone(), 1), "{}", response.escape_ascii());
    }
}

#[tokio::test]
async fn a_client_of_scram_or_oauth_that_says_nothing_at_first_is_asked() {
    for mechanism in [SCRAM[0], "OAUTHBEARER", "XOAUTH2"] {
        let (outcome, challenges) = outcome_of(mechanism, &[]).await;
        let explained = usize::from(mechanism != SCRAM[0]);
        assert_eq!((outcome.code, challenges), (SaslCode::Auth, 1 + explained), "{mechanism}");
    }
}
