//! How long a query over ten thousand twins takes in the model of the hub.
//!
//! ```text
//! cargo run --release -p iothub-emulator --example twin_queries
//! ```

use std::error::Error;
use std::time::Instant;

use iothub_emulator::hub::{DeviceId, Hub, IdentityId, IdentitySpec, IfMatch, Policies, Settings, UnixMillis};
use serde_json::json;

const TWINS: usize = 10_000;

const QUERIES: [&str; 6] = [
    "SELECT * FROM devices",
    "SELECT * FROM devices WHERE tags.location.city = 'Graz' AND properties.reported.battery < 20",
    "SELECT * FROM devices WHERE tags.none = 1",
    "SELECT deviceId, properties.reported.battery AS level FROM devices WHERE STARTSWITH(tags.location.city, 'W')",
    "SELECT COUNT() AS n, AVG(properties.reported.battery) AS level FROM devices WHERE connectionState = 'Disconnected'",
    "SELECT tags.location.city, COUNT() AS n FROM devices GROUP BY tags.location.city",
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut hub = Hub::new(Settings::default(), Policies::new())?;
    for n in 0..TWINS {
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
    for query in QUERIES {
        let start = Instant::now();
        let first = hub.query(query, 1000, None)?;
        let first_took = start.elapsed();
        let (mut rows, mut pages, mut continuation) = (first.rows.len(), 1, first.continuation);
        while let Some(text) = continuation {
            let page = hub.query(query, 1000, Some(&text))?;
            rows += page.rows.len();
            pages += 1;
            continuation = page.continuation;
        }
        println!(
            "{first_took:>12.2?} first page, {:>12.2?} all {pages} pages, {rows:>6} rows: {query}",
            start.elapsed()
        );
    }
    Ok(())
}
