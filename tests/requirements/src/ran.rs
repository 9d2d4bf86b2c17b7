//! The tests that ran, from what `cargo test` has written.

use crate::sources;
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
};

/// The tests that run all tests of the behaviour of engine and broker again: with the roles turned, which the table
/// claims, and crowded.
pub const VARIANTS: [&str; 4] = [
    "amqp1_engine::behaviour::roles::every_rule_is_kept_by_the_other_engine_too",
    "amqp1_broker::behaviour::roles::every_rule_is_kept_by_the_other_engine_too",
    "amqp1_engine::behaviour::roles::every_rule_is_kept_in_a_crowd_too",
    "amqp1_broker::behaviour::roles::every_rule_is_kept_in_a_crowd_too",
];

/// The programs of tests: by the name of the file, what the paths of their tests begin with.
#[derive(Debug, Default)]
pub struct Programs {
    modules: HashMap<String, String>,
}

impl Programs {
    /// Reads what `cargo test --no-run --message-format=json` has written.
    ///
    /// # Errors
    ///
    /// Lines that are not JSON, and manifests that cannot be read.
    pub fn read(messages: &str) -> Result<Self, String> {
        let mut programs = Self::default();
        for line in messages.lines().filter(|line| line.starts_with('{')) {
            let message: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let (Some(program), Some(manifest), Some(source)) =
                (text(&message["executable"]), text(&message["manifest_path"]), text(&message["target"]["src_path"]))
            else {
                continue;
            };
            if message["profile"]["test"] != true {
                continue;
            }
            let package = fs::read_to_string(&manifest).map_err(|error| format!("{manifest}: {error}"))?;
            let Some(file) =
                Path::new(&manifest).parent().and_then(|folder| Path::new(&source).strip_prefix(folder).ok())
            else {
                return Err(format!("{source} is outside of its package"));
            };
            programs.modules.insert(file_name(&program), sources::module_of(&package, file));
        }
        Ok(programs)
    }

    /// The tests that have passed, with all their modules, in what `cargo test` has written.
    pub fn passed(&self, output: &str) -> BTreeSet<String> {
        let mut passed = BTreeSet::new();
        let mut module: Option<&str> = None;
        for line in output.lines().map(str::trim) {
            if let Some(program) = line.strip_prefix("Running ").and_then(|rest| rest.strip_suffix(')')) {
                let program = program.rsplit_once('(').map_or("", |(_, program)| program);
                module = self.modules.get(&file_name(program)).map(String::as_str);
            } else if line.starts_with("Doc-tests ") {
                module = None;
            } else if let (Some(module), Some(test)) = (module, passed_test(line)) {
                passed.insert(format!("{module}::{test}"));
            }
        }
        passed
    }
}

/// The test that a line says has passed.
fn passed_test(line: &str) -> Option<&str> {
    let test = line.strip_prefix("test ")?.strip_suffix(" ... ok")?;
    Some(test.split_once(' ').map_or(test, |(test, _)| test))
}

fn file_name(path: &str) -> String {
    Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_that_passed_have_the_paths_of_their_programs() {
        let root = crate::root().canonicalize().unwrap();
        let root = root.display();
        let message = |program: &str, source: &str, test: bool| {
            format!(
                "{{\"executable\":\"/t/deps/{program}\",\"manifest_path\":\"{root}/crates/amqp1-engine/Cargo.toml\",\
                 \"target\":{{\"src_path\":\"{root}/crates/amqp1-engine/{source}\"}},\"profile\":{{\"test\":{test}}}}}"
            )
        };
        let messages = [
            message("amqp1_engine-0a", "src/lib.rs", true),
            message("behaviour-0b", "tests/behaviour/main.rs", true),
            message("program-0c", "src/main.rs", false),
            "{\"reason\":\"build-finished\",\"success\":true}".into(),
        ];
        let programs = Programs::read(&messages.join("\n")).unwrap();
        let output = "
     Running unittests src/lib.rs (target/debug/deps/amqp1_engine-0a)

test time::tests::it_goes_on ... ok
test time::tests::it_stops ... FAILED
test time::tests::it_waits ... ignored
     Running tests/behaviour/main.rs (/t/deps/behaviour-0b)
test credit::counts_wrap - should panic ... ok
     Running tests/other.rs (/t/deps/other-0d)
test of_another ... ok
   Doc-tests amqp1_engine
test src/lib.rs - (line 1) ... ok
";
        let passed: Vec<_> = programs.passed(output).into_iter().collect();
        assert_eq!(passed, ["amqp1_engine::behaviour::credit::counts_wrap", "amqp1_engine::time::tests::it_goes_on"]);
    }
}
