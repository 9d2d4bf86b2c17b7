//! The table as Markdown, and what is open as lines for another program.

use crate::{
    coverage::{Coverage, InRole, Row},
    judged::is_kept,
    status::{Kept, Status},
};
use std::fmt::Write;

/// The parts by the letter of their ids.
const PARTS: [(char, &str); 6] = [
    ('Y', "Part 1: Types"),
    ('T', "Part 2: Transport"),
    ('M', "Part 3: Messaging"),
    ('X', "Part 4: Transactions"),
    ('S', "Part 5: Security"),
    ('E', "Extensions"),
];

/// How many tests a requirement names.
const TESTS: usize = 4;

/// How many cases a requirement names in a role.
const CASES: usize = 3;

const INTRODUCTION: &str = "\
# Requirements

The requirements of AMQP 1.0 (OASIS Standard, parts 1 to 5) that a program can keep or break, some that every program on
a network must keep (*robustness*), and a few of the extensions. For each, the table says how this workspace keeps it and
what shows that.

The table is made from what ran. `cargo run -p amqp1-requirements` writes this file from
[the requirements](tests/requirements/requirements.tsv), [the verdicts](tests/requirements/judged.tsv),
[the declarations](tests/requirements/declared.tsv), [the exemptions](tests/requirements/exemptions.tsv) and the tests,
which carry the ids in their names or comments. CI fails when this file is stale, when a test that it names has not run
and passed, and when a run of [`amqp-conformance`](crates/amqp-conformance) gives other verdicts than those that are
committed.

An id is the part's letter (Y types, T transport, M messaging, X transactions, S security, E extensions), the section
of the specification, and a number.

## Status

| status | meaning |
|---|---|
| by default | The client and the acceptor keep it as they are. |
| by option | The option that is named keeps it. The default is different, for the reason that is given. |
| helper only | It is the duty of an application, such as a broker. The library has what is named to keep it, and does not call that by itself. The example broker does. |
| deviates | Something else is done on purpose, for the reason that is given. |

A requirement has the status of its weakest part: of thirty cases, one that passes only under an option makes it *by
option*. The cases in parentheses are the ones that fail by default.

## Proof

Two independent kinds of proof are named.

*Cases* are those of `amqp-conformance`, which has no protocol engine and knows only the octets. It judges the example
broker as a server and the example client, by default and with `--strict`. The cases that are named pass. Where a
requirement applies to a role and no case has judged it, the reason is given.

*Tests* are those of this repository, the ones nearest to the octets first. They exclude those of the tool itself.

The tests `amqp1_engine::behaviour` and `amqp1_broker::behaviour` run three times: as they are; with client and server in
each other's place, except in tests of what only the accepting end does; and crowded, with other sessions and links,
numbers that wrap, and full encodings, except where `roles.rs` gives a reason.

How binding it is:

| severity | meaning |
|---|---|
| MUST, MUST NOT | The specification demands it. *(derived)*: it follows from several of its sentences. |
| SHOULD, SHOULD NOT, RECOMMENDED | The specification wants it unless there is a good reason. |
| MAY | The specification allows it, and a peer has to cope with it. |
| *(robustness)* | The specification is silent. A program that serves strangers must keep it. |

What it binds:

| applies to | meaning |
|---|---|
| codec | what writes or reads octets |
| engine | what keeps the state of connections, sessions and links |
| both | both peers |
| client, server; initiator, responder | the peer that opens the connection, and the one that accepts it |
| sender, receiver | the ends of a link |
| source, target | the nodes, or what represents them, at the ends of a link |
| node, broker, intermediary | what keeps messages, or forwards them |
| controller, resource, coordinator | the peer that asks for transactions, the one that has the messages in them, and the one that manages them |

\"and 3 more\" counts the cases or tests that are not named.

";

/// The whole file.
pub fn markdown(coverage: &Coverage) -> String {
    let mut out = String::from(INTRODUCTION);
    out.push_str("## Summary\n\n| part | requirements |");
    for status in Status::ALL {
        _ = write!(out, " {} |", status.name());
    }
    out.push_str("\n|---|---:|---:|---:|---:|---:|\n");
    for (letter, title) in PARTS {
        counts(&mut out, title, coverage.rows.iter().filter(|row| row.requirement.id.starts_with(letter)));
    }
    counts(&mut out, "all", coverage.rows.iter());
    for (letter, title) in PARTS {
        _ = write!(
            out,
            "\n## {title}\n\n| id | severity | applies to | requirement | status | cases | tests |\n|---|---|---|---|---|---|---|\n"
        );
        for row in coverage.rows.iter().filter(|row| row.requirement.id.starts_with(letter)) {
            let requirement = &row.requirement;
            _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} | {} |",
                requirement.id,
                escaped(&requirement.severity),
                escaped(&requirement.applies_to),
                escaped(&requirement.text),
                status(&row.kept),
                row.roles.iter().map(cases).collect::<Vec<_>>().join("; "),
                tests(row),
            );
        }
    }
    out
}

/// What README.md says of the table.
pub fn claim(coverage: &Coverage) -> String {
    let [default, option, helper, deviates] = Status::ALL.map(|status| count(coverage.rows.iter(), status));
    format!(
        "Of the {} requirements in [REQUIREMENTS.md](REQUIREMENTS.md), {default} are kept by default, {option} by an option \
         and {helper} by helpers that an application calls; {deviates} deviate on purpose",
        coverage.rows.len()
    )
}

/// What is missing without a reason: the id, what it is, and the requirement, separated by tabs.
pub fn open(coverage: &Coverage) -> String {
    let mut out = String::new();
    for (Row { requirement, .. }, of) in coverage.open() {
        _ = writeln!(out, "{}\t{}\t{}\t{}", requirement.id, of.name(), requirement.severity, requirement.text);
    }
    out
}

fn count<'a>(rows: impl Iterator<Item = &'a Row>, status: Status) -> usize {
    rows.filter(|row| row.kept.status == status).count()
}

/// A line with the number of rows, and that of each status.
fn counts<'a>(out: &mut String, title: &str, rows: impl Iterator<Item = &'a Row> + Clone) {
    _ = write!(out, "| {title} | {} |", rows.clone().count());
    for status in Status::ALL {
        _ = write!(out, " {} |", count(rows.clone(), status));
    }
    out.push('\n');
}

fn status(kept: &Kept) -> String {
    match kept.because.as_slice() {
        [] => kept.status.name().into(),
        // Their code is kept.
        because => format!("*{}:* {}", kept.status.name(), because.join("; ").replace('|', "\\|")),
    }
}

fn cases(InRole { role, judged, unjudged }: &InRole) -> String {
    let passed: Vec<_> = judged.iter().filter(|judged| is_kept(judged.default.verdict)).collect();
    let passed = if passed.is_empty() {
        judged.iter().filter(|judged| is_kept(judged.strict.verdict)).collect()
    } else {
        passed
    };
    match (passed.as_slice(), unjudged) {
        ([], Some(reason)) => format!("{role}: none, {}", escaped(reason)),
        ([], None) => format!("{role}: none"),
        (passed, _) => {
            let names = passed.iter().map(|judged| format!("`{}`", judged.case));
            format!("{role}: {}", first(names, CASES))
        }
    }
}

fn tests(row: &Row) -> String {
    match &row.untested {
        Some(reason) if row.shown.is_empty() => format!("none, {}", escaped(reason)),
        _ => first(row.shown.iter().map(|shown| format!("[`{}`]({})", shown.test, shown.file)), TESTS),
    }
}

/// The first of these, and the number of the others.
fn first(names: impl ExactSizeIterator<Item = String>, limit: usize) -> String {
    let others = names.len().saturating_sub(limit);
    let mut out = names.take(limit).collect::<Vec<_>>().join(", ");
    if others > 0 {
        _ = write!(out, " and {others} more");
    }
    out
}

/// Text without its meaning in Markdown.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if "\\|*_<>[]`".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        coverage::Shown,
        data::Requirement,
        judged::{Judged, Seen},
    };
    use amqp_conformance::{Role, Verdict};

    fn row(id: &str, status: Status, tests: usize, cases: usize) -> Row {
        let shown = |number| Shown { layer: 0, test: format!("a::t{number}"), file: "a.rs".into() };
        let seen = |verdict| Seen { verdict, reason: None };
        let judged = |number| Judged {
            case: format!("{id}/{number}"),
            role: Role::Server,
            default: seen(if number == 0 { Verdict::Fail } else { Verdict::Pass }),
            strict: seen(Verdict::Pass),
        };
        let role = |role, judged: Vec<_>| {
            let unjudged = judged.is_empty().then(|| "not seen".to_owned());
            InRole { role, judged, unjudged }
        };
        Row {
            kept: Kept {
                status,
                because: (status != Status::Default).then(|| "`x|y`: so".to_owned()).into_iter().collect(),
            },
            shown: (0..tests).map(shown).collect(),
            roles: vec![role(Role::Server, (0..cases).map(judged).collect()), role(Role::Client, vec![])],
            untested: (tests == 0).then(|| "no".to_owned()),
            ..Row::new(Requirement {
                id: id.into(),
                severity: "MUST".into(),
                applies_to: "both".into(),
                text: "a|b*".into(),
            })
        }
    }

    fn coverage() -> Coverage {
        let rows = vec![
            row("T-2.2-1", Status::Default, 6, 6),
            row("T-2.2-2", Status::Option, 1, 1),
            row("E-x-1", Status::Deviates, 0, 0),
        ];
        Coverage { rows, problems: vec![] }
    }

    #[test]
    fn rows_have_a_status_and_name_cases_and_tests_or_reasons() {
        let table = markdown(&coverage());
        for line in [
            "| T-2.2-1 | MUST | both | a\\|b\\* | by default | server: `T-2.2-1/1`, `T-2.2-1/2`, `T-2.2-1/3` and 2 more; client: none, not seen | [`a::t0`](a.rs), [`a::t1`](a.rs), [`a::t2`](a.rs), [`a::t3`](a.rs) and 2 more |",
            "| T-2.2-2 | MUST | both | a\\|b\\* | *by option:* `x\\|y`: so | server: `T-2.2-2/0`; client: none, not seen | [`a::t0`](a.rs) |",
            "| E-x-1 | MUST | both | a\\|b\\* | *deviates:* `x\\|y`: so | server: none, not seen; client: none, not seen | none, no |",
            "| Part 2: Transport | 2 | 1 | 1 | 0 | 0 |",
            "| all | 3 | 1 | 1 | 0 | 1 |",
        ] {
            assert!(table.lines().any(|there| there == line), "{line}\nis not in\n{table}");
        }
    }

    #[test]
    fn the_claim_counts_the_rows() {
        assert_eq!(
            claim(&coverage()),
            "Of the 3 requirements in [REQUIREMENTS.md](REQUIREMENTS.md), 1 are kept by default, 1 by an option and 0 \
             by helpers that an application calls; 1 deviate on purpose"
        );
    }

    #[test]
    fn open_rows_are_lines_with_tabs() {
        let mut coverage = coverage();
        coverage.rows[2].untested = None;
        coverage.rows[1].roles[1].unjudged = None;
        assert_eq!(open(&coverage), "T-2.2-2\tclient\tMUST\ta|b*\nE-x-1\ttest\tMUST\ta|b*\n");
    }
}
