//! File uploads: over HTTPS from the device, and the notifications over AMQP.

use crate::support::https::*;
use crate::support::*;
use serde_json::{Value, json};

async fn begin(https: &Https, name: &str) -> Value {
    let ticket =
        https.send(post("/devices/a/files", &json!({ "blobName": name })).token(device_token("a"))).await.ok(200);
    ticket.json()
}

fn url(ticket: &Value) -> String {
    let text = |name: &str| ticket[name].as_str().unwrap().to_owned();
    assert!(text("sasToken").starts_with('?'), "{ticket}");
    format!("/{}/{}{}", text("containerName"), text("blobName"), text("sasToken"))
}

fn put_file(path: &str, octets: &[u8]) -> Request {
    bare("PUT", path).header("x-ms-blob-type", "BlockBlob").header("Content-Type", "text/plain").body(octets)
}

fn done(ticket: &Value, is_success: bool) -> Request {
    let body = json!({ "correlationId": ticket["correlationId"], "isSuccess": is_success, "statusCode": 200, "statusDescription": "done" });
    post("/devices/a/files/notifications", &body).token(device_token("a"))
}

#[tokio::test]
async fn a_file_is_put_read_back_and_completed_in_both_forms() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    for in_path in [false, true] {
        let ticket = begin(&https, "dir/ä b.txt").await;
        assert_eq!(ticket["blobName"], "a/dir/ä b.txt");
        assert_eq!(ticket["hostName"], "localhost");
        let path = url(&ticket).replace('ä', "%C3%A4").replace(' ', "%20");
        let put = https.send(put_file(&path, b"hello")).await.ok(201);
        assert!(put.header("etag").is_some() && put.header("last-modified").is_some_and(|date| date.ends_with(" GMT")));
        let read = https.send(bare("GET", &path)).await.ok(200);
        assert_eq!((read.body.as_slice(), read.header("content-type")), (&b"hello"[..], Some("text/plain")));
        let request = if in_path {
            let id = ticket["correlationId"].as_str().unwrap();
            let body = json!({ "isSuccess": true, "statusCode": 200, "statusDescription": "done" });
            post(&format!("/devices/a/files/notifications/{id}"), &body).token(device_token("a"))
        } else {
            done(&ticket, true)
        };
        https.send(request).await.ok(204);
        // A second time it is over.
        https.send(done(&ticket, true)).await.refusal(400, "InvalidFileUploadCorrelationId");
    }
    let file = hub.uploaded_file("a", "dir/ä b.txt").unwrap();
    assert_eq!((&file.octets[..], &*file.content_type), (&b"hello"[..], "text/plain"));
}

#[tokio::test]
async fn a_file_is_put_together_from_blocks() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let ticket = begin(&https, "big").await;
    let path = url(&ticket);
    for (id, octets) in [("QQ%3D%3D", "first,"), ("Qg%3D%3D", "second"), ("Qw%3D%3D", "unused")] {
        https.send(bare("PUT", &format!("{path}&comp=block&blockid={id}")).body(octets)).await.ok(201);
    }
    assert!(hub.uploaded_file("a", "big").is_none());
    let list = |ids: &str| {
        let xml = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>{ids}</BlockList>");
        bare("PUT", &format!("{path}&comp=blocklist")).header("x-ms-blob-content-type", "image/png").body(xml)
    };
    https.send(list("<Latest>WFg=</Latest>")).await.refusal(400, "ArgumentInvalid");
    https.send(list("<Latest>QQ==</Latest><Uncommitted>Qg==</Uncommitted>")).await.ok(201);
    let file = hub.uploaded_file("a", "big").unwrap();
    assert_eq!((&file.octets[..], &*file.content_type), (&b"first,second"[..], "image/png"));
    https.send(done(&ticket, true)).await.ok(204);
}

#[tokio::test]
async fn a_url_is_good_for_its_file_and_its_time_only() {
    let (hub, clock) = hub().await;
    let https = Https::new(&hub);
    let (one, other) = (url(&begin(&https, "one").await), url(&begin(&https, "other").await));
    let (path, _) = one.split_once('?').unwrap();
    let (_, foreign) = other.split_once('?').unwrap();
    for path in [path.to_owned(), format!("{path}?{foreign}"), format!("{one}x"), one.replace("se=", "se=9")] {
        https.send(put_file(&path, b"x")).await.refusal(401, "IotHubUnauthorizedAccess");
        https.send(bare("GET", &path)).await.refusal(401, "IotHubUnauthorizedAccess");
    }
    https.send(bare("GET", &one)).await.refusal(404, "ResourceNotFound");
    https.send(bare("PUT", &one).body("x")).await.refusal(400, "ArgumentInvalid");
    https.send(bare("PUT", &one).header("x-ms-blob-type", "PageBlob").body("x")).await.refusal(400, "ArgumentInvalid");
    clock.advance(core::time::Duration::from_secs(3600));
    https.send(put_file(&one, b"x")).await.refusal(401, "IotHubUnauthorizedAccess");
}

#[tokio::test]
async fn ten_uploads_of_a_device_are_in_progress_at_most() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let first = begin(&https, "n").await;
    for n in 1..10 {
        begin(&https, &format!("n{n}")).await;
    }
    let eleventh = || post("/devices/a/files/", &json!({ "blobName": "n10" })).token(device_token("a"));
    let code = "DeviceMaximumActiveFileUploadLimitExceeded";
    https.send(eleventh()).await.refusal(403, code);
    // Without a file it is a failure that can be reported, but not a success.
    https.send(done(&first, true)).await.refusal(400, "InvalidFileUploadCompletionStatus");
    https.send(done(&first, false)).await.ok(204);
    https.send(eleventh()).await.ok(200);
    for name in ["", "a//b", "../x", &"x".repeat(1024)] {
        https
            .send(post("/devices/a/files", &json!({ "blobName": name })).token(device_token("a")))
            .await
            .refusal(400, "ArgumentInvalid");
    }
    https.send(post("/devices/a/files", &json!({})).token(device_token("a"))).await.refusal(400, "ArgumentInvalid");
    https
        .send(post("/devices/a/files", &json!({ "blobName": "x" })).token(service_token()))
        .await
        .refusal(401, "IotHubUnauthorizedAccess");
}

#[tokio::test]
async fn storage_is_bounded() {
    let (hub, _) = hub_with(|settings| settings.file_uploads.max_storage = 10).await;
    let https = Https::new(&hub);
    let path = url(&begin(&https, "f").await);
    https.send(put_file(&path, b"0123456789")).await.ok(201);
    let second = url(&begin(&https, "g").await);
    https.send(put_file(&second, b"x")).await.refusal(413, "MessageTooLarge");
    https
        .send(bare("PUT", &format!("{second}&comp=block&blockid=QQ==")).body("x"))
        .await
        .refusal(413, "MessageTooLarge");
}

#[tokio::test]
async fn a_block_that_is_listed_often_takes_as_much_storage() {
    let (hub, _) = hub_with(|settings| settings.file_uploads.max_storage = 10_000).await;
    let https = Https::new(&hub);
    let list = |times: usize| format!("<BlockList>{}</BlockList>", "<Latest>QQ==</Latest>".repeat(times));
    for (name, times, status) in [("f", 8, 201), ("g", 5, 413), ("g", 2, 201)] {
        let path = url(&begin(&https, name).await);
        https.send(bare("PUT", &format!("{path}&comp=block&blockid=QQ==")).body(vec![7; 1000])).await.ok(201);
        https.send(bare("PUT", &format!("{path}&comp=blocklist")).body(list(times))).await.ok(status);
        // Room for the next block is there only if the file has not been put together.
        if status == 413 {
            https.send(put_file(&path, b"")).await.ok(201);
        }
    }
}

#[tokio::test]
async fn the_service_is_notified_over_amqp() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let session = service(&hub).await;
    let ticket = begin(&https, "f.txt").await;
    https.send(put_file(&url(&ticket), b"12345")).await.ok(201);
    https.send(done(&ticket, true)).await.ok(204);
    for address in ["/messages/serviceBound/filenotifications", "/messages/servicebound/fileUploadNotifications"] {
        let mut receiver = session.receiver(address).attach().await.unwrap();
        let delivery = next(&mut receiver).await;
        assert_eq!(delivery.tag().as_slice().len(), 16);
        let properties = delivery.message().properties().unwrap().unwrap();
        let content_type = properties.content_type.unwrap();
        assert_eq!(content_type.as_str(), "application/vnd.microsoft.iothub.filenotification.json");
        let notification: Value = serde_json::from_str(&body(&delivery)).unwrap();
        assert_eq!(notification["deviceId"], "a");
        assert_eq!(notification["blobName"], "a/f.txt");
        assert_eq!(notification["blobSizeInBytes"], 5);
        assert_eq!(notification["blobUri"], "https://localhost/uploads/a/f.txt");
        // One client parses this with a fixed pattern.
        let updated = notification["lastUpdatedTime"].as_str().unwrap();
        assert!(updated.len() == 25 && updated.ends_with("+00:00") && !updated.contains('.'), "{updated}");
        let enqueued = notification["enqueuedTimeUtc"].as_str().unwrap();
        assert!(enqueued.contains('.') && enqueued.ends_with('Z'), "{enqueued}");
        // Given back, it is there for the next one.
        delivery.release().unwrap();
        receiver.detach().await.unwrap();
    }
    let mut receiver = session.receiver("/messages/serviceBound/filenotifications").attach().await.unwrap();
    next(&mut receiver).await.accept().unwrap();
    assert!(has_nothing(&mut receiver).await);
}

#[tokio::test]
async fn notifications_can_be_off_and_files_elsewhere() {
    let (hub, _) = hub_with(|settings| {
        settings.file_uploads.notifications = false;
        let endpoint = "https://127.0.0.1:10000/devstoreaccount1/files?sv=1&sig=x";
        settings.file_uploads.blob_endpoint = Some(endpoint.parse().unwrap());
    })
    .await;
    let https = Https::new(&hub);
    let ticket = begin(&https, "f").await;
    assert_eq!(ticket["hostName"], "127.0.0.1:10000/devstoreaccount1");
    assert_eq!((&ticket["containerName"], &ticket["sasToken"]), (&json!("files"), &json!("?sv=1&sig=x")));
    // Whether it is there is not for the emulator to know.
    https.send(done(&ticket, true)).await.ok(204);
    let session = service(&hub).await;
    let mut receiver = session.receiver("/messages/serviceBound/filenotifications").attach().await.unwrap();
    assert!(has_nothing(&mut receiver).await);
}
