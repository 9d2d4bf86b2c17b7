//! One end against a peer that is written octet by octet.

use super::{
    acceptor,
    steps::{SCRAM, accounts, builder, stored},
};
use amqp1::{
    Acceptor, Error, ErrorKind, Retry, Symbol,
    auth::sasl::scram::{ScramDecoy, ScramHash, ScramServer, ScramStep},
    codec::{
        Limits,
        frame::{Frame, FrameDecoder, ProtocolHeader, write_sasl_frame},
        sasl::{SaslBody, SaslChallenge, SaslCode, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse, Secret},
    },
    message::EncodeStyle,
};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

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
        let mut decoder = FrameDecoder::sasl(65536, Limits::default());
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
    tokio::join!(async { client.connect_with(crate::support::checked::Checked::new(near)).await.map(drop) }, async {
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
    let accepting = tokio::spawn(async move {
        Acceptor::builder().build().accept(crate::support::checked::Checked::new(far)).await.map(drop)
    });
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
    let accepting =
        tokio::spawn(async move { acceptor.accept(crate::support::checked::Checked::new(far)).await.map(drop) });
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
