//! Servers and clients that stop a tool which trusts them.

use super::{PASSES, code, path, text, tool};
use amqp_conformance::{
    Case, Check, Outcome, Report, Stop, Verdict,
    client::{ClientTarget, Progress, Scenario},
    run::Runner,
    server::{ServerTarget, ServerTrial, Sheet},
    wire::{Connection, Logs, Recorder},
};
use amqp1_codec::{
    definitions::{AmqpError, ErrorCondition},
    frame::ProtocolHeader,
    performative::{Close, Open, Performative, Transfer},
    sasl::{SaslCode, SaslInit},
};
use amqp1_script::{AmqpFrame, Got, Peer, Tcp, Unexpected, Written, frames};
use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Sender},
    },
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// What a server does besides agreeing to everything.
#[derive(Clone, Debug)]
enum Manner {
    /// It answers a begin by a close with this error.
    ClosesAtBegin(Option<ErrorCondition>),
    /// It answers an attach by a close with this error.
    ClosesAtAttach(ErrorCondition),
    /// It leaves a connection at an attach.
    LeavesAtAttach,
    /// It leaves, and accepts no connection any more.
    DiesAtBegin,
    /// It answers no flow, but sends empty frames.
    NeverDrains,
    /// It sends a settled message now and then.
    NeverEnds,
    /// It answers no close, but sends empty frames as fast as it can.
    FloodsAfterClose,
    /// It ends every connection when this file is there.
    RestartsAt(PathBuf),
    /// It never answers a header of another version, and tells that.
    HoldsOtherVersion(Sender<()>),
}

/// The interval at which the servers do something.
const INTERVAL: Duration = Duration::from_millis(100);

fn start(manner: Manner) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        let is_dead = Arc::new(AtomicBool::new(false));
        listener.set_nonblocking(true).expect("a socket");
        while !is_dead.load(Ordering::SeqCst) {
            let Ok((stream, _)) = listener.accept() else {
                thread::sleep(Duration::from_millis(2));
                continue;
            };
            let (manner, is_dead) = (manner.clone(), Arc::clone(&is_dead));
            thread::spawn(move || serve(stream, &manner, &is_dead));
        }
    });
    address
}

fn close(connection: &mut Connection, condition: Option<ErrorCondition>) {
    let error = condition.map(|condition| AmqpError::new(condition, "so it is"));
    connection.send(0, Close { error });
    connection.finish();
}

fn serve(stream: TcpStream, manner: &Manner, is_dead: &AtomicBool) -> Result<(), Unexpected> {
    let tcp = Tcp::new(stream).expect("a socket");
    let mut connection: Connection = Peer::new(Recorder::new(tcp, Logs::default().add()));
    connection.set_patience(Duration::from_secs(60));
    let mut header = connection.expect_any_header()?;
    if header == ProtocolHeader::SASL {
        connection.header(header);
        connection.sasl(frames::mechanisms(&["ANONYMOUS"]));
        connection.expect::<SaslInit>()?;
        connection.sasl(frames::outcome(SaslCode::Ok));
        header = connection.expect_any_header()?;
    }
    if let (Manner::HoldsOtherVersion(held), true) = (manner, header != ProtocolHeader::AMQP) {
        held.send(()).expect("the test waits");
        connection.next();
        return Ok(());
    }
    connection.header(ProtocolHeader::AMQP);
    if header != ProtocolHeader::AMQP {
        return Ok(());
    }
    let open = connection.expect::<Open>()?.body;
    connection.send(0, frames::open("hostile"));
    let (mut progress, mut next_id) = (Progress::default(), 0);
    loop {
        let got = connection.next_within(INTERVAL);
        let body = match &got {
            Got::Frame(AmqpFrame { body: Some(body), .. }) => Some(body),
            Got::Frame(_) | Got::Timeout { .. } => None,
            _ => return Ok(()),
        };
        match (manner, body) {
            (Manner::ClosesAtBegin(condition), Some(Performative::Begin(_))) => {
                close(&mut connection, condition.clone());
                return Ok(());
            }
            (Manner::ClosesAtAttach(condition), Some(Performative::Attach(_))) => {
                close(&mut connection, Some(condition.clone()));
                return Ok(());
            }
            (Manner::LeavesAtAttach, Some(Performative::Attach(_))) => return Ok(()),
            (Manner::DiesAtBegin, Some(Performative::Begin(_))) => {
                is_dead.store(true, Ordering::SeqCst);
                // The connection ends after the listener.
                thread::sleep(INTERVAL);
                return Ok(());
            }
            (Manner::NeverDrains, Some(Performative::Flow(_))) => {}
            (Manner::NeverDrains, None) => {
                connection.empty_frame(0);
            }
            (Manner::NeverEnds, None) => {
                let links: Vec<_> = progress.attached_links().cloned().collect();
                for link in links {
                    let transfer = Transfer { settled: Some(true), ..frames::transfer(link.handle, next_id) };
                    connection.send_with(link.channel, transfer, frames::message("one more"));
                    next_id += 1;
                }
            }
            (Manner::NeverEnds, Some(Performative::Flow(_))) => {}
            (Manner::FloodsAfterClose, Some(Performative::Close(_))) => {
                while connection.raw(frames::empty(0).repeat(1000)) == Written::All {}
                return Ok(());
            }
            (Manner::RestartsAt(file), None) if file.exists() => return Ok(()),
            (_, Some(Performative::Close(_))) => {
                close(&mut connection, None);
                return Ok(());
            }
            _ => progress.answer(&mut connection, &got, open.max_frame_size),
        }
    }
}

fn judged(manner: Manner, arguments: &[&str]) -> Output {
    let address = start(manner).to_string();
    tool(&[&["server", &address, "--node", "q", "--only", PASSES], arguments].concat())
}

/// The longest time that a run may take which would have no end. It is long, since machines are slow.
const ENDLESS: Duration = Duration::from_secs(120);

#[test]
fn a_server_that_is_never_silent_does_not_hold_a_run_up() {
    for manner in [Manner::NeverDrains, Manner::FloodsAfterClose] {
        let start = Instant::now();
        let output = judged(manner.clone(), &["--patience", "1"]);
        assert_eq!(code(&output), 0, "{manner:?}: {}{}", text(&output.stdout), text(&output.stderr));
        assert!(start.elapsed() < ENDLESS, "{manner:?}: {:?}", start.elapsed());
    }
}

#[test]
fn a_purge_is_bounded_in_time_and_says_what_it_has_done() {
    let start = Instant::now();
    let output = judged(Manner::NeverEnds, &["--purge", "--timeout", "1"]);
    let error = text(&output.stderr);
    assert_eq!(code(&output), 2, "{}{error}", text(&output.stdout));
    assert!(error.contains("messages were removed within") && error.contains("is not empty"), "{error}");
    assert!(start.elapsed() < ENDLESS, "{:?}", start.elapsed());
}

#[test]
fn a_peer_that_closes_is_told_from_a_node_that_cannot_be_used() {
    let node = Manner::ClosesAtAttach(ErrorCondition::NOT_FOUND);
    let peer = Manner::ClosesAtAttach(ErrorCondition::INTERNAL_ERROR);
    let closes = Manner::ClosesAtBegin(None);
    let refuses = Manner::ClosesAtBegin(Some(ErrorCondition::NOT_ALLOWED));
    let manners =
        [(node, 2), (peer, 3), (closes, 3), (refuses, 3), (Manner::LeavesAtAttach, 3), (Manner::DiesAtBegin, 4)];
    for purge in [&[][..], &["--purge"]] {
        for (manner, exit) in &manners {
            let output = judged(manner.clone(), purge);
            assert_eq!(code(&output), *exit, "{manner:?} {purge:?}: {}", text(&output.stderr));
        }
    }
}

fn restarted(manner: Manner, command: String, limit: Duration) -> Result<(), Stop> {
    let target = ServerTarget { restart: Some(command), ..ServerTarget::new(start(manner), "q") };
    let sheet = Sheet::default();
    ServerTrial::new(&target, &sheet, false).logging(Logs::within(limit)).restart()
}

fn reason(result: Result<(), Stop>) -> String {
    result.expect_err("it does not restart").into_outcome().reason
}

#[test]
fn a_restart_has_to_end_and_to_end_the_old_process() {
    let directory = TempDir::new().expect("a folder");
    let file = directory.path().join("restart");
    let manner = || Manner::RestartsAt(file.clone());
    let left_alone = reason(restarted(manner(), String::from("true"), ENDLESS));
    assert!(left_alone.contains("has to end the old process"), "{left_alone}");
    let start = Instant::now();
    let endless = reason(restarted(manner(), String::from("sleep 1000 & wait"), Duration::from_secs(2)));
    assert!(endless.contains("has not ended within"), "{endless}");
    assert!(start.elapsed() < ENDLESS, "{:?}", start.elapsed());
    restarted(manner(), format!("touch '{}'", file.display()), ENDLESS).unwrap_or_else(|stop| panic!("{stop:?}"));
}

/// A case that waits for a client.
static WAITS: Case = Case {
    id: "T-2.2-1/waits",
    check: Check::Client(Scenario::Send, |trial| trial.connected().map(|_| Outcome::pass())),
    ..Case::CLIENT
};

fn runner(target: ClientTarget, timeout: Duration) -> Runner {
    Runner::new(Arc::new(target.into()), Arc::new(Sheet::default()), false, timeout)
}

#[test]
fn a_case_that_is_not_over_leaves_its_port_free() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listen = listener.local_addr().expect("its address");
    drop(listener);
    let target = ClientTarget { listen, ..ClientTarget::new(["sleep", "1000"]) };
    let mut runner = runner(target, INTERVAL);
    for _ in 0..2 {
        let reason = runner.run(&WAITS).outcome.reason;
        assert!(reason.contains("did not connect within"), "{reason}");
    }
}

#[cfg(unix)]
mod processes {
    use super::*;
    use rustix::process::{Pid, Signal, kill_process, test_kill_process};
    use std::process::{Command, Stdio};

    #[test]
    fn a_crash_behind_a_shell_is_a_crash() {
        let verdict = |script: &str| {
            let target = ClientTarget::new(["sh", "-c", script]);
            runner(target, Duration::from_secs(60)).run(&WAITS).outcome.verdict
        };
        assert_eq!(verdict("kill -SEGV $$"), Verdict::Crashed);
        assert_eq!(verdict("sh -c 'kill -SEGV $$'; exit $?"), Verdict::Crashed);
        assert_eq!(verdict("exit 1"), Verdict::Unreachable);
        assert_eq!(verdict("exit 255"), Verdict::Unreachable);
    }

    /// A client that notes its child, and what it does after that.
    fn wrapper(pids: &std::path::Path, then: &str) -> String {
        format!("sleep 1000 & echo $! >> '{}'; {then}", pids.display())
    }

    /// The processes of this file.
    fn pids(file: &std::path::Path) -> Vec<i32> {
        let lines = fs::read_to_string(file).unwrap_or_default();
        lines.lines().map(|line| line.parse().expect("a number")).collect()
    }

    /// Whether a process runs. Where nothing reaps it, it is left as a zombie.
    fn runs(pid: i32) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let is_zombie = stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('Z'));
        !is_zombie && test_kill_process(Pid::from_raw(pid).expect("not 0")).is_ok()
    }

    fn have_ended(pids: &[i32]) -> bool {
        let start = Instant::now();
        while pids.iter().any(|pid| runs(*pid)) {
            if start.elapsed() > Duration::from_secs(30) {
                return false;
            }
            thread::sleep(INTERVAL);
        }
        true
    }

    #[test]
    fn children_of_a_client_end_with_its_case() {
        let directory = TempDir::new().expect("a folder");
        let file = directory.path().join("pids");
        let script = wrapper(&file, "exit 3");
        let output = tool(&["client", "--only", "T-2.2", "--", "sh", "-c", &script]);
        assert_eq!(code(&output), 3, "{}", text(&output.stderr));
        let pids = pids(&file);
        assert!(!pids.is_empty() && have_ended(&pids), "{pids:?}");
    }

    #[test]
    fn an_interrupt_ends_the_client_and_its_children() {
        let hang_up = if cfg!(target_os = "linux") { Signal::HUP } else { Signal::TERM };
        for signal in [Signal::INT, Signal::TERM, hang_up] {
            let directory = TempDir::new().expect("a folder");
            let (file, json) = (directory.path().join("pids"), directory.path().join("r.json"));
            let script = wrapper(&file, "wait");
            let mut command = Command::new(env!("CARGO_BIN_EXE_amqp-conformance"));
            command.args(["client", "--only", "T-2.2", "--json", path(&json), "--", "sh", "-c", &script]);
            let tool = command.stderr(Stdio::piped()).spawn().expect("the tool runs");
            while pids(&file).is_empty() {
                thread::sleep(INTERVAL);
            }
            kill_process(Pid::from_child(&tool), signal).expect("it runs");
            let output = tool.wait_with_output().expect("it ends");
            assert_eq!(code(&output), 130, "{}", text(&output.stderr));
            assert!(text(&output.stderr).contains("interrupted before a case was judged"), "{}", text(&output.stderr));
            assert!(have_ended(&pids(&file)));
            assert!(!json.exists(), "no case was judged");
        }
    }

    #[test]
    fn an_interrupted_run_reports_what_it_has_judged() {
        const HELD: &str = "T-2.2-5/1-0-1";
        let directory = TempDir::new().expect("a folder");
        let json = directory.path().join("r.json");
        let (held, is_held) = mpsc::channel();
        let address = start(Manner::HoldsOtherVersion(held)).to_string();
        let only = format!("{PASSES},{HELD}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_amqp-conformance"));
        command.args(["server", &address, "--node", "q", "--only", &only, "--json", path(&json), "--timeout", "600"]);
        let tool = command.args(["--patience", "100"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let tool = tool.spawn().expect("the tool runs");
        is_held.recv_timeout(ENDLESS).expect("the case runs");
        kill_process(Pid::from_child(&tool), Signal::INT).expect("it runs");
        let output = tool.wait_with_output().expect("it ends");
        assert_eq!(code(&output), 130, "{}{}", text(&output.stdout), text(&output.stderr));
        let report = Report::from_json(&fs::read(&json).expect("it was written")).expect("it is a report");
        assert!(report.interrupted && text(&output.stderr).contains("the run was interrupted"));
        let outcome = |id| report.cases.iter().find(|case| case.id == id).map(|case| case.outcome.clone());
        assert_eq!(outcome(PASSES).map(|outcome| outcome.verdict), Some(Verdict::Pass));
        assert_eq!(outcome(HELD), Some(Outcome::new(Verdict::Unreachable, "the run was interrupted")));
    }
}
