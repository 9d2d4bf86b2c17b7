//! Queries, page by page.

use super::{
    RegistryClient,
    http::{Call, Http, Repeat},
};
use crate::error::Error;
use amqp1::acceptor::BoxFuture;
use futures_core::Stream;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

const CONTINUATION: &str = "x-ms-continuation";
const PAGE_SIZE: &str = "x-ms-max-item-count";
const ITEM_TYPE: &str = "x-ms-item-type";

/// The rows of a query: a [`Stream`], whose pages are fetched when they are needed.
///
/// Rows are [`Twin`](super::Twin)s for `SELECT *`, values of an application's type that has the columns as fields, or
/// [`Value`]s. See [`RegistryClient::query`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct Query<T> {
    http: Arc<Http>,
    text: String,
    page_size: Option<u32>,
    rows: VecDeque<Value>,
    place: Place,
    item_type: Option<String>,
    fetching: Option<BoxFuture<'static, Result<Page, Error>>>,
    /// Whether the last page could not be fetched, which ends the stream.
    failed: bool,
    row: PhantomData<fn() -> T>,
}

/// Where the query goes on.
#[derive(Clone, Debug)]
enum Place {
    Start,
    /// After a page.
    Continuation(String),
    End,
}

struct Page {
    rows: VecDeque<Value>,
    place: Place,
    item_type: Option<String>,
}

impl<T> fmt::Debug for Query<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("page_size", &self.page_size)
            .field("rows", &self.rows.len())
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned> Query<T> {
    fn new(http: Arc<Http>, text: String) -> Self {
        Self {
            http,
            text,
            page_size: None,
            rows: VecDeque::new(),
            place: Place::Start,
            item_type: None,
            fetching: None,
            failed: false,
            row: PhantomData,
        }
    }

    /// Asks for pages of this many rows, up to 1,000; the hub chooses unless set.
    pub fn page_size(mut self, rows: u32) -> Self {
        self.page_size = Some(rows);
        self
    }

    /// Begins behind a page that was read before: at what [`continuation`](Self::continuation) gave then.
    pub fn continue_at(mut self, continuation: impl Into<String>) -> Self {
        self.place = Place::Continuation(continuation.into());
        self
    }

    /// Where the page after the one in hand begins; `None` at the start and behind the last page.
    pub fn continuation(&self) -> Option<&str> {
        match &self.place {
            Place::Continuation(text) => Some(text),
            Place::Start | Place::End => None,
        }
    }

    /// What the hub says that its rows are: `Twin`, `Raw` and others; `None` before the first page.
    pub fn item_type(&self) -> Option<&str> {
        self.item_type.as_deref()
    }

    /// Waits for the next row; `None` behind the last one.
    ///
    /// As a [`Stream`] the query ends with a page that cannot be fetched; this tries again.
    ///
    /// # Errors
    ///
    /// If a page cannot be fetched; the next call tries it again. A row that does not fit `T` is an error too,
    /// [`ErrorKind::Protocol`](crate::ErrorKind::Protocol), and the next call goes on behind it.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no row is lost.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        self.failed = false;
        std::future::poll_fn(|context| self.poll_row(context)).await.transpose()
    }

    /// Waits for the rows of the next page, or for those that are left of this one; `None` behind the last one. A page
    /// may be empty.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no row is lost.
    pub async fn next_page(&mut self) -> Result<Option<Vec<T>>, Error> {
        self.failed = false;
        if self.rows.is_empty() && !std::future::poll_fn(|context| self.poll_page(context)).await? {
            return Ok(None);
        }
        self.rows.drain(..).map(row).collect::<Result<_, _>>().map(Some)
    }

    fn poll_row(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<T, Error>>> {
        loop {
            if let Some(value) = self.rows.pop_front() {
                return Poll::Ready(Some(row(value)));
            }
            match ready!(self.poll_page(context)) {
                Ok(true) => {}
                Ok(false) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    /// Fetches a page; `false` after the last one.
    fn poll_page(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        let continuation = match &self.place {
            Place::Start => None,
            Place::Continuation(text) => Some(text.clone()),
            Place::End => return Poll::Ready(Ok(false)),
        };
        let fetching = self
            .fetching
            .get_or_insert_with(|| Box::pin(fetch(self.http.clone(), self.text.clone(), self.page_size, continuation)));
        let page = ready!(fetching.as_mut().poll(context));
        self.fetching = None;
        self.failed = page.is_err();
        let page = page?;
        (self.rows, self.place, self.item_type) = (page.rows, page.place, page.item_type);
        Poll::Ready(Ok(true))
    }
}

impl<T: DeserializeOwned> Stream for Query<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // A caller that collects all rows would never finish.
        if self.failed { Poll::Ready(None) } else { self.poll_row(context) }
    }
}

fn row<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|error| {
        Error::protocol(format!("a row of the query is not what was asked for: {error}")).with_source(error)
    })
}

async fn fetch(
    http: Arc<Http>,
    text: String,
    page_size: Option<u32>,
    continuation: Option<String>,
) -> Result<Page, Error> {
    let mut call = Call::new(Method::POST, "/devices/query", Repeat::Always).json(&json!({ "query": text }))?;
    if let Some(rows) = page_size {
        call = call.header(PAGE_SIZE, &rows.to_string())?;
    }
    if let Some(continuation) = &continuation {
        call = call.header(CONTINUATION, continuation)?;
    }
    let answer = http.send(call).await?;
    let place = match answer.header(CONTINUATION) {
        Some(text) if Some(text) == continuation.as_deref() => {
            return Err(Error::protocol("the hub did not keep to the protocol: the query does not advance"));
        }
        Some(text) if !text.is_empty() => Place::Continuation(text.to_owned()),
        _ => Place::End,
    };
    Ok(Page { rows: answer.json()?, place, item_type: answer.header(ITEM_TYPE).map(str::to_owned) })
}

impl RegistryClient {
    /// Asks for devices, modules or twins in the hub's query language.
    ///
    /// ```no_run
    /// # use iothub::registry::{RegistryClient, Twin};
    /// # async fn example(registry: &RegistryClient) -> Result<(), iothub::Error> {
    /// let mut twins = registry.query::<Twin>("SELECT * FROM devices WHERE tags.room = 'kitchen'");
    /// while let Some(twin) = twins.next().await? {
    ///     println!("{}: {:?}", twin.device_id, twin.reported.values());
    /// }
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Count {
    ///     room: Option<String>,
    ///     devices: u64,
    /// }
    /// let text = "SELECT tags.room AS room, COUNT() AS devices FROM devices GROUP BY tags.room";
    /// let mut rooms = registry.query::<Count>(text);
    /// while let Some(Count { room, devices }) = rooms.next().await? {
    ///     println!("{room:?}: {devices}");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn query<T: DeserializeOwned>(&self, text: impl Into<String>) -> Query<T> {
        Query::new(self.http_shared(), text.into())
    }
}
