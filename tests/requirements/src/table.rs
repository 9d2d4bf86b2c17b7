//! The table as Markdown, and what is open as lines for another program.

use std::fmt::Write;

use crate::coverage::{Coverage, Row, Shown};

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
const NAMED: usize = 4;

const INTRODUCTION: &str = "\
# Requirements

Every requirement of AMQP 1.0 (OASIS Standard, parts 1 to 5) that the behaviour of a program can keep or break, some
that any program on a network must keep (*robustness*), and a few of the extensions; and the tests of this repository
that show them, those nearest to the octets first. This file is written by `cargo run -p amqp1-requirements` from
[the requirements](tests/requirements/requirements.tsv), [the exemptions](tests/requirements/exemptions.tsv),
[the deviations](tests/requirements/deviations.tsv) and the tests, which carry the ids in their names or comments;
`cargo test -p amqp1-requirements` fails when it is stale.

An id is the part's letter (Y types, T transport, M messaging, X transactions, S security, E extensions), the section
of the specification, and a number. *Exempt* is what a library cannot show, with the reason. *Deviates* is what is done
otherwise by default, with the reason. *Open* is what no test shows yet:
`cargo run -p amqp1-requirements -- --open` lists it.

How binding it is:

| severity | means |
|---|---|
| MUST, MUST NOT | the specification demands it; *(derived)* where that follows from several of its sentences |
| SHOULD, SHOULD NOT, RECOMMENDED | the specification wants it unless there is a good reason |
| MAY | the specification allows it: a peer has to live with it |
| *(robustness)* | not in the specification: what any program must keep that listens to strangers |

Whom it binds:

| applies to | means |
|---|---|
| codec | whoever writes or reads octets |
| engine | whoever keeps the state of connections, sessions and links |
| both | both peers, whichever of the pairs below they are: the tests `amqp1_engine::behaviour` are run a second time with the engines of client and server in each other's place |
| client, server; initiator, responder | who makes the connection, and who takes it |
| sender, receiver | the ends of a link |
| source, target | the nodes, or what stands for them, at the ends of a link |
| node, broker, intermediary | what keeps messages, or passes them on |
| controller, resource, coordinator | who has transactions done, whose messages are in them, and who keeps account |

\"and 3 more\" says that so many more tests show it than are named; the program knows them all.

";

/// The whole file.
pub fn markdown(coverage: &Coverage) -> String {
    let mut out = String::from(INTRODUCTION);
    out.push_str("| part | requirements | shown | exempt | open |\n|---|---:|---:|---:|---:|\n");
    for (letter, title) in PARTS {
        counts(&mut out, title, coverage.rows.iter().filter(|row| row.requirement.id.starts_with(letter)));
    }
    counts(&mut out, "all", coverage.rows.iter());
    for (letter, title) in PARTS {
        let _ = write!(
            out,
            "\n## {title}\n\n| id | severity | applies to | requirement | shown by |\n|---|---|---|---|---|\n"
        );
        for row in coverage.rows.iter().filter(|row| row.requirement.id.starts_with(letter)) {
            let requirement = &row.requirement;
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} |",
                requirement.id,
                escaped(&requirement.severity),
                escaped(&requirement.applies_to),
                escaped(&requirement.text),
                proof(row)
            );
        }
    }
    out
}

/// What is open: the id, the severity, whose duty it is, and the requirement, separated by tabs.
pub fn open(coverage: &Coverage) -> String {
    let mut out = String::new();
    for requirement in coverage.open().map(|row| &row.requirement) {
        let columns = [&requirement.id, &requirement.severity, &requirement.applies_to, &requirement.text];
        let _ = writeln!(out, "{}", columns.map(String::as_str).join("\t"));
    }
    out
}

/// A line with how many rows there are, and how many of each kind.
fn counts<'a>(out: &mut String, title: &str, rows: impl Iterator<Item = &'a Row>) {
    let (mut all, mut shown, mut exempt, mut open) = (0, 0, 0, 0);
    for row in rows {
        all += 1;
        let kind = match (&row.exempt, row.is_open()) {
            (Some(_), _) => &mut exempt,
            (None, true) => &mut open,
            (None, false) => &mut shown,
        };
        *kind += 1;
    }
    let _ = writeln!(out, "| {title} | {all} | {shown} | {exempt} | {open} |");
}

fn proof(row: &Row) -> String {
    if let Some(reason) = &row.exempt {
        return format!("*exempt:* {}", escaped(reason));
    }
    if row.is_open() {
        return "*open*".into();
    }
    let link = |shown: &Shown| format!("[`{}`]({})", shown.test, shown.file);
    let mut out = row.shown.iter().take(NAMED).map(link).collect::<Vec<_>>().join(", ");
    if row.shown.len() > NAMED {
        let _ = write!(out, " and {} more", row.shown.len() - NAMED);
    }
    if let Some(deviation) = &row.deviation {
        // Its code is kept.
        let _ = write!(out, "; *deviates:* {deviation}");
    }
    out
}

/// Text as it reads, whatever Markdown would make of it.
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
    use crate::data::Requirement;

    fn row(id: &str, tests: usize, exempt: Option<&str>) -> Row {
        let shown = |number| Shown { layer: 0, test: format!("a::t{number}"), file: "a.rs".into() };
        Row {
            requirement: Requirement {
                id: id.into(),
                severity: "MUST".into(),
                applies_to: "both".into(),
                text: "a|b*".into(),
            },
            shown: (0..tests).map(shown).collect(),
            exempt: exempt.map(str::to_owned),
            deviation: (id == "T-2.2-2").then(|| "does `less`".to_owned()),
        }
    }

    fn coverage() -> Coverage {
        let rows = vec![
            row("T-2.2-1", 6, None),
            row("T-2.2-2", 1, None),
            row("T-2.2-3", 0, None),
            row("E-x-1", 0, Some("no")),
        ];
        Coverage { rows, problems: vec![] }
    }

    #[test]
    fn rows_name_four_tests_a_reason_or_nothing() {
        let table = markdown(&coverage());
        for line in [
            "| T-2.2-1 | MUST | both | a\\|b\\* | [`a::t0`](a.rs), [`a::t1`](a.rs), [`a::t2`](a.rs), [`a::t3`](a.rs) and 2 more |",
            "| T-2.2-2 | MUST | both | a\\|b\\* | [`a::t0`](a.rs); *deviates:* does `less` |",
            "| T-2.2-3 | MUST | both | a\\|b\\* | *open* |",
            "| E-x-1 | MUST | both | a\\|b\\* | *exempt:* no |",
            "| Part 2: Transport | 3 | 2 | 0 | 1 |",
            "| all | 4 | 2 | 1 | 1 |",
        ] {
            assert!(table.lines().any(|there| there == line), "{line}\nis not in\n{table}");
        }
    }

    #[test]
    fn open_rows_are_lines_with_tabs() {
        assert_eq!(open(&coverage()), "T-2.2-3\tMUST\tboth\ta|b*\n");
    }
}
