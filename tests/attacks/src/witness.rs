//! A second client, which sends one message after the other and looks how long each answer takes.

use crate::process::{DEVICE, DEVICE_KEY, Target};
use amqp1::{
    Client,
    auth::{
        UnixSeconds,
        sas::{PercentEncoding, SasKey},
        sasl::Plain,
    },
};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

#[derive(Default)]
struct Seen {
    slowest: Duration,
    /// Since when an answer is waited for.
    waiting: Option<Instant>,
    /// An answer did not come, or was none.
    lost: bool,
}

pub(crate) struct Witness {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

async fn connect(target: Target, address: SocketAddr) -> Result<amqp1::Sender, Box<dyn std::error::Error>> {
    let builder =
        Client::builder(format!("amqp://localhost:{}", address.port())).dial(address.ip().to_string(), address.port());
    let (connection, node) = match target {
        Target::Emulator => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
            let key = SasKey::from_base64(DEVICE_KEY)?;
            let resource = format!("localhost/devices/{DEVICE}");
            let token = key.sign(&resource, PercentEncoding::Component, UnixSeconds::new(now + 3600), None);
            let plain = Plain::new(format!("{DEVICE}@sas.localhost"), token.into_secret_text())?;
            (builder.sasl(plain).connect().await?, format!("/devices/{DEVICE}/messages/events"))
        }
        _ => (builder.connect().await?, "witness".to_owned()),
    };
    Ok(connection.begin().await?.sender(node).attach().await?)
}

impl Witness {
    pub(crate) fn start(target: Target, address: SocketAddr) -> Result<Self, String> {
        let (seen, stop) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let (shared, stopped) = (seen.clone(), stop.clone());
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let sender = match connect(target, address).await {
                    Ok(sender) => sender,
                    Err(error) => return drop(ready.send(Some(error.to_string()))),
                };
                drop(ready.send(None));
                while !stopped.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    shared.lock().expect("no panic").waiting = Some(began);
                    let answer = sender.send("are you there?").await;
                    {
                        let mut seen = shared.lock().expect("no panic");
                        seen.waiting = None;
                        seen.slowest = seen.slowest.max(began.elapsed());
                        if answer.and_then(|outcome| outcome.into_result()).is_err() {
                            seen.lost = true;
                            return;
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        });
        match is_ready.recv_timeout(Duration::from_secs(20)) {
            Ok(None) => Ok(Self { seen, stop, thread: Some(thread) }),
            Ok(Some(error)) => Err(format!("the second client does not get in: {error}")),
            Err(_) => Err("the second client does not get in".to_owned()),
        }
    }

    /// The slowest answer so far, one that is waited for included; from now on they are counted anew.
    pub(crate) fn slowest(&self) -> Duration {
        let mut seen = self.seen.lock().expect("no panic");
        let slowest = seen.slowest.max(seen.waiting.map_or(Duration::ZERO, |since| since.elapsed()));
        seen.slowest = Duration::ZERO;
        slowest
    }

    /// The slowest answer since the idle run. One that is lost counts as the slowest there can be.
    pub(crate) fn finish(mut self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        let lost = self.seen.lock().expect("no panic").lost;
        if lost { Duration::from_secs(3600) } else { self.slowest() }
    }
}
