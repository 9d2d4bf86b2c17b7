//! The tests in a file of Rust.
//!
//! A scanner of lines that relies on how rustfmt lays code out, not a parser: one of those would lose the comments in
//! the bodies, which carry ids too, and stop at what stands in `proptest!`.

/// A test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Test {
    /// The modules within the file, outermost first.
    pub modules: Vec<String>,
    /// The function's name.
    pub name: String,
    /// The doc comment and the body, in one line.
    pub text: String,
}

/// What a file has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RustFile {
    /// Tests that run, unless asked for otherwise: ignored ones are left out.
    pub tests: Vec<Test>,
    /// Every comment that is not a test's, in one line.
    pub comments: String,
}

/// What stands before an item: doc comments and attributes.
#[derive(Default)]
struct Before {
    comments: String,
    /// An attribute that has not ended.
    open: String,
    is_test: bool,
    ignored: bool,
}

impl Before {
    /// Takes a line of an attribute; the line that closes its bracket ends it.
    fn attribute(&mut self, line: &str) {
        self.open.push_str(line);
        if self.open.matches('[').count() > self.open.matches(']').count() {
            return;
        }
        let attribute = std::mem::take(&mut self.open);
        let inner = attribute.trim_start_matches("#[");
        let path = inner.split(['(', ']', ' ', '=']).next().unwrap_or_default();
        self.is_test |= path == "test" || path.ends_with("::test");
        self.ignored |= path == "ignore";
    }
}

/// A function of which the end has not come.
struct Open {
    test: Test,
    runs: bool,
    end: String,
}

impl RustFile {
    /// Reads it.
    pub fn read(source: &str) -> Self {
        let mut file = Self::default();
        let mut modules: Vec<(String, String)> = Vec::new();
        let mut before = Before::default();
        let mut open: Option<Open> = None;
        for whole in source.lines() {
            let line = whole.trim();
            if let Some(mut function) = open.take() {
                if whole.trim_end() == function.end {
                    file.close(function);
                } else {
                    add(&mut function.test.text, line.trim_start_matches('/'));
                    open = Some(function);
                }
                continue;
            }
            let indent = &whole[..whole.len() - whole.trim_start().len()];
            if !before.open.is_empty() || line.starts_with("#[") {
                before.attribute(line);
            } else if let Some(comment) = line.strip_prefix("///") {
                add(&mut before.comments, comment);
            } else if let Some(comment) = line.strip_prefix("//") {
                add(&mut file.comments, comment);
            } else if let Some(name) = named("fn", line).filter(|_| before.is_test) {
                let Before { comments, ignored, .. } = std::mem::take(&mut before);
                let path = modules.iter().map(|(_, name)| name.clone()).collect();
                let test = Test { modules: path, name: name.to_owned(), text: comments };
                let function = Open { test, runs: !ignored, end: format!("{indent}}}") };
                if line.ends_with("{}") {
                    file.close(function);
                } else {
                    open = Some(function);
                }
            } else if !line.is_empty() {
                if let Some(name) = named("mod", line).filter(|_| line.ends_with('{')) {
                    modules.push((format!("{indent}}}"), name.to_owned()));
                } else if modules.last().is_some_and(|(end, _)| whole.trim_end() == end) {
                    modules.pop();
                }
                let Before { comments, .. } = std::mem::take(&mut before);
                add(&mut file.comments, &comments);
                if let Some((_, comment)) = line.split_once("// ") {
                    add(&mut file.comments, comment);
                }
            }
        }
        file
    }

    fn close(&mut self, function: Open) {
        if function.runs {
            self.tests.push(function.test);
        } else {
            add(&mut self.comments, &function.test.text);
        }
    }
}

/// Adds a line to a text that has only one.
fn add(text: &mut String, line: &str) {
    let line = line.trim();
    if !text.is_empty() && !line.is_empty() {
        text.push(' ');
    }
    text.push_str(line);
}

/// The name of a function or a module, if the line begins one.
fn named<'a>(keyword: &str, line: &'a str) -> Option<&'a str> {
    let mut rest = line;
    loop {
        let (word, behind) = rest.split_once(' ')?;
        if word == keyword {
            let name = behind.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
            return Some(name).filter(|name| !name.is_empty());
        }
        if word != "async" && word != "pub" && !word.starts_with("pub(") {
            return None;
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(source: &str) -> Vec<String> {
        let path =
            |test: &Test| test.modules.iter().chain([&test.name]).map(String::as_str).collect::<Vec<_>>().join("::");
        RustFile::read(source).tests.iter().map(path).collect()
    }

    #[test]
    fn functions_with_the_attribute_are_tests_and_others_are_not() {
        let source = "
#[test]
fn plain() {
    helper();
}

#[cfg(test)]
fn helper() {}

#[tokio::test(flavor = \"multi_thread\", worker_threads = 2)]
#[cfg_attr(miri, ignore)]
async fn asynchronous() {
}

#[tokio::test(
    start_paused = true
)]
pub(crate) async fn on_several_lines() {
}

#[test]
fn empty() {}

#[test]
#[ignore = \"takes minutes\"]
fn ignored() {
}

#[test_case(1)]
fn of_another_kind() {
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn generated(
        octets in vec(0u8.., 1),
    ) {
        prop_assert!(true);
    }
}
";
        assert_eq!(names(source), ["plain", "asynchronous", "on_several_lines", "empty", "generated"]);
    }

    #[test]
    fn tests_know_their_modules() {
        let source = "
mod elsewhere;

#[cfg(test)]
mod tests {
    mod inner {
        #[test]
        fn deep() {
            if true {
            }
        }
    }

    #[test]
    fn within() {
    }
}

#[test]
fn without() {
}
";
        assert_eq!(names(source), ["tests::inner::deep", "tests::within", "without"]);
    }

    #[test]
    fn a_tests_text_is_its_doc_comment_and_its_body_and_no_others() {
        let file = RustFile::read(
            "
//! Of the file.

/// Of a helper.
fn helper() -> u8 {
    1 // of a line
}

/// Of the
/// test.
#[test]
// Before it.
fn with_text() {
    // Of the body.
    assert!(true, \"a message\");
}

/// Of a constant.
const NEXT: u8 = 1;
",
        );
        assert_eq!(file.tests.len(), 1);
        assert_eq!(file.tests[0].text, "Of the test. Of the body. assert!(true, \"a message\");");
        assert_eq!(file.comments, "! Of the file. Of a helper. of a line Before it. Of a constant.");
    }
}
