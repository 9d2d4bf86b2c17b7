//! Blob storage, as far as the clients of devices need it to send files: whole blobs, blocks and lists of blocks.

use core::future::poll_fn;
use core::pin::Pin;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::get;
use bytes::{Bytes, BytesMut};
use futures_core::Stream;

use super::Rest;
use super::errors::Failure;
use super::path::Segments;
use crate::hub::{ErrorCode, UnixMillis, UploadedFile, decode};

/// The container of all files.
pub(super) const CONTAINER: &str = "uploads";

const BLOB_TYPE: &str = "x-ms-blob-type";
const BLOB_CONTENT_TYPE: &str = "x-ms-blob-content-type";

pub(super) fn routes() -> Router<Rest> {
    Router::new().route("/uploads/{*blob}", get(read).put(write))
}

/// The name of a blob whose URL is signed.
fn authorized(rest: &Rest, segments: &Segments, uri: &Uri) -> Result<String, Failure> {
    let blob = segments.as_strs().get(1..).unwrap_or_default().join("/");
    let (expiry, signature) = (query(uri, "se").unwrap_or_default(), query(uri, "sig").unwrap_or_default());
    if rest.shared.hub(|hub, now| hub.authorize_blob(now, &blob, &expiry, &signature)) {
        return Ok(blob);
    }
    let text = "the URL of the file is not signed for it, or its signature has expired";
    Err(Failure::new(ErrorCode::IotHubUnauthorizedAccess, text))
}

/// A field of the query, decoded.
fn query(uri: &Uri, name: &str) -> Option<String> {
    let fields = uri.query().unwrap_or_default().split('&').filter_map(|field| field.split_once('='));
    let value = fields.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).next();
    value.map(|value| decode(value).into_owned())
}

async fn read(State(rest): State<Rest>, segments: axum::Extension<Segments>, uri: Uri) -> Result<Response, Failure> {
    let blob = authorized(&rest, &segments, &uri)?;
    let file = rest.shared.hub(|hub, _| hub.uploaded_file(&blob).cloned());
    let file = file.ok_or_else(|| Failure::new(ErrorCode::ResourceNotFound, "nothing has been put to this URL"))?;
    let mut response = Response::new(file.octets.into());
    if let Ok(kind) = HeaderValue::try_from(&file.content_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    stamp(&mut response, file.written);
    Ok(response)
}

async fn write(
    State(rest): State<Rest>,
    segments: axum::Extension<Segments>,
    uri: Uri,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Failure> {
    let blob = authorized(&rest, &segments, &uri)?;
    let named = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let content_type = named(BLOB_CONTENT_TYPE)
        .or_else(|| named(header::CONTENT_TYPE.as_str()))
        .unwrap_or_else(|| "application/octet-stream".into());
    let comp = query(&uri, "comp").map(|comp| comp.to_ascii_lowercase());
    let kind = named(BLOB_TYPE);
    if comp.is_none() && !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("BlockBlob")) {
        let text = format!("this storage has block blobs only: {BLOB_TYPE} must be BlockBlob");
        return Err(Failure::new(ErrorCode::ArgumentInvalid, text));
    }
    let (octets, reserved) = receive(&rest, request).await?;
    let written = match comp.as_deref() {
        None => rest.shared.hub(|hub, now| {
            reserved.release(hub);
            hub.put_blob(&blob, UploadedFile { octets, content_type, written: now })
        }),
        Some("block") => {
            let Some(id) = query(&uri, "blockid").filter(|id| (1..=128).contains(&id.len())) else {
                return Err(Failure::new(ErrorCode::ArgumentInvalid, "a block has a blockid of 1 to 128 characters"));
            };
            rest.shared.hub(|hub, _| {
                reserved.release(hub);
                hub.put_block(&blob, &id, octets)
            })
        }
        Some("blocklist") => {
            let ids = block_ids(&octets)?;
            rest.shared.hub(|hub, now| {
                reserved.release(hub);
                hub.put_block_list(now, &blob, &ids, content_type)
            })
        }
        Some(other) => {
            let text = format!("this storage does not have comp={}", other.chars().take(40).collect::<String>());
            return Err(Failure::new(ErrorCode::FeatureNotSupported, text));
        }
    };
    written?;
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::CREATED;
    stamp(&mut response, rest.shared.clock().now());
    response
        .headers_mut()
        .insert(HeaderName::from_static("x-ms-request-server-encrypted"), HeaderValue::from_static("false"));
    Ok(response)
}

fn stamp(response: &mut Response, written: UnixMillis) {
    let etag = format!("\"0x{:X}\"", written.0);
    for (name, value) in [(header::ETAG, etag), (header::LAST_MODIFIED, http_date(written))] {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(HeaderName::from_static("x-ms-version"), HeaderValue::from_static("2021-08-06"));
    response.headers_mut().insert(HeaderName::from_static("x-ms-blob-type"), HeaderValue::from_static("BlockBlob"));
}

/// As in `Thu, 01 Jan 1970 00:00:00 GMT`.
fn http_date(at: UnixMillis) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let iso = at.to_iso8601().to_string();
    let day = usize::try_from(at.0 / 86_400_000 % 7).ok().and_then(|day| DAYS.get(day)).unwrap_or(&"Thu");
    let part = |from: usize, to: usize| iso.get(from..to).unwrap_or_default();
    let month = part(5, 7).parse::<usize>().ok().and_then(|month| MONTHS.get(month - 1)).unwrap_or(&"Jan");
    format!("{day}, {} {month} {} {} GMT", part(8, 10), part(0, 4), part(11, 19))
}

/// Room in the storage that a body takes while it is received. It is given back in any case.
struct Reserved<'r> {
    rest: &'r Rest,
    octets: usize,
}

impl Reserved<'_> {
    fn release(mut self, hub: &mut crate::hub::Hub) {
        hub.release_storage(core::mem::take(&mut self.octets));
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if self.octets > 0 {
            self.rest.shared.hub(|hub, _| hub.release_storage(self.octets));
        }
    }
}

/// A body of a length that is known beforehand, so that all bodies in flight together fit into the storage.
async fn receive(rest: &Rest, request: Request) -> Result<(Bytes, Reserved<'_>), Failure> {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let Some(length) = length.and_then(|length| length.parse::<usize>().ok()) else {
        return Err(Failure::new(ErrorCode::ArgumentInvalid, "the request has no Content-Length"));
    };
    if !rest.shared.hub(|hub, _| hub.reserve_storage(length)) {
        let text = "the emulator has no room for this file: raise the limit of its storage";
        return Err(Failure::new(ErrorCode::MessageTooLarge, text));
    }
    let reserved = Reserved { rest, octets: length };
    let read = async {
        let mut stream = request.into_body().into_data_stream();
        let mut octets = BytesMut::new();
        while let Some(chunk) = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
            let chunk = chunk.map_err(|error| {
                Failure::new(ErrorCode::IotHubFormatError, format!("the body cannot be read: {error}"))
            })?;
            if octets.len().saturating_add(chunk.len()) > length {
                return Err(Failure::new(ErrorCode::MessageTooLarge, "the body is longer than its Content-Length"));
            }
            octets.extend_from_slice(&chunk);
        }
        Ok(octets.freeze())
    };
    let timeout = || Failure::new(ErrorCode::IotHubFormatError, "the body took too long");
    let octets = tokio::time::timeout(rest.body_timeout(), read).await.map_err(|_| timeout())??;
    Ok((octets, reserved))
}

/// The ids of a list: the texts of its elements `Latest`, `Uncommitted` and `Committed`.
fn block_ids(xml: &[u8]) -> Result<Vec<String>, Failure> {
    let malformed = || Failure::new(ErrorCode::ArgumentInvalid, "the list of blocks is not the XML that it should be");
    let text = core::str::from_utf8(xml).map_err(|_| malformed())?;
    let (_, list) = text.split_once("<BlockList").ok_or_else(malformed)?;
    // An empty list has no end of its own.
    let Some((list, _)) = list.split_once("</BlockList>") else {
        return if list.trim_end().ends_with("/>") { Ok(Vec::new()) } else { Err(malformed()) };
    };
    let (_, mut rest) = list.split_once('>').ok_or_else(malformed)?;
    let mut ids = Vec::new();
    while let Some((_, element)) = rest.split_once('<') {
        let (name, content) = element.split_once('>').ok_or_else(malformed)?;
        if !matches!(name.trim(), "Latest" | "Uncommitted" | "Committed") {
            return Err(malformed());
        }
        let (id, after) = content.split_once("</").ok_or_else(malformed)?;
        ids.push(id.trim().to_owned());
        (_, rest) = after.split_once('>').ok_or_else(malformed)?;
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(http_date(UnixMillis(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(UnixMillis(1_795_377_253_045)), "Sun, 22 Nov 2026 19:54:13 GMT");
    }

    #[test]
    fn lists_of_blocks_are_read() {
        let list = b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<BlockList>\n <Latest>QQ==</Latest><Uncommitted>Qg==</Uncommitted></BlockList>";
        assert_eq!(block_ids(list).ok(), Some(vec!["QQ==".to_owned(), "Qg==".to_owned()]));
        assert_eq!(block_ids(b"<BlockList></BlockList>").ok(), Some(Vec::new()));
        assert_eq!(block_ids(b"<BlockList/>").ok(), Some(Vec::new()));
        for bad in
            [&b""[..], b"\xFF", b"<BlockList>", b"<BlockList><Latest>x</BlockList>", b"<BlockList><a>x</a></BlockList>"]
        {
            assert!(block_ids(bad).is_err());
        }
    }
}
