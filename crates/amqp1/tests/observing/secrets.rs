//! No secret is logged, at any level.

use crate::{log, pair, soon};
use amqp1::{
    AcceptedLink, Acceptor, Client, ClientBuilder, Message, ServerConnection, Symbol, Value,
    acceptor::{Authenticator, BoxFuture, SaslAttempt, SaslCode, SaslDecision, ScramHash, StoredCredential},
    auth::sasl::plain::Credentials,
};

const PASSWORD: &str = "plain-hunter2-password";
const SCRAM_PASSWORD: &str = "scram-hunter2-password";
const SIGNATURE: &str = "c2lnbmF0dXJlLWh1bnRlcjItc2lnbmF0dXJl";
const KEY: &str = "a2V5LWh1bnRlcjIta2V5LWh1bnRlcjI";
const TOKEN: &str = "jwt-hunter2-token";
const BODY: &str = "body-hunter2-body";

/// Knows both passwords.
struct Users;

impl Authenticator for Users {
    fn authenticate(&self, attempt: SaslAttempt) -> BoxFuture<'_, SaslDecision> {
        let response = attempt.response.clone().unwrap_or_default();
        let matches = Credentials::parse(&response).is_ok_and(|credentials| credentials.password_matches(PASSWORD));
        let decision = match matches {
            true => SaslDecision::Accept { identity: "alice".to_owned(), additional_data: None },
            false => SaslDecision::Refuse(SaslCode::Auth),
        };
        Box::pin(std::future::ready(decision))
    }

    fn scram_credential<'a>(
        &'a self,
        _: &'a str,
        hash: ScramHash,
    ) -> BoxFuture<'a, Result<Option<StoredCredential>, SaslCode>> {
        let made = StoredCredential::from_password(hash, SCRAM_PASSWORD, *b"0123456789abcdef", 4096);
        Box::pin(std::future::ready(Ok(Some(made.expect("a credential")))))
    }
}

async fn log_in(client: ClientBuilder, mechanism: &'static str) -> bool {
    log::install();
    let (near, far) = tokio::io::duplex(4096);
    let acceptor = Acceptor::builder().mechanisms([Symbol::from_static(mechanism)]).authenticator(Users).build();
    let (client, server) = tokio::join!(client.connect_with(near), async {
        let incoming = acceptor.accept(far).await?;
        incoming.accept().await
    });
    server.is_ok() && client.is_ok()
}

fn signature() -> String {
    format!("SharedAccessSignature sr=hub.test&sig={SIGNATURE}&se=1900000000")
}

/// Takes tokens and messages, and says no word of them.
async fn serve(mut server: ServerConnection) {
    while let Some(link) = server.next_link().await {
        if let AcceptedLink::Receiver(mut receiver) = link.accept_default().expect("accepted") {
            tokio::spawn(async move {
                while let Ok(Some(delivery)) = receiver.recv().await {
                    delivery.accept().expect("settled");
                }
            });
        }
    }
}

#[tokio::test]
async fn a_full_log_has_none_of_the_secrets_in_any_form() {
    assert!(log_in(Client::builder(format!("amqp://alice:{PASSWORD}@server.test")), "PLAIN").await);
    assert!(!log_in(Client::builder(format!("amqp://alice:x{PASSWORD}@server.test")), "PLAIN").await);
    let scram = |password: &str| Client::builder("amqp://server.test").scram(ScramHash::Sha256, "alice", password);
    assert!(log_in(scram(SCRAM_PASSWORD), "SCRAM-SHA-256").await);
    assert!(!log_in(scram(&format!("x{SCRAM_PASSWORD}")), "SCRAM-SHA-256").await);

    let property = |config: &mut amqp1::connection::ConnectionConfig| {
        config.properties.insert(Symbol::from_static("proof"), Value::String(signature().into()));
        config.properties.insert(Symbol::from_static("access-token"), Value::String(TOKEN.into()));
    };
    let (client, server) = pair(|builder| builder.config(property), |builder| builder.config(property)).await;
    let serving = tokio::spawn(serve(server));
    let session = client.begin().await.expect("a session");
    let key = format!("HostName=hub.test;SharedAccessKey={KEY}");
    let sender = session.sender("$cbs").property(Symbol::from_static("origin"), key).attach().await.expect("attached");
    let token = Message::builder()
        .application_property("operation", "put-token")
        .application_property("name", "hub.test")
        .value(signature())
        .build();
    soon(sender.send(token)).await.expect("sent").into_result().expect("accepted");
    let sender = session.sender("queue").attach().await.expect("attached");
    soon(sender.send(BODY)).await.expect("sent").into_result().expect("accepted");
    let refused = amqp1::error::AmqpError::new(amqp1::error::ErrorCondition::UNAUTHORIZED_ACCESS, signature());
    soon(sender.detach_with(Some(refused), true)).await.expect("detached");
    soon(client.close()).await.expect("closed");
    soon(serving).await.expect("no panic");

    let log = log::logged();
    for frame in ["@sasl-init(65)", "@sasl-response(67)", "@open(16)", "@attach(18)", "@transfer(20)", "@close(24)"] {
        assert!(log.contains(frame), "{frame} was not logged");
    }
    assert!(log.contains(":proof=<88 octets>"), "the property is shown by its length");
    for secret in [PASSWORD, SCRAM_PASSWORD, SIGNATURE, KEY, TOKEN, BODY] {
        for form in forms(secret) {
            let line = log.lines().find(|line| line.contains(&form));
            assert_eq!(line, None, "{secret} as {form}");
        }
    }
}

/// As text, in the ways in which `Debug` shows octets, and in hexadecimal digits.
fn forms(secret: &str) -> Vec<String> {
    let octets = secret.as_bytes();
    let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    let list = format!("{octets:?}");
    vec![secret.to_owned(), hex.clone(), hex.to_uppercase(), list.trim_matches(['[', ']']).to_owned(), base64(octets)]
}

/// Without the end, which depends on what follows.
fn base64(octets: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = octets.chunks_exact(3).flat_map(|three| {
        let number = three.iter().fold(0_usize, |number, octet| number << 8 | usize::from(*octet));
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[number >> shift & 63]))
    });
    digits.collect()
}
