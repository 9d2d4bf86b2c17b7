use super::{golden, *};
use crate::{
    case::{Case, Severity},
    client::ClientTarget,
    run::Selection,
    server::{Login, ServerTarget},
    transport::{ClientTls, Layers},
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

/// The report of a server that says this in each of its texts, in every form of report. `login` and `layers` are the
/// tool's.
fn everywhere(text: &str, login: Login, layers: Layers) -> (Report, Vec<(&'static str, String)>) {
    let target = ServerTarget { layers, ..ServerTarget::new(([127, 0, 0, 1], 5672).into(), "q") }.with_login(login);
    let texts = || vec![String::from(text)];
    let sheet = Sheet {
        product: Some(text.into()),
        version: Some(text.into()),
        container_id: text.into(),
        capabilities: texts(),
        mechanisms: texts(),
        sender_settle_modes: texts(),
        receiver_settle_modes: texts(),
        filters: texts(),
        durability: Some(text.into()),
        scenarios: texts(),
        ..Sheet::default()
    };
    let mut known = result("T-2.2-2", Outcome::fail(text));
    known.expected = Some(Expected { reason: text.into(), link: Some(text.into()) });
    let mut results = vec![result("T-2.2-1", Outcome::fail(text)), known, result("T-2.2-3", Outcome::info(text))];
    let hex: String = text.bytes().map(|octet| format!("{octet:02x}")).collect();
    for entry in results.iter_mut().flat_map(|case| case.wire.iter_mut().flatten()) {
        (entry.text, entry.hex) = (text.into(), hex.clone());
    }
    let target = target.into();
    let report = Report::new(&target, &sheet, &Options::default(), results, texts());
    let reports = std::slice::from_ref(&report);
    let written = vec![
        ("json", serde_json::to_string_pretty(&report).expect("a report is JSON")),
        ("junit", Junit::new(&report, FailOn::Fail).to_string()),
        ("html", Html::new(reports).to_string()),
        ("markdown", Markdown::new(reports).to_string()),
        ("terminal", Terminal::new(&report, false, true).to_string()),
        ("changes", Changes::between(&Report { cases: Vec::new(), ..report.clone() }, &report).to_string()),
        ("text", report.to_string()),
        ("sheet", report.sheet.to_string()),
    ];
    (report, written)
}

#[test]
fn a_password_that_the_peer_repeats_is_in_no_report() {
    for password in ["open-sesame", "op\"e'n&\\<\u{7}>|`"] {
        let login = Login::Plain { user: String::from("me"), password: String::from(password) };
        let hex: String = password.bytes().map(|octet| format!("{octet:02x}")).collect();
        for spelled in [String::from(password), format!("{password:?}"), hex.clone()] {
            let (_, written) = everywhere(&spelled, login.clone(), Layers::default());
            for (name, text) in written {
                assert!(
                    !text.contains("op\"e'n") && !text.contains("sesame") && !text.contains("n&"),
                    "{name}: {text}"
                );
                assert!(!text.contains("&#39;n") && !text.contains(&hex), "{name}: {text}");
            }
        }
    }
}

#[test]
fn a_secret_in_the_command_of_a_client_is_in_no_report() {
    let command = ["driver", "--password", "sesame", "TOKEN=simsim", "amqp://me:samesi@h"];
    let sheet = Sheet { product: Some(String::from("with simsim")), ..Sheet::default() };
    let results = vec![result("T-2.2-1", Outcome::fail("the standard error ends with: samesi, sesame"))];
    let report = Report::new(&ClientTarget::new(command).into(), &sheet, &Options::default(), results, Vec::new());
    assert_eq!(report.peer.address, "driver --password … TOKEN=… amqp://…@h");
    assert_eq!((report.peer.name.as_str(), report.sheet.product.as_deref()), ("with …", Some("with …")));
    assert_eq!(report.cases[0].outcome.reason, "the standard error ends with: …, …");
}

#[test]
fn a_text_of_the_peer_neither_breaks_a_line_nor_turns_it_nor_commands_a_ci_service() {
    for text in ["::set-output name=a::b", "x\n::error::y", "\u{202e}z\r\u{9b}2J", "##vso[task.x]", "##[error]x"] {
        let (report, written) = everywhere(text, Login::Anonymous, Layers::default());
        assert_eq!(report.sheet.product.as_deref(), Some(one_line(text).as_str()));
        for (name, text) in written {
            let is_unseen = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202e}');
            assert!(!text.contains(is_unseen) && !text.contains("##vso") && !text.contains("##["), "{name}: {text}");
            assert!(!text.lines().any(|line| line.trim_start().starts_with("::")), "{name}: {text}");
        }
    }
}

#[test]
fn a_report_that_others_have_made_is_read_as_lines_and_counted_again() {
    let (report, _) = everywhere("x", Login::Anonymous, Layers::default());
    let json = serde_json::to_string(&report).expect("a report is JSON");
    let json = json.replace("\"sent\"", "\"\\u202e<sent>\"").replace("T-2.2-3", "::T\\n-2.2-3");
    let json = json.replace("\"summary\":{\"info\":1,\"fail\":2}", &format!("\"summary\":{{\"pass\":{}}}", usize::MAX));
    let read = Report::from_json(json.as_bytes()).expect("it is a report");
    assert_eq!(read.cases[2].id, "\\u{3a}:T\\n-2.2-3");
    assert_eq!(read.cases[0].wire[0][0].direction, "\\u{202e}<sent>");
    assert_eq!((read.count(Verdict::Pass), read.count(Verdict::Fail)), (0, 2));
    let xml = Junit::new(&read, FailOn::Fail).to_string();
    assert!(!xml.contains("<sent>"), "{xml}");
}

#[test]
fn every_report_says_that_a_certificate_was_not_verified() {
    let layers = Layers { tls: Some(ClientTls::insecure().expect("it can be set up")), web_socket: None };
    let (_, written) = everywhere("x", Login::Anonymous, layers);
    for (name, text) in written.iter().filter(|(name, _)| !matches!(*name, "changes" | "sheet")) {
        assert!(text.contains("certificate not verified"), "{name}: {text}");
    }
    let (_, written) = everywhere("x", Login::Anonymous, Layers::default());
    assert!(!written.iter().any(|(_, text)| text.contains("not verified")));
}

#[test]
fn a_page_does_not_grow_with_the_name_of_the_peer() {
    let mut peer = report("Peer");
    let length = Html::new(std::slice::from_ref(&peer)).to_string().len();
    peer.peer.name = "ä".repeat(100_000);
    assert_eq!(peer.peer.title(), "ä".repeat(200) + "…");
    let page = Html::new(&[peer]).to_string();
    assert!(page.len() < length + 10_000, "{} after {length}", page.len());
}

#[test]
fn a_peer_cannot_write_markdown() {
    let mut other = report("Peer");
    other.peer.name = String::from("a|b [c](https://d) `e` <img> www.f");
    let table = Markdown::new(&[other]).to_string();
    let row = table.lines().nth(2).expect("the line of the peer");
    assert_eq!(row.matches('|').count(), table.lines().next().expect("the head").matches('|').count());
    for markup in ["[c]", "](", "`", "<img", "https:", "www."] {
        assert!(!row.contains(markup), "{markup} is in {row}");
    }
}

#[test]
fn columns_without_a_result_are_one_cell() {
    let (mut one, mut two, mut three) = (report("One"), report("Two"), report("Three"));
    one.cases.truncate(1);
    two.cases.truncate(0);
    three.cases.remove(0);
    let page = Html::new(&[one, two, three]).to_string();
    assert!(page.contains("pass</a></td><td colspan=\"2\"></td></tr>"), "{page}");
    assert!(page.contains("</td><td colspan=\"2\"></td><td class=\"warn\">"), "{page}");
}

/// A page that grows with the square of the number of reports has a hundred million cells here.
#[test]
fn many_reports_of_different_cases_become_a_page_in_no_time() {
    const COUNT: usize = 1000;
    let case = |number: usize| CaseResult { id: format!("T-2.2-{number}"), ..result("T-2.2-1", Outcome::pass()) };
    let reports: Vec<Report> = (0..COUNT)
        .map(|number| Report { cases: (0..10).map(|index| case(number * 10 + index)).collect(), ..report("Peer") })
        .collect();
    let page = Html::new(&reports).to_string();
    assert!(page.len() < 20_000_000, "{}", page.len());
}
