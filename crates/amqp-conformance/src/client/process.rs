//! The process of a driver, and the end of what it writes to its standard error.

use crate::{group::Group, report::one_line, wire::Logs};
use std::{
    collections::VecDeque,
    io::{self, Read},
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// The number of octets that are kept.
const KEPT: usize = 2048;
/// The time that the standard error of a process that has ended may take to be read. Another process may hold it open.
const READING: Duration = Duration::from_millis(500);

/// A process, which is killed with all that it has started when it is dropped.
#[derive(Debug)]
pub(super) struct Driver {
    group: Arc<Group>,
    said: Arc<Said>,
}

/// The end of what a process has written.
#[derive(Debug, Default)]
struct Said {
    tail: Mutex<Tail>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Tail {
    octets: VecDeque<u8>,
    is_cut: bool,
    has_ended: bool,
}

impl Driver {
    /// Starts the command for the case that has these logs. Its standard error is read by a thread until it is closed, so
    /// that the process never waits.
    pub(super) fn start(command: &mut Command, logs: &Logs) -> io::Result<Self> {
        let (group, stderr) = Group::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()))?;
        logs.add_group(&group);
        let said = Arc::new(Said::default());
        if let Some(stderr) = stderr {
            let said = Arc::clone(&said);
            thread::Builder::new().name(String::from("stderr")).spawn(move || said.read(stderr))?;
        }
        Ok(Self { group, said })
    }

    /// The exit status, if it has ended.
    pub(super) fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        self.group.try_wait()
    }

    /// The exit status, if it ends within this time.
    pub(super) fn wait(&self, within: Duration) -> io::Result<Option<ExitStatus>> {
        self.group.wait(within)
    }

    /// The last lines of its standard error, in one line without control characters; empty if there are none. It is
    /// waited for the end of them if the process has ended.
    pub(super) fn last_words(&self) -> String {
        let has_ended = matches!(self.try_wait(), Ok(Some(_)));
        self.said.text(if has_ended { READING } else { Duration::ZERO })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.group.end();
    }
}

impl Said {
    fn read(&self, mut from: impl Read) {
        let mut octets = [0; 4096];
        loop {
            match from.read(&mut octets) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(count) => self.tail.lock().unwrap_or_else(PoisonError::into_inner).add(octets.iter().take(count)),
            }
        }
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).has_ended = true;
        self.ended.notify_all();
    }

    fn text(&self, patience: Duration) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ended.wait_timeout_while(tail, patience, |tail| !tail.has_ended);
        let (tail, _) = waited.unwrap_or_else(PoisonError::into_inner);
        tail.text()
    }
}

impl Tail {
    fn add<'a>(&mut self, octets: impl IntoIterator<Item = &'a u8>) {
        self.octets.extend(octets);
        let surplus = self.octets.len().saturating_sub(KEPT);
        self.is_cut |= surplus > 0;
        self.octets.drain(..surplus);
    }

    fn text(&self) -> String {
        let octets: Vec<u8> = self.octets.iter().copied().collect();
        let text = String::from_utf8_lossy(&octets);
        // The first line may be half a line.
        let text = match text.split_once('\n') {
            Some((_, rest)) if self.is_cut => String::from(rest),
            // The masking of secrets looks for the end of a secret after these dots.
            None if self.is_cut => format!("…{}", text.trim_start_matches('\u{fffd}')),
            _ => text.into_owned(),
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        one_line(&lines.collect::<Vec<_>>().join(" | ").replace('\t', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_in_one_line_without_control_characters() {
        let mut tail = Tail::default();
        tail.add(b"Traceback:\n\n\tfile \x1b[31mx\x07\r\nError\xff\n");
        assert_eq!(tail.text(), "Traceback: | file \\u{1b}[31mx\\u{7} | Error\u{fffd}");
        tail.add("\u{202e}turned".as_bytes());
        assert!(tail.text().ends_with(" | \\u{202e}turned"), "{}", tail.text());
    }

    #[test]
    fn more_than_is_kept_is_cut_at_a_line() {
        let mut tail = Tail::default();
        for number in 0..1000 {
            tail.add(format!("line {number:04}\n").as_bytes());
        }
        assert_eq!(tail.octets.len(), KEPT);
        let text = tail.text();
        assert!(text.starts_with("line ") && text.ends_with("line 0999"), "{text}");
        let mut endless = Tail::default();
        endless.add(&[b'x'; KEPT + 1]);
        assert_eq!(endless.text(), format!("…{}", "x".repeat(KEPT)), "one long line is not lost");
    }

    #[cfg(unix)]
    #[test]
    fn a_process_that_writes_more_than_a_pipe_holds_ends() {
        let mut command = Command::new("sh");
        command.args(["-c", "head -c 1000000 /dev/zero | tr '\\0' '\\n' >&2; echo the end >&2; exit 3"]);
        let driver = Driver::start(&mut command, &Logs::default()).expect("it starts");
        let status = driver.wait(Duration::from_secs(60)).expect("the system says").expect("it ends");
        assert_eq!(status.code(), Some(3));
        driver.said.text(Duration::from_secs(60));
        assert_eq!(driver.last_words(), "the end");
    }
}
