use super::{golden, *};
use crate::{
    case::{Case, Severity},
    client::ClientTarget,
    run::Selection,
    server::ServerTarget,
    verdict::Outcome,
    wire::Entry,
};

/// A peer that says in each of its texts what would harm a page.
const HOSTILE: &str = "<script>alert('x')</script>\"&\u{1b}[2J";

fn result(id: &'static str, outcome: Outcome) -> CaseResult {
    let case = Case { id, rule: "Each peer opens (§2.4.1).", sends: "an open", wants: "an open", ..Case::SERVER };
    let entry = |direction: &str, text: &str, hex: &str| Entry {
        at_us: 1500,
        direction: String::from(direction),
        text: String::from(text),
        hex: String::from(hex),
    };
    CaseResult {
        took_us: 2_000_001,
        severity: Severity::Must,
        wire: vec![vec![entry("sent", "header AMQP", "414d515000010000"), entry("received", HOSTILE, "00")]],
        ..CaseResult::without_run(&case, outcome)
    }
}

fn report(name: &str) -> Report {
    let target = ServerTarget::new(([127, 0, 0, 1], 5672).into(), "q");
    let sheet = Sheet { product: Some(String::from(name)), version: Some(String::from("1")), ..Sheet::default() };
    let expectations: Expectations = "[[expected]]\ncase = 'T-2.4.1-3'\nreason = 'known & <harmless>'\n\
                                      link = 'javascript:alert(1)'\n[[expected]]\ncase = 'T-2.2-1'\nreason = 'was so'\n"
        .parse()
        .expect("it is well formed");
    let mut results = vec![
        result("T-2.2-1", Outcome::pass()),
        result("T-2.4.1-1", Outcome::fail(HOSTILE)),
        result("T-2.4.1-2/x", Outcome::skip("not offered")),
        result("T-2.4.1-3", Outcome::fail("known")),
        result("T-2.4.1-4", Outcome::new(Verdict::Crashed, "gone")),
        result("S-5.3-1", Outcome::warn("no")),
    ];
    let stale = expectations.apply(&mut results);
    let report = Report::new(&target.into(), &sheet, &Options::default(), results, stale);
    Report { tool: String::from("0.0.0"), ..report }
}

#[test]
fn json_is_read_back_as_it_was_written() {
    let report = report("Peer");
    let json = serde_json::to_string_pretty(&report).expect("a report is JSON");
    golden("report.json", &(json.clone() + "\n"));
    let read = Report::from_json(json.as_bytes()).expect("it is a report");
    assert_eq!(serde_json::to_string_pretty(&read).expect("a report is JSON"), json);
}

#[test]
fn json_of_another_schema_is_refused() {
    let error = Report::from_json(br#"{"schema":99}"#).expect_err("the schema is not known");
    assert_eq!(error.to_string(), "its schema is 99, and this version of the tool reads schema 1");
    assert!(matches!(Report::from_json(b"[]"), Err(ReportError::Json(_))));
}

#[test]
fn junit_tells_failures_from_what_was_not_judged() {
    let report = report("Peer");
    let xml = Junit::new(&report, FailOn::Fail).to_string();
    golden("report.xml", &xml);
    assert!(xml.contains("tests=\"6\" failures=\"2\" errors=\"0\" skipped=\"2\""), "{xml}");
}

#[test]
fn the_page_is_self_contained_and_shows_peers_side_by_side() {
    let mut client = report("Client");
    client.peer.role = Role::Client;
    let page = Html::new(&[report("One"), report("Two"), client]).to_string();
    golden("report.html", &page);
    assert!(page.contains("<th>One 1</th><th>Two 1</th></tr>"), "{page}");
    assert!(page.contains("href=\"#w1-T-2.4.1-2_x\"") && page.contains("id=\"w1-T-2.4.1-2_x\""), "{page}");
    for outside in ["<script", "src=", "url(", "@import", "<link", "href=\"http", "href=\"javascript"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn a_table_in_markdown_has_a_line_for_each_peer() {
    let mut other = report("A|B");
    other.peer.role = Role::Client;
    golden("report.md", &Markdown::new(&[report("One"), report("Two"), other]).to_string());
}

#[test]
fn the_tree_shows_what_does_not_pass_and_cannot_move_the_cursor() {
    let text = Terminal::new(&report("Peer"), false, false).to_string();
    golden("tree.txt", &text);
    assert!(!text.contains('\u{1b}'));
    assert!(Terminal::new(&report("Peer"), true, true).to_string().contains("\u{1b}[31m"));
}

#[test]
fn a_crash_is_withheld_and_counted() {
    let mut report = report("Peer");
    report.withhold();
    assert_eq!((report.withheld, report.count(Verdict::Crashed)), (1, 0));
    assert!(!report.cases.iter().any(|case| case.id == "T-2.4.1-4"));
}

#[test]
fn a_baseline_leaves_what_was_so_before() {
    let (old, mut new) = (report("Old"), report("New"));
    assert_eq!(Changes::between(&old, &new).to_string(), "  nothing has changed\n");
    new.cases[0].outcome = Outcome::fail("it has forgotten");
    new.cases[1].outcome = Outcome::pass();
    new.cases.remove(2);
    new.cases.push(result("T-2.5.1-1", Outcome::pass()));
    let changes = Changes::between(&old, &new);
    golden("changes.txt", &changes.to_string());
    let worse: Vec<&str> = changes.worse(FailOn::Fail).map(|case| case.id.as_str()).collect();
    assert_eq!(worse, ["T-2.2-1"], "what failed before is not counted again");
}

#[test]
fn a_case_that_is_not_selected_is_not_gone() {
    let (old, mut new) = (report("Old"), report("New"));
    new.cases.truncate(1);
    let only = vec!["T-2.2".parse().expect("a selector")];
    let selection = Selection { only, ..Selection::default() };
    assert_eq!(Changes::between(&old, &new).within(&selection).to_string(), "  nothing has changed\n");
    let all = Changes::between(&old, &new).within(&Selection::default()).to_string();
    assert_eq!(all.matches("→ gone").count(), 5, "{all}");
}

#[test]
fn a_client_is_named_by_its_command() {
    let target = ClientTarget::new(["node", "driver.js"]);
    let report = Report::new(&target.into(), &Sheet::default(), &Options::default(), Vec::new(), Vec::new());
    assert_eq!(report.peer.name, "node driver.js");
}
