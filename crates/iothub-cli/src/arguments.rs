//! Reading the command line without showing what it may hold: keys, tokens and connection strings.

use crate::{cli::Cli, failure::Failure};
use clap::{
    CommandFactory, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};
use std::{convert::Infallible, ffi::OsString, fmt, str::FromStr};

/// A value that is shown nowhere.
#[derive(Clone)]
pub(crate) struct Hidden(String);

impl Hidden {
    /// The value. Pass it on; do not print it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Hidden {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hidden>")
    }
}

/// What stands in an error for what was given.
const NOT_SHOWN: &str = "<not shown>";

/// The longest argument that is repeated in an error: shorter than any key.
const SHOWN: usize = 12;

/// Reads the command line. Help and the version end the program here; so do mistakes, in one go with what is wrong.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Failure> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match Cli::try_parse_from(&arguments) {
        Ok(cli) => Ok(cli),
        Err(error) if is_help(error.kind()) => error.exit(),
        Err(error) => Err(Failure::usage(scrubbed(error, &arguments))),
    }
}

fn is_help(kind: ErrorKind) -> bool {
    let help = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) || kind == help
}

/// The text of a mistake. What was given stands there only if it cannot be a secret: clap repeats a value, an argument
/// that it does not expect, and a command that it does not know, and proposes to quote them.
fn scrubbed(mut error: clap::Error, arguments: &[OsString]) -> String {
    let is_suggested = error.get(ContextKind::SuggestedSubcommand).is_some();
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidValue, ContextKind::InvalidSubcommand] {
        let Some(ContextValue::String(text)) = error.get(kind) else { continue };
        // Some stand there with the name of their value: `--policy <NAME=BASE64KEY>`.
        let option = text.split(' ').next().unwrap_or_default();
        let is_option = kind == ContextKind::InvalidArg && option.starts_with('-') && !option.contains('=');
        let is_word = kind == ContextKind::InvalidValue && is_short(text);
        let is_command = kind == ContextKind::InvalidSubcommand && is_suggested && is_short(text);
        if !(is_option || is_word || is_command) {
            error.insert(kind, ContextValue::String(NOT_SHOWN.to_owned()));
            error.remove(ContextKind::Suggested);
        }
    }
    let mut text = error.render().to_string();
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(tip) = known_subcommands(arguments)
    {
        text = text.replacen("\n\nUsage:", &format!("\n\n  tip: {tip}\n\nUsage:"), 1);
    }
    // Whatever else it may repeat.
    for argument in arguments.iter().skip(1) {
        let argument = argument.to_string_lossy();
        let value = argument.split_once('=').map(|(_, value)| value);
        for piece in [Some(&*argument), value].into_iter().flatten() {
            if !is_short(piece) && (piece.contains('=') || !piece.starts_with("--")) {
                text = text.replace(piece, NOT_SHOWN);
            }
        }
    }
    let text = text.trim_end();
    text.strip_prefix("error: ").unwrap_or(text).to_owned()
}

/// Which subcommands there are where an unknown one was given. Only names of commands are repeated.
fn known_subcommands(arguments: &[OsString]) -> Option<String> {
    let mut command = Cli::command();
    let mut path = command.get_name().to_owned();
    for argument in arguments.iter().skip(1) {
        let Some(next) = argument.to_str().and_then(|name| command.find_subcommand(name)) else { break };
        let next = next.clone();
        path = format!("{path} {}", next.get_name());
        command = next;
    }
    let names: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
    (!names.is_empty()).then(|| format!("the subcommands of `{path}` are {}", names.join(", ")))
}

/// Whether a text is too short and too plain to be a secret.
fn is_short(text: &str) -> bool {
    text.len() < SHOWN && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "c2VjcmV0IGtleSBmb3IgYSB0ZXN0IQ==";
    const SHORT: &str = "aGk=";

    fn refused(arguments: &[&str]) -> String {
        let arguments = ["iothub"].iter().chain(arguments).map(OsString::from);
        let error = parse(arguments).expect_err("a mistake");
        format!("{error} {error:?}")
    }

    #[test]
    fn no_mistake_on_the_command_line_repeats_a_key() {
        for key in [KEY, SHORT, "HostName=h;SharedAccessKey=geheim", "SharedAccessSignature sr=h&sig=geheim&se=1"] {
            let joined = |option: &str| format!("{option}={key}");
            let dashes = format!("--{key}");
            for arguments in [
                &[key][..],
                &["emulator", key],
                &["emulator", "--policy", key, key],
                &["emulator", "--listen", key],
                &["emulator", &joined("--listen")],
                &["emulator", &joined("--partitions")],
                &["emulator", &joined("--json")],
                &["emulator", &joined("--polcy")],
                &["emulator", &joined("--polcy=service")],
                &["emulator", &dashes],
                &["c2d", key],
                &["c2d", "send", key],
                &["c2d", "send", "--auth", key],
                &["c2d", "send", &joined("--ack")],
                &["c2d", "send", "--connection-string", key],
                &["telemetry", "monitor", "--partition", key],
                &["device", "simulate", "--count", key],
                &["demo", "--devices", key],
            ] {
                let text = refused(arguments);
                assert!(!text.contains(key), "{arguments:?}: {text}");
                assert!(!text.contains("geheim"), "{arguments:?}: {text}");
            }
        }
    }

    #[test]
    fn an_honest_mistake_is_named() {
        assert!(refused(&["emulater"]).contains("'emulater'"));
        assert!(refused(&["emulator", "--polcy", "x"]).contains("--polcy"));
        assert!(refused(&["demo", "--devices", "many"]).contains("'many'"));
        assert!(refused(&["emulator", "--policy"]).contains("--policy"));
        let text = refused(&["registry", "get"]);
        assert!(text.contains("the subcommands of `iothub registry` are create, list, show, delete"), "{text}");
        let text = refused(&["registry", KEY]);
        assert!(text.contains("show") && !text.contains(KEY), "{text}");
    }

    #[test]
    fn what_was_read_does_not_show_secrets_in_its_debug() {
        let policy = format!("service={KEY}");
        let read = |arguments: &[&str]| {
            let arguments = ["iothub"].iter().chain(arguments).map(OsString::from);
            format!("{:?}", parse(arguments).expect("no mistake"))
        };
        let shown = read(&["emulator", "--policy", &policy, "--device", &policy]);
        assert!(shown.contains("<hidden>") && !shown.contains(KEY) && !shown.contains("service"), "{shown}");
        let shown = read(&["telemetry", "monitor", "--connection-string", KEY]);
        assert!(shown.contains("<hidden>") && !shown.contains(KEY), "{shown}");
    }
}
