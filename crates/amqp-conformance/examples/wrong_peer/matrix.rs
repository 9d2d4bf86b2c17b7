//! The matrix: each case, passed by a right peer and failed by at least one wrong one.

use crate::{
    bench::{Bench, Checked, DOUBT, HASTE, PATIENCE, Twins},
    changes,
    right::Right,
    wrong::Wrong,
};
use amqp_conformance::{Case, Outcome, Role, Tag, Verdict};
use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

/// The number of cases that are tested at the same time. Most of the time is spent in waiting for wrong peers.
const WORKERS: u8 = 8;

/// The result of one case.
struct Row {
    case: &'static Case,
    right: Outcome,
    /// The first wrong peer that fails it.
    failed_by: Option<(&'static str, Outcome)>,
}

impl Row {
    fn is_passed(&self) -> bool {
        self.right.verdict <= Verdict::PassWider
    }

    /// Returns `true` if the case judges a right peer, and does not pass with it or is failed by no wrong one.
    fn is_defect(&self) -> bool {
        self.right.verdict.is_judgement() && !(self.is_passed() && self.failed_by.is_some())
    }
}

/// Tests every case of the peer's role that this selects, and prints the matrix. `kept` is the file with the wrong peer
/// that fails each case. If `writes`, others are tried for the cases that it does not fail, and the file is written.
///
/// Returns `false` if a case that judges a right peer is not passed by it, or failed by no wrong one.
pub(crate) fn print(rights: &[Right], kept: &Path, writes: bool, only: &str) -> Result<bool, Box<dyn Error>> {
    let start = Instant::now();
    let role = rights.first().ok_or("there is no right peer")?.role();
    let sheets = rights.iter().map(|right| right.sheet(PATIENCE)).collect::<Result<Vec<_>, _>>()?;
    let rights: Vec<_> = rights.iter().zip(sheets).collect();
    let mut before = read(kept)?;
    let in_order: Vec<&'static Case> =
        amqp_conformance::cases().filter(|case| case.role() == role && case.id.starts_with(only)).collect();
    // Those that take long begin first.
    let mut cases = in_order.clone();
    cases.sort_by_key(|case| !(case.has(Tag::Slow) || case.has(Tag::Hostile)));
    let (next, rows, twins) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Twins::default());
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (next, rows, twins, cases, rights, before) = (&next, &rows, &twins, &cases, &rights, &before);
            scope.spawn(move || {
                let mut bench = Bench::new(rights, twins, worker);
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let row = test(&mut bench, case, before.get(&key(case)).map(String::as_str), writes);
                    rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by_key(|row| in_order.iter().position(|case| case.id == row.case.id));
    for row in &rows {
        println!("{}", line(row));
        if let Some((name, _)) = row.failed_by.as_ref().filter(|(name, _)| *name != AS_IT_IS) {
            before.insert(key(row.case), String::from(*name));
        }
    }
    if writes {
        let lines: String = before.iter().map(|((role, id), name)| format!("{role}\t{id}\t{name}\n")).collect();
        fs::write(kept, lines)?;
    }
    Ok(summary(&rows, start))
}

fn line(row: &Row) -> String {
    let rest = match &row.failed_by {
        Some((name, outcome)) => format!("{name}: {}", outcome.reason),
        None if row.right.verdict.is_judgement() && row.is_passed() => String::from("NOT FAILED BY ITS WRONG PEER"),
        None => row.right.reason.clone(),
    };
    format!("{:<32} {:<12} {rest}", row.case.id, row.right.verdict)
}

fn summary(rows: &[Row], start: Instant) -> bool {
    let judged = rows.iter().filter(|row| row.right.verdict.is_judgement()).count();
    let failed = rows.iter().filter(|row| row.is_passed() && row.failed_by.is_some()).count();
    let (all, seconds) = (rows.len(), start.elapsed().as_secs());
    println!(
        "{all} cases in {seconds} s: {judged} judge a peer, {failed} of these are passed by a right one and failed by a wrong one"
    );
    let defects: Vec<&Row> = rows.iter().filter(|row| row.is_defect()).collect();
    for row in &defects {
        println!("DEFECT: {}", line(row));
    }
    defects.is_empty()
}

type Key = (String, String);

fn key(case: &Case) -> Key {
    let role = if case.role() == Role::Server { "server" } else { "client" };
    (String::from(role), String::from(case.id))
}

fn read(kept: &Path) -> Result<BTreeMap<Key, String>, Box<dyn Error>> {
    if !kept.exists() {
        return Ok(BTreeMap::new());
    }
    let text = fs::read_to_string(kept)?;
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split('\t').map(String::from);
        Some(((words.next()?, words.next()?), words.next()?))
    });
    Ok(lines.collect())
}

/// The row of a case that our own peer fails: it is the wrong peer, and with a change the right one.
fn mended(bench: &mut Bench<'_>, number: usize, mut row: Row) -> Row {
    let is_of = |role, id| role == row.case.role() && id == row.case.id;
    let mended = changes::mended::ALL.iter().find(|(role, id, _)| is_of(*role, *id));
    let outcome = mended.and_then(|(_, _, right)| bench.wrong(number, right, row.case, PATIENCE));
    if let Some(outcome) = outcome.filter(|outcome| outcome.verdict <= Verdict::PassWider) {
        row.failed_by = Some((AS_IT_IS, std::mem::replace(&mut row.right, outcome)));
    }
    row
}

/// The name of our own peer where it is wrong.
const AS_IT_IS: &str = "our-peer-as-it-is";

/// Tests one case: with a right peer, then with the wrong one that has failed it before. If that does not fail it, and
/// this `searches`, with the others until one does.
fn test(bench: &mut Bench<'_>, case: &'static Case, before: Option<&str>, searches: bool) -> Row {
    let (number, Checked { outcome: right, passed }) = bench.right(case);
    let mut row = Row { case, right, failed_by: None };
    if !row.right.verdict.is_judgement() {
        return row;
    }
    if !row.is_passed() {
        return mended(bench, number, row);
    }
    let mut fails = |wrong: &Wrong, twin_patience, patience| {
        let outcome =
            bench.twin_passes(number, wrong, case, twin_patience).then(|| bench.wrong(number, wrong, case, patience));
        outcome.flatten().filter(|outcome| outcome.verdict >= Verdict::Warn)
    };
    let known = changes::ALL.iter().find(|wrong| Some(wrong.name) == before);
    if let Some(wrong) = known
        && let Some(outcome) = fails(wrong, PATIENCE, HASTE).or_else(|| fails(wrong, PATIENCE, PATIENCE))
    {
        row.failed_by = Some((wrong.name, outcome));
        return row;
    }
    if !searches {
        return row;
    }
    for wrong in changes::for_case(case).filter(|wrong| wrong.touches(&passed)) {
        // The second look tells a wrong peer from one that was merely slow.
        if let Some(outcome) = fails(wrong, HASTE, HASTE).and_then(|_| fails(wrong, HASTE, DOUBT)) {
            row.failed_by = Some((wrong.name, outcome));
            break;
        }
    }
    row
}
