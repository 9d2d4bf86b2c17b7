//! The program that asks Proton: built here, and talked to over its pipes.

use std::{
    io::{BufRead as _, BufReader, Read, Write},
    path::PathBuf,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio},
};

/// What Proton made of one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// How many octets it consumed; `None` if it refused.
    pub(crate) consumed: Option<usize>,
    /// The dump of what it holds.
    pub(crate) dump: Vec<u8>,
}

/// The running program.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    /// Where batches go.
    pub(crate) input: ChildStdin,
    /// Where answers come from.
    pub(crate) output: ChildStdout,
    /// Proton's version.
    pub(crate) version: String,
    /// Kept open: the program could not speak otherwise.
    _errors: BufReader<ChildStderr>,
    _directory: tempfile::TempDir,
}

/// Builds the program and starts it.
///
/// # Errors
///
/// A sentence that says what is missing.
pub(crate) fn start() -> Result<Peer, String> {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("proton.c");
    let directory = tempfile::tempdir().map_err(|error| format!("there is no temporary directory: {error}"))?;
    let program = directory.path().join("proton");
    let built = Command::new("cc")
        .args(["-O2", "-Wall", "-Wextra", "-o"])
        .arg(&program)
        .arg(&source)
        .arg("-lqpid-proton")
        .output()
        .map_err(|error| format!("the C compiler cc does not run: {error}"))?;
    if !built.status.success() {
        let text = String::from_utf8_lossy(&built.stderr);
        let first = text.lines().find(|line| line.contains("rror") || line.contains("cannot")).unwrap_or_default();
        return Err(format!("proton.c does not build, perhaps for want of libqpid-proton11-dev: {first}"));
    }
    let mut child = Command::new(&program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("the program built from proton.c does not start: {error}"))?;
    let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err("the program built from proton.c has no pipes".to_owned());
    };
    let mut errors = BufReader::new(errors);
    let mut version = String::new();
    errors.read_line(&mut version).map_err(|error| format!("the program built from proton.c is silent: {error}"))?;
    let version = version.trim().to_owned();
    Ok(Peer { child, input, output, version, _errors: errors, _directory: directory })
}

impl Peer {
    /// Takes the pipes apart, so that one thread can write while another reads.
    pub(crate) fn split(self) -> (ChildStdin, ChildStdout, Running) {
        let running = Running { child: self.child, _errors: self._errors, _directory: self._directory };
        (self.input, self.output, running)
    }
}

/// What must live as long as the program runs.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    _errors: BufReader<ChildStderr>,
    _directory: tempfile::TempDir,
}

impl Running {
    /// Waits for the program, whose input was closed.
    pub(crate) fn wait(mut self) -> Result<(), String> {
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("Proton ended badly: {status}")),
            Err(error) => Err(format!("Proton cannot be waited for: {error}")),
        }
    }
}

/// A batch of inputs as the program reads it; the mode is 0 for values and 1 for messages.
pub(crate) fn batch<'a>(
    mode: u8,
    inputs: impl ExactSizeIterator<Item = &'a [u8]>,
    to: &mut impl Write,
) -> std::io::Result<()> {
    let mut out = vec![0; 8];
    let count = wire(inputs.len());
    for input in inputs {
        out.push(mode);
        out.extend(wire(input.len()));
        out.extend_from_slice(input);
    }
    let length = wire(out.len() - 8);
    for (slot, octet) in out.iter_mut().zip(count.into_iter().chain(length)) {
        *slot = octet;
    }
    to.write_all(&out)?;
    to.flush()
}

fn wire(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}

/// The answers to a batch of `count` inputs.
pub(crate) fn answers(count: usize, from: &mut impl Read) -> std::io::Result<Vec<Answer>> {
    let mut head = [0; 4];
    from.read_exact(&mut head)?;
    let mut body = vec![0; u32::from_be_bytes(head) as usize];
    from.read_exact(&mut body)?;
    let mut rest = body.as_slice();
    let mut one = || {
        let (head, tail) = rest.split_first_chunk::<9>()?;
        let [verdict, consumed @ .., _, _, _, _] = *head;
        let [.., l0, l1, l2, l3] = *head;
        let (dump, tail) = tail.split_at_checked(u32::from_be_bytes([l0, l1, l2, l3]) as usize)?;
        rest = tail;
        let consumed = (verdict == 1).then_some(u32::from_be_bytes(consumed) as usize);
        Some(Answer { consumed, dump: dump.to_vec() })
    };
    let short = || std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "an answer is cut off");
    (0..count).map(|_| one().ok_or_else(short)).collect()
}
