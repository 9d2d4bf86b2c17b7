//! Services whose tokens come from the application.

use crate::support::{KEY, ScriptedHub, pki, soon};
use amqp1::auth::{
    UnixSeconds,
    sas::{PercentEncoding, SasKey, SasToken},
};
use iothub::{ErrorKind, ProviderError, ServiceClient};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// Counts how often its providers are asked.
#[derive(Clone, Default)]
struct Asked(Arc<AtomicU64>);

impl Asked {
    fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// A provider whose tokens are good for that many seconds.
    fn provider(&self, seconds: u64) -> impl iothub::SasTokenProvider {
        let asked = self.0.clone();
        move |resource: String| {
            asked.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Ok::<_, ProviderError>(token(&resource, seconds)))
        }
    }
}

fn token(resource: &str, seconds: u64) -> SasToken {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let key = SasKey::from_base64(KEY).expect("base64");
    key.sign(resource, PercentEncoding::Component, UnixSeconds::new(now + seconds), Some("elsewhere"))
}

#[tokio::test]
async fn a_service_puts_the_tokens_of_its_provider_and_asks_for_the_next_in_time() {
    let mut hub = ScriptedHub::start().await;
    let asked = Asked::default();
    let builder = ServiceClient::builder().host(&format!("localhost:{}", hub.port)).expect("a host");
    let builder = builder.token_provider(asked.provider(4)).ca_pem(&pki().ca).expect("a certificate");
    let client = soon("a connection", builder.connect()).await.expect("accepted");
    for count in [1, 2] {
        let token = SasToken::parse(&hub.next_token().await.token).expect("a token");
        assert_eq!((token.resource(), token.policy()), ("localhost", Some("elsewhere")));
        assert!(asked.count() >= count);
    }
    client.close().await.expect("a clean close");
}

#[tokio::test]
async fn a_provider_without_a_token_fails_the_connection_with_its_reason() {
    let hub = ScriptedHub::start().await;
    let builder = ServiceClient::builder().host(&format!("localhost:{}", hub.port)).expect("a host");
    let builder = builder.token_provider(|_| std::future::ready(Err("the vault is sealed".into())));
    let builder = builder.ca_pem(&pki().ca).expect("a certificate");
    let error = soon("the end", builder.connect()).await.expect_err("no token");
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(error.to_string().contains("the vault is sealed"), "{error}");
}

#[cfg(feature = "rest")]
mod rest {
    use super::*;
    use crate::https::{Answer, HttpsHub, ok};
    use iothub::RegistryClient;

    const STATISTICS: &str = r#"{"connectedDeviceCount":1}"#;

    #[tokio::test]
    async fn requests_share_a_token_until_the_hub_refuses_it() {
        let refused = Answer::Status(401, &[], r#"{"Message":"ErrorCode:IotHubUnauthorizedAccess;no"}"#.to_owned());
        let mut hub = HttpsHub::start([ok(STATISTICS), ok(STATISTICS), refused, ok(STATISTICS)]).await;
        let asked = Asked::default();
        let builder = RegistryClient::builder().host("localhost").expect("a host");
        let builder = builder.token_provider(asked.provider(3600)).ca_pem(&pki().ca).expect("a certificate");
        let client = builder.https_port(hub.port).build().expect("a client");
        for _ in 0..2 {
            soon("an answer", client.service_statistics()).await.expect("read");
            let request = hub.next().await;
            let token = SasToken::parse(request.header("authorization").expect("a token")).expect("a token");
            assert_eq!((token.resource(), token.policy()), ("localhost", Some("elsewhere")));
        }
        assert_eq!(asked.count(), 1);
        let error = soon("an answer", client.service_statistics()).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
        soon("an answer", client.service_statistics()).await.expect("read");
        assert_eq!(asked.count(), 2);
    }
}
