//! The matrix: each case, passed by a right peer and failed by one that is wrong about its rule.

use crate::{
    bench::{Bench, DOUBT, HASTE, PATIENCE, Twins},
    changes, place,
    right::Right,
    wrong::Wrong,
};
use amqp_conformance::{Case, Outcome, Role, Tag, Verdict};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, HashSet},
    env,
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
    /// Why no peer that is wrong in little fails it, if that is known.
    exception: Option<String>,
}

impl Row {
    fn is_passed(&self) -> bool {
        self.right.verdict <= Verdict::PassWider
    }

    /// Returns `true` if the peer that fails it is wrong about this case's rule, and not about a great deal.
    fn is_specific(&self) -> bool {
        self.failed_by.as_ref().is_some_and(|(name, _)| !changes::is_broad(name))
    }

    /// Returns `true` if the case judges a right peer, and does not pass with it or is failed by no wrong one; or if that
    /// is a broad one without a reason.
    fn is_defect(&self) -> bool {
        let is_failed = self.is_specific() || self.failed_by.is_some() && self.exception.is_some();
        self.right.verdict.is_judgement() && !(self.is_passed() && is_failed)
    }
}

/// Tests every case of the peer's role that this selects, and prints the matrix. `kept` is the file with the wrong peer
/// that fails each case, and `broad.tsv` beside it why a case has a broad one. If `writes`, others are tried for the cases
/// that it does not fail, or that a broad one fails, and the file is written.
///
/// Returns `false` if a case that judges a right peer is not passed by it, or not failed by one that is wrong about its
/// rule.
pub(crate) fn print(rights: &[Right], kept: &Path, writes: bool, only: &str) -> Result<bool, Box<dyn Error>> {
    let start = Instant::now();
    let role = rights.first().ok_or("there is no right peer")?.role();
    let sheets = rights.iter().map(|right| right.sheet(PATIENCE)).collect::<Result<Vec<_>, _>>()?;
    let rights: Vec<_> = rights.iter().zip(sheets).collect();
    let mut before = read(kept)?;
    let exceptions = read(&kept.with_file_name("broad.tsv"))?;
    let is_selected = |id: &str| only.split(',').any(|only| id.starts_with(only));
    let in_order: Vec<&'static Case> =
        amqp_conformance::cases().filter(|case| case.role() == role && is_selected(case.id)).collect();
    // Those that take long begin first.
    let mut cases = in_order.clone();
    cases.sort_by_key(|case| !(case.has(Tag::Slow) || case.has(Tag::Hostile)));
    let (next, rows, twins) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Twins::default());
    let lawful = if writes { Bench::new(&rights, &twins, 0).vocabulary(&cases) } else { HashSet::new() };
    let search = writes.then_some(&lawful);
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (next, rows, twins, cases) = (&next, &rows, &twins, &cases);
            let (rights, before, exceptions) = (&rights, &before, &exceptions);
            scope.spawn(move || {
                let mut bench = Bench::new(rights, twins, worker);
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let known = before.get(&key(case)).map(String::as_str);
                    let row =
                        Row { exception: exceptions.get(&key(case)).cloned(), ..test(&mut bench, case, known, search) };
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
    let specific = rows.iter().filter(|row| row.is_passed() && row.is_specific()).count();
    let (all, seconds) = (rows.len(), start.elapsed().as_secs());
    println!(
        "{all} cases in {seconds} s: {judged} judge a peer, {failed} of these are passed by a right one and failed by a wrong one, \
         {specific} by one that is wrong about their rule"
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
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut words = line.split('\t').map(String::from);
        Some(((words.next()?, words.next()?), words.next()?))
    });
    Ok(lines.collect())
}

/// The row of a case that our own peer fails, or that does not judge it: with a change it is the right one. Where it fails
/// by itself, it is the wrong peer; else that is the `known` one.
fn mended(bench: &mut Bench<'_>, number: usize, mut row: Row, known: Option<Wrong>) -> Row {
    let is_of = |role, id| role == row.case.role() && id == row.case.id;
    let mended = changes::mended::ALL.iter().find(|(role, id, _)| is_of(*role, *id));
    let outcome = mended.and_then(|(_, _, right)| bench.wrong(number, right, row.case, PATIENCE));
    if let Some(outcome) = outcome.filter(|outcome| outcome.verdict <= Verdict::PassWider) {
        let as_it_is = std::mem::replace(&mut row.right, outcome);
        row.failed_by = if as_it_is.verdict.is_judgement() {
            Some((AS_IT_IS, as_it_is))
        } else {
            let failed = known.and_then(|wrong| Some((wrong.name, bench.wrong(number, &wrong, row.case, PATIENCE)?)));
            failed.filter(|(_, outcome)| outcome.verdict >= Verdict::Warn)
        };
    }
    row
}

/// The name of our own peer where it is wrong.
const AS_IT_IS: &str = "our-peer-as-it-is";

/// Tests one case: with a right peer, then with the wrong one that has failed it before. If that does not fail it or is a
/// broad one, others are tried until one does, where `lawful` is there: what the tool sends in lawful twins.
fn test(bench: &mut Bench<'_>, case: &'static Case, before: Option<&str>, lawful: Option<&HashSet<Bytes>>) -> Row {
    let (number, checked) = bench.right(case);
    let mut row = Row { case, right: checked.outcome.clone(), failed_by: None, exception: None };
    let known = before.and_then(changes::named);
    if !row.right.verdict.is_judgement() || !row.is_passed() {
        return mended(bench, number, row, known);
    }
    let mut fails = |wrong: &Wrong, twin_patience, patience| {
        let outcome =
            bench.twin_passes(number, wrong, case, twin_patience).then(|| bench.wrong(number, wrong, case, patience));
        outcome.flatten().filter(|outcome| outcome.verdict >= Verdict::Warn)
    };
    if is_listing() {
        let names = checked.names();
        let named = changes::for_case(case).filter(|wrong| wrong.touches(&names) && !changes::is_broad(wrong.name));
        let failing: Vec<&str> =
            named.filter(|wrong| fails(wrong, HASTE, HASTE).is_some()).map(|wrong| wrong.name).collect();
        println!("ALL\t{}\t{}", case.id, failing.join(" "));
        return row;
    }
    if let Some(wrong) = known
        && let Some(outcome) = fails(&wrong, PATIENCE, HASTE).or_else(|| fails(&wrong, PATIENCE, PATIENCE))
    {
        row.failed_by = Some((wrong.name, outcome));
    }
    let Some(lawful) = lawful.filter(|_| !row.is_specific()) else { return row };
    let places = place::candidates(&checked.connections, lawful, wants_refusal(case, &checked.outcome));
    let places = places.iter().filter_map(|place| Wrong::at(&place.to_string()));
    let names = checked.names();
    let named = changes::for_case(case).filter(|wrong| wrong.touches(&names)).copied();
    // Broad ones are not looked for where one is known.
    let is_better = |wrong: &Wrong| row.failed_by.is_none() || !changes::is_broad(wrong.name) && is_deep();
    for wrong in places.chain(named.filter(is_better)) {
        // The second look tells a wrong peer from one that was merely slow.
        if let Some(outcome) = fails(&wrong, HASTE, HASTE).and_then(|_| fails(&wrong, HASTE, DOUBT)) {
            row.failed_by = Some((wrong.name, outcome));
            break;
        }
    }
    row
}

/// Whether a right peer refuses what the case sends.
fn wants_refusal(case: &Case, right: &Outcome) -> bool {
    right.reason.contains(" with amqp:") || case.wants.contains("with an error") || case.wants.contains(" with amqp:")
}

/// Whether every peer that fails a case is listed, which takes long.
fn is_listing() -> bool {
    env::var_os("LIST").is_some()
}

/// Whether every peer is tried where a broad one fails a case, which takes hours.
fn is_deep() -> bool {
    env::var_os("WRITE").is_some_and(|how| how == "deep")
}
