//! How long a query over ten thousand twins takes in the model of the hub, and how long at most it holds the hub.
//!
//! ```text
//! cargo run --release -p iothub-emulator --example twin_queries -- [TWINS]
//! ```
//!
//! A page is made in steps, as the REST interface does it; everybody else who wants the hub waits for one step at most.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use iothub_emulator::hub::query::QueryPage;
use iothub_emulator::hub::{
    DeviceId, Hub, IdentityId, IdentitySpec, IfMatch, Policies, ServiceError, Settings, UnixMillis,
};
use serde_json::json;

const TWINS: usize = 10_000;
/// Twins that are looked at in a step.
const STEP: usize = 100;
/// How often each query is made; the least of the times counts.
const ROUNDS: usize = 10;
/// The most time that the first page of a query over ten thousand twins may take.
const LIMIT: Duration = Duration::from_millis(100);

const QUERIES: [&str; 6] = [
    "SELECT * FROM devices",
    "SELECT * FROM devices WHERE tags.location.city = 'Graz' AND properties.reported.battery < 20",
    "SELECT * FROM devices WHERE tags.none = 1",
    "SELECT deviceId, properties.reported.battery AS level FROM devices WHERE STARTSWITH(tags.location.city, 'W')",
    "SELECT COUNT() AS n, AVG(properties.reported.battery) AS level FROM devices WHERE connectionState = 'Disconnected'",
    "SELECT tags.location.city, COUNT() AS n FROM devices GROUP BY tags.location.city",
];

/// Makes a page. Returns also the longest step.
fn page(hub: &Hub, query: &str, continuation: Option<&str>) -> Result<(QueryPage, Duration), ServiceError> {
    let mut run = hub.begin_query(query, 1000, continuation)?;
    let mut longest = Duration::ZERO;
    loop {
        let start = Instant::now();
        let done = hub.continue_query(&mut run, STEP)?;
        longest = longest.max(start.elapsed());
        if done {
            return Ok((run.into_page(), longest));
        }
    }
}

/// What one round of a query took.
#[derive(Clone, Copy)]
struct Took {
    first: Duration,
    all: Duration,
    longest: Duration,
    pages: usize,
    rows: usize,
}

impl Took {
    /// The least of both, since other programs may have run meanwhile.
    fn least(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            all: self.all.min(other.all),
            longest: self.longest.min(other.longest),
            ..self
        }
    }
}

/// Makes all pages.
fn all(hub: &Hub, query: &str) -> Result<Took, ServiceError> {
    let start = Instant::now();
    let (first_page, mut longest) = page(hub, query, None)?;
    let first = start.elapsed();
    let (mut rows, mut pages, mut continuation) = (first_page.rows.len(), 1, first_page.continuation);
    while let Some(text) = continuation {
        let (next, step) = page(hub, query, Some(&text))?;
        longest = longest.max(step);
        rows += next.rows.len();
        pages += 1;
        continuation = next.continuation;
    }
    Ok(Took { first, all: start.elapsed(), longest, pages, rows })
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let twins = std::env::args().nth(1).map_or(Ok(TWINS), |twins| twins.parse())?;
    let mut hub = Hub::new(Settings::default(), Policies::new())?;
    for n in 0..twins {
        let id = DeviceId::new(&format!("device-{n:05}"))?;
        hub.create_identity(UnixMillis(1), IdentitySpec::new(id.clone()))?;
        let id = IdentityId::from(&id);
        let city = ["Graz", "Wien", "Linz", "Wels"][n % 4];
        let document = json!({
            "tags": { "location": { "city": city, "floor": n % 9 }, "line": n % 31 },
            "properties": { "desired": { "interval": 5, "mode": "auto" } },
        });
        hub.patch_twin(UnixMillis(2), &id, &IfMatch::Any, &document)?;
        hub.patch_reported(UnixMillis(3), &id, None, &json!({ "battery": n % 100, "firmware": "1.2.3" }))?;
    }
    let mut within = true;
    for query in QUERIES {
        let mut best: Option<Took> = None;
        for _ in 0..ROUNDS {
            let took = all(&hub, query)?;
            best = Some(best.map_or(took, |best| best.least(took)));
        }
        let Some(Took { first, all, longest, pages, rows }) = best else { return Err("no rounds".into()) };
        within &= twins > TWINS || first <= LIMIT;
        println!(
            "{first:>10.2?} first page, {all:>10.2?} all {pages} pages, {longest:>9.2?} longest step, {rows:>6} rows: {query}"
        );
    }
    Ok(if within { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
