//! `iothub demo`: a hub, a service and devices in one process, over TLS on loopback.
//!
//! The service sends messages and asks for full feedback; each device completes most, rejects some and abandons some
//! once, and sends telemetry; the service reads the feedback, and the telemetry through the redirect to the
//! Event-Hubs-compatible endpoint. It also calls a method of each device, and changes its twin until the device reports
//! what is wanted, over HTTPS. The ledger counts what these clients saw, nothing from inside the hub.

mod device;
mod ledger;
mod plan;
mod service;

use crate::{cli::DemoOptions, emulator::interrupted, failure::Failure, output::Output};
use iothub_emulator::Emulator;
use ledger::Ledger;
use plan::Plan;
use serde_json::json;
use std::{
    pin::{Pin, pin},
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::Instant,
};

/// The hub closes a batch of feedback after 15 s; the demo does not wait for that.
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(200);

/// After Ctrl-C: how long what is on its way may take to arrive.
const GRACE: Duration = Duration::from_secs(15);

/// What all parts of the demo share.
#[derive(Clone, Debug)]
struct Stage {
    plan: Arc<Plan>,
    ledger: Arc<Mutex<Ledger>>,
    output: Output,
    /// Whether no more messages are to be sent.
    stop: watch::Receiver<bool>,
    /// Whether everything is over.
    over: watch::Receiver<bool>,
}

impl Stage {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // A part that panicked has left its counts as they were.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) async fn run(options: DemoOptions) -> Result<ExitCode, Failure> {
    let mut pressed = pin!(interrupted());
    let output = Output::with_progress(options.json, u64::from(options.messages));
    let show = tokio::select! {
        biased;
        _ = &mut pressed => None,
        show = Show::set_up(&options, &output) => Some(show?),
    };
    let Some(mut show) = show else {
        output.finish();
        output.say("Ctrl-C before anything was sent.", &Ledger::default().to_json(true));
        return Ok(ExitCode::SUCCESS);
    };
    let verdict = show.watch_over(pressed, Duration::from_secs(options.patience)).await;
    let _ = show.end.send(true);
    while show.parts.join_next().await.is_some() {}
    show.hub.shutdown().await;
    output.finish();
    conclude(&show.stage, &verdict)
}

/// Everything that runs.
struct Show {
    stage: Stage,
    hub: Emulator,
    parts: JoinSet<Result<(), Failure>>,
    sending: Option<JoinHandle<Result<(), Failure>>>,
    stop: watch::Sender<bool>,
    end: watch::Sender<bool>,
}

impl Show {
    async fn set_up(options: &DemoOptions, output: &Output) -> Result<Self, Failure> {
        let plan = Arc::new(Plan::new(options)?);
        let hub = start_hub(&plan, options.lose).await?;
        output.say(
            &format!("A hub is up on {} (TLS), with {} devices.", hub.local_addr(), options.devices),
            &json!({"event": "hub", "amqps": hub.local_addr().to_string(), "devices": options.devices}),
        );
        let (stop, stopped) = watch::channel(false);
        let (end, over) = watch::channel(false);
        let stage = Stage { plan, ledger: Arc::default(), output: output.clone(), stop: stopped, over };
        let mut parts = JoinSet::new();
        device::start(&stage, &hub, &mut parts).await?;
        output.say(
            "Every device is connected and waits for messages, calls of methods, and changes of its twin.",
            &json!({"event": "devices", "connected": options.devices}),
        );
        let sending = service::start(&stage, &hub, &mut parts).await?;
        Ok(Self { stage, hub, parts, sending: Some(sending), stop, end })
    }
}

async fn start_hub(plan: &Plan, lose: u32) -> Result<Emulator, Failure> {
    let mut builder = Emulator::builder().settings(|settings| settings.feedback.batch_delay = FEEDBACK_INTERVAL);
    for device in &plan.devices {
        builder = builder.device(&device.id, &device.key);
    }
    let hub = builder.start().await.map_err(|error| Failure::new(format!("the hub does not start: {error}")))?;
    for _ in 0..lose {
        hub.drop_next_c2d();
    }
    Ok(hub)
}

/// How the demo came to its end.
#[derive(Debug)]
enum Verdict {
    Done,
    Interrupted,
    Stuck(Duration),
    Failed(String),
}

impl Show {
    /// Waits until everything has arrived, Ctrl-C, a failure, or until nothing moves any more.
    async fn watch_over(
        &mut self,
        mut pressed: Pin<&mut impl Future<Output = Result<(), Failure>>>,
        patience: Duration,
    ) -> Verdict {
        let stage = self.stage.clone();
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        let mut last = (stage.ledger().steps(), Instant::now());
        let mut interrupted: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = &mut pressed, if interrupted.is_none() => {
                    stage.output.tell("Ctrl-C: nothing more is sent; what is on its way comes home first.");
                    interrupted = Some(Instant::now());
                    let _ = self.stop.send(true);
                }
                Some(ended) = self.parts.join_next() => {
                    if let Some(failure) = part_failure(ended) {
                        return Verdict::Failed(failure);
                    }
                }
            }
            if let Some(task) = self.sending.take_if(|task| task.is_finished())
                && let Some(failure) = part_failure(task.await)
            {
                return Verdict::Failed(failure);
            }
            let (steps, balanced, home) = {
                let ledger = stage.ledger();
                (ledger.steps(), ledger.is_balanced(), ledger.feedback_count())
            };
            stage.output.progress(home, "messages home");
            if self.sending.is_none() && balanced {
                return if interrupted.is_some() { Verdict::Interrupted } else { Verdict::Done };
            }
            if interrupted.is_some_and(|since| since.elapsed() > GRACE) {
                return Verdict::Interrupted;
            }
            if steps != last.0 {
                last = (steps, Instant::now());
            } else if last.1.elapsed() > patience {
                return Verdict::Stuck(patience);
            }
        }
    }
}

fn part_failure(ended: Result<Result<(), Failure>, tokio::task::JoinError>) -> Option<String> {
    match ended {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure.to_string()),
        Err(error) => Some(format!("a part of the demo broke: {error}")),
    }
}

fn conclude(stage: &Stage, verdict: &Verdict) -> Result<ExitCode, Failure> {
    let ledger = stage.ledger();
    let interrupted = matches!(verdict, Verdict::Interrupted);
    for oddity in ledger.oddities() {
        stage.output.say(&format!("Odd: {oddity}."), &json!({"event": "odd", "what": oddity}));
    }
    stage.output.say(&ledger.to_table(), &ledger.to_json(interrupted));
    match verdict {
        Verdict::Failed(why) => Err(Failure::new(why.clone())),
        Verdict::Stuck(patience) => {
            Err(Failure::new(format!("nothing has moved for {} s and the ledger does not balance", patience.as_secs())))
        }
        _ if !ledger.is_balanced() => Err(Failure::new("the ledger does not balance")),
        _ => Ok(ExitCode::SUCCESS),
    }
}
