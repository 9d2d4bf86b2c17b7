//! Works on jobs from a queue, several at a time: `cargo run -p amqp1 --example worker -- amqp://localhost jobs --jobs 4`.
//! The examples `broker` and `send` are a queue, and something to put jobs there:
//! `cargo run -p amqp1 --example send -- amqp://localhost jobs --body 1.5`.
//!
//! A job is a text: how many seconds the work takes. It prints a JSON object a line when a job begins and when it is
//! settled.

mod tool;

use amqp1::{
    Delivery, Error, Receiver,
    error::{AmqpError, ErrorCondition},
    link::Modified,
    message::Str,
};
use clap::Parser;
use serde_json::json;
use std::{pin::pin, process::ExitCode, time::Duration};
use tokio::{
    signal::ctrl_c,
    sync::watch,
    task::{JoinError, JoinSet},
};
use tool::{Failure, Peer};

/// Works on jobs from a queue, several at a time, until Ctrl-C.
///
/// A job is a text: how many seconds the work takes. Jobs that are done are accepted, those that cannot be read rejected,
/// and those that take too long modified, so that they are tried again. After Ctrl-C no job begins, and those that are
/// not done soon are released.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    peer: Peer,
    /// The address of the queue.
    queue: String,
    /// How many jobs are worked on at a time.
    #[arg(long, default_value_t = 4)]
    jobs: u32,
    /// A job that takes more seconds than this has failed.
    #[arg(long, value_name = "S", value_parser = tool::seconds, default_value = "60")]
    limit: Duration,
    /// A job that has failed this often is rejected.
    #[arg(long, default_value_t = 3)]
    attempts: u32,
    /// How many seconds jobs have to end after Ctrl-C.
    #[arg(long, value_name = "S", value_parser = tool::seconds, default_value = "10")]
    grace: Duration,
}

/// The means to work on a job.
#[derive(Clone)]
struct Worker {
    limit: Duration,
    attempts: u32,
    /// Becomes true when jobs are to be given back.
    stop: watch::Receiver<bool>,
}

fn main() -> ExitCode {
    tool::main("worker", run)
}

async fn run(options: Options) -> Result<(), Failure> {
    let connection = options.peer.connect().await?;
    let session = connection.begin().await?;
    // The credit alone would not do: a window of credit is filled as jobs are taken. This counts those that are taken and
    // not settled.
    let mut jobs = session.receiver(options.queue).max_unsettled(options.jobs).attach().await?;

    let (give_back, stop) = watch::channel(false);
    let worker = Worker { limit: options.limit, attempts: options.attempts, stop };
    let mut working = JoinSet::new();
    let ended = take(&mut jobs, &worker, &mut working).await;

    // Jobs that have arrived and were not taken go back to the queue. The link lives until the others are settled.
    drop(jobs);
    let all = async {
        while let Some(done) = working.join_next().await {
            report(done);
        }
    };
    if tokio::time::timeout(options.grace, all).await.is_err() {
        give_back.send_replace(true);
        while let Some(done) = working.join_next().await {
            report(done);
        }
    }
    // Settlements are queued: this writes the last ones.
    let closed = connection.close().await;
    ended?;
    Ok(closed?)
}

/// Begins jobs until Ctrl-C or the end of the link.
async fn take(jobs: &mut Receiver, worker: &Worker, working: &mut JoinSet<Result<(), Error>>) -> Result<(), Error> {
    let mut interrupted = pin!(ctrl_c());
    loop {
        tokio::select! {
            biased;
            _ = &mut interrupted => return Ok(()),
            Some(done) = working.join_next() => report(done),
            // Cancel-safe: a job that has arrived is there in the next round.
            job = jobs.recv() => match job? {
                Some(job) => drop(working.spawn(worker.clone().work(job))),
                None => return Ok(()),
            },
        }
    }
}

impl Worker {
    /// Works on a job and settles it.
    async fn work(mut self, job: Delivery) -> Result<(), Error> {
        let text = match job.message().text() {
            Ok(text) => text,
            Err(error) => return reject(job, None, ErrorCondition::DECODE_ERROR, &error.to_string()),
        };
        let Some(time) = text.as_deref().and_then(|text| tool::seconds(text.trim()).ok()) else {
            return reject(job, text, ErrorCondition::DECODE_ERROR, "a job is a number of seconds");
        };
        println!("{}", json!({ "job": text.as_deref(), "state": "begun" }));

        // The work, in place of this: if it blocks, in `tokio::task::spawn_blocking`.
        let work = tokio::time::timeout(self.limit, tokio::time::sleep(time));
        let done = tokio::select! {
            done = work => done,
            // It was not processed, and not for an error: another worker may have it.
            _ = self.stop.wait_for(|stop| *stop) => {
                println!("{}", json!({ "job": text.as_deref(), "state": "released" }));
                return job.release();
            }
        };
        if done.is_ok() {
            println!("{}", json!({ "job": text.as_deref(), "state": "accepted" }));
            return job.accept();
        }
        // How often it was delivered before and failed.
        let failed = job.message().header().ok().flatten().map_or(0, |header| header.delivery_count);
        if failed.saturating_add(1) >= self.attempts {
            return reject(job, text, ErrorCondition::INTERNAL_ERROR, "the job failed too often");
        }
        println!("{}", json!({ "job": text.as_deref(), "state": "modified" }));
        // The queue counts the attempt, and delivers the job again.
        job.modify(Modified { delivery_failed: true, ..Modified::default() })
    }
}

/// No worker can do it: brokers keep such messages as dead letters, or drop them.
fn reject(job: Delivery, text: Option<Str>, condition: ErrorCondition, why: &str) -> Result<(), Error> {
    println!("{}", json!({ "job": text.as_deref(), "state": "rejected", "error": why }));
    job.reject(AmqpError::new(condition, why))
}

/// A job whose work panicked was dropped, which modifies it as above.
fn report(done: Result<Result<(), Error>, JoinError>) {
    match done {
        Ok(Ok(())) => {}
        Ok(Err(error)) => eprintln!("worker: a job is not settled: {error}"),
        Err(error) => eprintln!("worker: {error}"),
    }
}
