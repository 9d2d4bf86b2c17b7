//! Files that devices upload over HTTPS, and the notifications of them.

use crate::support::{hub, service, soon};
use iothub::amqp1::{
    auth::sas::{PercentEncoding, SasKey},
    cbs::Token,
};
use iothub_emulator::Emulator;
use serde_json::{Value, json};
use std::{sync::Arc, time::SystemTime};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

const KEY: &str = "c2VjcmV0LWtleS1vZi10aGUtdGhlcm1vc3RhdA==";

/// One request on a connection of its own. Gives the response's body.
async fn request(hub: &Emulator, method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(hub.ca_pem().as_bytes()).expect("PEM")).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions");
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let stream = TcpStream::connect(hub.https_addr()).await.expect("a connection");
    let mut stream = connector.connect(ServerName::try_from("localhost").expect("a name"), stream).await.expect("TLS");
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n");
    stream.write_all(format!("{head}{headers}\r\n").as_bytes()).await.expect("written");
    stream.write_all(body).await.expect("written");
    stream.flush().await.expect("written");
    let mut response = Vec::new();
    soon("a response", stream.read_to_end(&mut response)).await.expect("readable");
    let end = response.windows(4).position(|octets| octets == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&response[..end]);
    assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {head}");
    response.split_off(end + 4)
}

/// A request of a device, with its token.
async fn post(hub: &Emulator, device: &str, path: &str, body: Value) -> Vec<u8> {
    let key = SasKey::from_base64(KEY).expect("a key");
    let resource = format!("localhost/devices/{device}");
    let token = key.sign(&resource, PercentEncoding::Component, Token::expiry_in(600), None);
    let headers = format!("Authorization: {}\r\nContent-Type: application/json\r\n", token.as_str());
    let path = format!("/devices/{device}{path}?api-version=2021-04-12");
    request(hub, "POST", &path, &headers, body.to_string().as_bytes()).await
}

/// Uploads a file as a device does it.
async fn upload(hub: &Emulator, device: &str, name: &str, octets: &[u8]) {
    let ticket = post(hub, device, "/files", json!({ "blobName": name })).await;
    let ticket: Value = serde_json::from_slice(&ticket).expect("JSON");
    let text = |name: &str| ticket[name].as_str().expect("a text");
    let path = format!("/{}/{}{}", text("containerName"), text("blobName"), text("sasToken"));
    request(hub, "PUT", &path, "x-ms-blob-type: BlockBlob\r\n", octets).await;
    let done = json!({ "correlationId": ticket["correlationId"], "isSuccess": true, "statusCode": 200 });
    post(hub, device, "/files/notifications", done).await;
}

#[tokio::test]
async fn a_file_that_a_device_uploads_is_notified_with_its_name_place_and_size() {
    let hub = hub(2).await;
    let client = service(&hub).await;
    let mut notifications = soon("a link", client.file_notifications()).await.expect("attached");
    let mut seen = Vec::new();
    for (device, name, octets) in [("d0", "log.txt", &b"hello"[..]), ("d1", "a/b", &[0; 3000])] {
        let before = SystemTime::now() - std::time::Duration::from_secs(2);
        upload(&hub, device, name, octets).await;
        let file = soon("a notification", notifications.next()).await.expect("readable").expect("not the end");
        assert_eq!((file.device_id(), file.size()), (device, octets.len() as u64));
        assert_eq!(file.blob_name(), Some(&*format!("{device}/{name}")));
        let place = file.blob_uri().expect("a place");
        assert!(place.starts_with("https://localhost") && place.ends_with(&format!("{device}/{name}")), "{place}");
        assert!(file.last_updated().is_some_and(|time| time >= before), "{file:?}");
        assert!(file.enqueued_time().is_some_and(|time| time >= before), "{file:?}");
        seen.push(file);
    }
    // One is not dealt with and comes again; one is, and does not.
    let (abandoned, completed) = (seen.remove(0), seen.remove(0));
    completed.complete().expect("the link is there");
    abandoned.abandon().expect("the link is there");
    let again = soon("a notification", notifications.next()).await.expect("readable").expect("not the end");
    assert_eq!(again.blob_name(), Some("d0/log.txt"));
    again.complete().expect("the link is there");
    client.close().await.expect("a clean close");

    upload(&hub, "d1", "last", b"x").await;
    let client = service(&hub).await;
    let mut notifications = soon("a link", client.file_notifications()).await.expect("attached");
    let last = soon("a notification", notifications.next()).await.expect("readable").expect("not the end");
    assert_eq!(last.blob_name(), Some("d1/last"), "those that were completed are gone");
    last.complete().expect("the link is there");
    client.close().await.expect("a clean close");
}
