//! A server that repeats the password, and says what would be a command elsewhere.

use super::{LOGS_IN, LetsIn, OnOtherVersion, code, path, polite, server, text, tool};
use std::fs;
use tempfile::TempDir;

const PASSWORD: &str = "o'pen\"<sesame>";
/// What the server calls itself: the password as it is, in the escapes of Rust, in HTML, in hexadecimal, and in the response
/// of PLAIN in Base64; then commands, markup, and a turn of the text.
const NAME: &str = "o'pen\"<sesame> o\\'pen\\\"<sesame> o&#39;pen&quot;&lt;sesame&gt; 6f2770656e223c736573616d653e \
                    AG1lAG8ncGVuIjxzZXNhbWU+\n::set-output name=a::b\r##[error]c | [d](https://e.f) <img> \u{202e}g";

#[test]
fn nothing_that_is_written_repeats_the_password_or_obeys_the_server() {
    let directory = TempDir::new().expect("a folder");
    let file = |name: &str| directory.path().join(name);
    let hostile = polite::start_for(LetsIn::EveryoneAs(NAME), OnOtherVersion::Leaves);
    let login = ["--user", "me", "--password", PASSWORD];
    let [json, junit, html, markdown, page] = ["r.json", "r.xml", "r.html", "r.md", "page.html"].map(file);
    let files = ["--json", path(&json), "--junit", path(&junit), "--html", path(&html)];
    let run = server(hostile, &[&login[..], &files, &["--verbose", "--only", "T-2.2-1,T-2.4.1-1,T-2.4.2"]].concat());
    assert!(json.exists(), "{}", text(&run.stderr));
    let again = server(hostile, &[&login[..], &["--only", LOGS_IN, "--baseline", path(&json)]].concat());
    let repro = server(hostile, &[&login[..], &["--repro", LOGS_IN]].concat());
    let script = file("script");
    fs::write(&script, &repro.stdout).expect("it is written");
    let replay = server(hostile, &[&login[..], &["--replay", path(&script)]].concat());
    let merged = tool(&["report", "merge", path(&json), "--markdown", path(&markdown), "--html", path(&page)]);
    assert_eq!(code(&merged), 0, "{}", text(&merged.stderr));
    let mut written = Vec::new();
    for output in [run, again, repro, replay, merged] {
        written.extend([output.stdout, output.stderr]);
    }
    written.extend([&json, &junit, &html, &markdown, &page].map(|path| fs::read(path).expect("it was written")));
    for path in [junit, html, markdown, page] {
        let text = fs::read_to_string(path).expect("it was written");
        assert!(!text.contains("<img"), "{text}");
        assert!(!text.contains("](http") || text.starts_with('<'), "{text}");
    }
    for octets in &written {
        let text = text(octets);
        for secret in ["sesame", "736573616d65", "AG1lAG8n", "zZXNhbWU"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        for command in ["##[", "\u{202e}", "\r"] {
            assert!(!text.contains(command), "{command}: {text}");
        }
        assert!(!text.lines().any(|line| line.trim_start().starts_with("::")), "{text}");
    }
    assert!(written.iter().any(|octets| text(octets).contains("\\n::set-output")), "what is left is shown");
}
