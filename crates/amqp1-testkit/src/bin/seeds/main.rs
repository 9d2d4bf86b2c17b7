//! Runs the reference model on many seeds, or one of them with a trace.
//!
//! `seeds --from 0 --count 100000` uses all cores, and stops at the first seed that fails (`--all` goes on).
//! `seeds --seed 7` runs that one, shows its operations, and the shortest part of them that still fails. With `--lives` it
//! is the lives of links over several connections instead, of which a seed is just run again. `--record FILE` keeps a
//! digest of the octets that the engines have written, and `--check FILE` fails where they write others.
#![forbid(unsafe_code)]

mod wire;

use amqp1_testkit::{
    lives::{Lived, run_lives, try_run_lives},
    model::{Operation, Tally, run, shrink, try_run, try_run_with},
};
use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use wire::{Digests, Record};

/// A seed that takes longer is stuck.
const STUCK: Duration = Duration::from_secs(10);

const USAGE: &str = "usage: seeds [--lives] [--from SEED] [--count COUNT] [--threads COUNT] [--all]
                       [--record FILE | --check FILE]
       seeds [--lives] --seed SEED";

struct Options {
    from: u64,
    count: u64,
    threads: usize,
    all: bool,
    lives: bool,
    seed: Option<u64>,
    record: Option<Record>,
}

fn options() -> Option<Options> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options { from: 0, count: 100_000, threads, all: false, lives: false, seed: None, record: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--all" => options.all = true,
            "--lives" => options.lives = true,
            "--record" => options.record = Some(Record::Write(words.next()?.into())),
            "--check" => options.record = Some(Record::Check(words.next()?.into())),
            _ => {}
        }
        if matches!(word.as_str(), "--all" | "--lives" | "--record" | "--check") {
            continue;
        }
        let number = words.next()?.parse().ok()?;
        match word.as_str() {
            "--from" => options.from = number,
            "--count" => options.count = number,
            "--threads" => options.threads = usize::try_from(number).ok()?.max(1),
            "--seed" => options.seed = Some(number),
            _ => return None,
        }
    }
    Some(options)
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match options.seed {
        Some(seed) if options.lives => {
            println!("seed {seed} holds: {:?}", run_lives(seed));
            ExitCode::SUCCESS
        }
        Some(seed) => replay(seed),
        None => Campaign::new(options).run(),
    }
}

/// One seed, with everything that is known of it.
fn replay(seed: u64) -> ExitCode {
    let list = Operation::list(seed);
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    // Each is shown before it happens: where a seed is stuck, the last one is where.
    match try_run_with(seed, &list, |operation| println!("{operation:?}")) {
        Ok(tally) => {
            println!("seed {seed} holds: {tally:?}");
            return ExitCode::SUCCESS;
        }
        Err(text) => println!("\n{text}\n"),
    }
    let short = shrink(seed, list.clone());
    std::panic::set_hook(quiet);
    println!("seed {seed} fails with {} of its {} operations:", short.len(), list.len());
    run(seed, &short, |operation| println!("{operation:?}"));
    ExitCode::FAILURE
}

/// What a thread is at: a seed plus one, and when it began, in milliseconds.
#[derive(Default)]
struct Worker {
    seed: AtomicU64,
    since: AtomicU64,
}

struct Campaign {
    from: u64,
    end: u64,
    all: bool,
    lives: bool,
    started: Instant,
    next: AtomicU64,
    done: AtomicU64,
    stop: AtomicBool,
    over: AtomicBool,
    workers: Vec<Worker>,
    record: Option<Record>,
    results: Mutex<Results>,
}

#[derive(Default)]
struct Results {
    tally: Tally,
    lived: Lived,
    digests: Digests,
    failures: BTreeMap<u64, String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Campaign {
    fn new(options: Options) -> Self {
        Self {
            from: options.from,
            end: options.from.saturating_add(options.count),
            all: options.all,
            lives: options.lives,
            started: Instant::now(),
            next: AtomicU64::new(options.from),
            done: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            over: AtomicBool::new(false),
            workers: (0..options.threads).map(|_| Worker::default()).collect(),
            record: options.record,
            results: Mutex::default(),
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn run(&self) -> ExitCode {
        std::panic::set_hook(Box::new(|_| {}));
        thread::scope(|scope| {
            let watchdog = scope.spawn(|| self.watch());
            let threads: Vec<_> = self.workers.iter().map(|worker| scope.spawn(|| self.work(worker))).collect();
            for thread in threads {
                let _ = thread.join();
            }
            self.over.store(true, Relaxed);
            watchdog.thread().unpark();
        });
        self.report()
    }

    fn work(&self, worker: &Worker) {
        let (mut tally, mut lived, mut digests) = (Tally::default(), Lived::default(), Digests::default());
        while !self.stop.load(Relaxed) {
            let seed = self.next.fetch_add(1, Relaxed);
            if seed >= self.end {
                break;
            }
            worker.since.store(self.millis(), Relaxed);
            worker.seed.store(seed.wrapping_add(1), Relaxed);
            let failed = if self.lives {
                try_run_lives(seed).map(|one| {
                    digests.add(seed, one.wire);
                    lived += one;
                })
            } else {
                try_run(seed, &Operation::list(seed)).map(|one| {
                    digests.add(seed, one.wire);
                    tally += one;
                })
            };
            if let Err(text) = failed {
                lock(&self.results).failures.insert(seed, text);
                self.stop.store(!self.all, Relaxed);
            }
            worker.seed.store(0, Relaxed);
            self.done.fetch_add(1, Relaxed);
        }
        let results = &mut *lock(&self.results);
        results.tally += tally;
        results.lived += lived;
        results.digests.merge(digests);
    }

    /// Says how it goes, and gives up when a seed is stuck.
    fn watch(&self) {
        let mut told = 0;
        while !self.over.load(Relaxed) {
            thread::park_timeout(Duration::from_secs(1));
            let now = self.millis();
            for worker in &self.workers {
                // In this order: a new seed has a new time by then.
                let seed = worker.seed.load(Relaxed);
                let since = worker.since.load(Relaxed);
                if seed != 0 && now.saturating_sub(since) > STUCK.as_millis() as u64 {
                    let seed = seed.wrapping_sub(1);
                    println!("seed {seed} is stuck: it runs for more than {STUCK:?}");
                    println!("{} {seed}", self.replay());
                    std::process::exit(1);
                }
            }
            if now / 10_000 > told {
                told = now / 10_000;
                println!("{} seeds after {} s", self.done.load(Relaxed), now / 1000);
            }
        }
    }

    fn replay(&self) -> String {
        let lives = if self.lives { " --lives" } else { "" };
        format!("replay it with: cargo run --release -p amqp1-testkit --bin seeds --{lives} --seed")
    }

    fn report(&self) -> ExitCode {
        let Results { tally, lived, digests, failures } = &*lock(&self.results);
        let (done, seconds) = (self.done.load(Relaxed), self.started.elapsed().as_secs_f64());
        let (threads, speed) = (self.workers.len(), done as f64 / seconds);
        print!("{done} seeds from {} in {seconds:.1} s on {threads} threads: {speed:.0} a second, with ", self.from);
        if self.lives {
            let Lived { connections, messages, resumed, lost, aborted, wire: _ } = lived;
            println!(
                "{connections} connections, {messages} messages, {resumed} deliveries received again as resumed ones, \
                 {lost} lost as they may be, {aborted} given up"
            );
        } else {
            let Tally { operations, messages, deliveries, frames, wire: _ } = tally;
            println!("{operations} operations, {messages} messages, {deliveries} deliveries, {frames} frames");
        }
        for (seed, text) in failures {
            let text: String = text.chars().take(300).collect();
            println!("seed {seed} fails: {text}");
        }
        let Some(first) = failures.keys().next() else { return self.settle(digests) };
        println!("{} seeds fail", failures.len());
        println!("{} {first}", self.replay());
        ExitCode::FAILURE
    }

    /// Keeps or checks the digests, if that is wanted.
    fn settle(&self, digests: &Digests) -> ExitCode {
        let Some(record) = &self.record else { return ExitCode::SUCCESS };
        match record.settle(digests) {
            Ok(differing) if differing.is_empty() => return ExitCode::SUCCESS,
            Ok(differing) => println!("the engines write something else in the blocks of seeds {differing:?}"),
            Err(error) => println!("the record of digests: {error}"),
        }
        ExitCode::FAILURE
    }
}
