//! What a command ends with when it cannot do what it was asked.

use iothub::ErrorKind;
use std::{fmt, process::ExitCode};

/// One plain sentence for the person, and the exit code for the script.
#[derive(Debug)]
pub(crate) struct Failure {
    sentence: String,
    code: u8,
    kind: Option<ErrorKind>,
}

impl Failure {
    /// Exit code 1: it did not work.
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), code: 1, kind: None }
    }

    /// Exit code 2: what was asked for makes no sense.
    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), code: 2, kind: None }
    }

    /// Adds which option helps where the way to the hub is wrong. `https` is whether the command uses HTTPS.
    pub(crate) fn with_option(mut self, https: bool) -> Self {
        match self.kind {
            // Another port does not help a host name that has no address.
            Some(ErrorKind::Connect) if https && self.sentence.contains("does not resolve") => {}
            Some(ErrorKind::Connect) if https => {
                self.sentence.push_str("; give the hub's port for HTTPS with --https-port")
            }
            Some(_)
                if self.sentence.contains("does not speak TLS") || self.sentence.contains("this port speaks HTTP") =>
            {
                self.sentence.push_str(match https {
                    true => "; give the hub's port for HTTPS with --https-port",
                    false => "; give the hub's port for AMQP with TLS in the connection string, as HostName=HOST:PORT",
                });
            }
            Some(ErrorKind::Tls) if self.sentence.contains("authority that is not trusted") => {
                self.sentence.push_str("; give the hub's certificate authority with --ca");
            }
            _ => {}
        }
        self
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<iothub::Error> for Failure {
    fn from(error: iothub::Error) -> Self {
        let kind = error.kind();
        // What the README calls a request that makes no sense.
        let code = if matches!(kind, ErrorKind::InvalidArgument | ErrorKind::InvalidConnectionString) { 2 } else { 1 };
        Self { sentence: error.to_string(), code, kind: Some(kind) }
    }
}
