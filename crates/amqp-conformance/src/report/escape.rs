//! Texts of others, such as the peer's, where they must not do anything: in one line, in HTML and XML, in Markdown.

use std::fmt::{self, Write as _};

/// A text as one line that neither moves the cursor, nor turns the direction of text, nor commands a CI service: control
/// characters, line breaks, characters that are not seen, and what begins a command become escape sequences.
///
/// Everything that leaves the tool goes through here. It changes nothing in its own result.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    // GitHub takes a line that begins so, after spaces, for a command.
    let command = text.len().saturating_sub(text.trim_start().len());
    let mut before = None;
    for (at, c) in text.char_indices() {
        let begins_command = at == command && text.get(at..).is_some_and(|rest| rest.starts_with("::"));
        // `##[…]`, `##vso[…]` and `##teamcity[…]` are commands of others, the first two at any place.
        let is_command = begins_command || (c == '#' && before == Some('#'));
        if is_command || is_unseen(c) {
            // Writing to a `String` does not fail.
            match c {
                '\n' | '\r' | '\t' => write!(line, "{}", c.escape_default()).unwrap_or_default(),
                c => write!(line, "{}", c.escape_unicode()).unwrap_or_default(),
            }
        } else {
            line.push(c);
        }
        before = Some(c);
    }
    line
}

/// Whether a character is not seen, or changes how others are seen.
const fn is_unseen(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{ad}' | '\u{61c}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        | '\u{e0000}'..='\u{e007f}')
}

/// A text that may stand in the content of an element or in a quoted attribute, in HTML and in XML.
///
/// Characters that XML does not admit at all become U+FFFD.
#[derive(Clone, Copy, Debug)]
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            '\n' | '\t' => f.write_char(c),
            c if is_unseen(c) => f.write_str("\u{fffd}"),
            c => f.write_char(c),
        })
    }
}

/// A text that is nothing but text in Markdown, also in the cell of a table: what may be markup or a link becomes a
/// character reference.
#[derive(Clone, Copy, Debug)]
pub(super) struct InMarkdown<'a>(pub(super) &'a str);

impl fmt::Display for InMarkdown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = one_line(self.0);
        let mut word = String::new();
        for c in line.chars() {
            // `www.` begins a link without any scheme.
            let begins_link = c == '.' && word.eq_ignore_ascii_case("www");
            if c.is_alphanumeric() || (matches!(c, ' ' | '.' | ',' | '-' | '/' | '(' | ')') && !begins_link) {
                f.write_char(c)?;
            } else {
                write!(f, "&#{};", u32::from(c))?;
            }
            if c.is_alphanumeric() {
                word.push(c);
            } else {
                word.clear();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_control_characters_are_text() {
        assert_eq!(
            Escaped("<a href=\"x\">'&'</a>\u{0}").to_string(),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;\u{fffd}"
        );
    }

    #[test]
    fn a_line_stays_one_line_in_its_direction() {
        for (text, line) in [
            ("a\nb\r\u{b}\u{85}\u{2028}c\td", "a\\nb\\r\\u{b}\\u{85}\\u{2028}c\\td"),
            ("\u{1b}[2J\u{9b}2J\u{7f}", "\\u{1b}[2J\\u{9b}2J\\u{7f}"),
            ("x\u{202e}y\u{2066}z\u{200f}\u{61c}", "x\\u{202e}y\\u{2066}z\\u{200f}\\u{61c}"),
            ("a\u{200b}b\u{feff}\u{e0041}", "a\\u{200b}b\\u{feff}\\u{e0041}"),
            ("Prüfung → 試験 \\n \"a\"", "Prüfung → 試験 \\n \"a\""),
        ] {
            assert_eq!(one_line(text), line);
            assert_eq!(one_line(line), line, "nothing is escaped twice");
        }
    }

    #[test]
    fn a_line_commands_no_ci_service() {
        for (text, line) in [
            ("::set-output name=x::y", "\\u{3a}:set-output name=x::y"),
            ("  ::error::x", "  \\u{3a}:error::x"),
            ("\n::error::x", "\\n\\u{3a}:error::x"),
            ("a ##[error]x", "a #\\u{23}[error]x"),
            ("##vso[task.x]", "#\\u{23}vso[task.x]"),
            ("###teamcity[x]", "#\\u{23}\\u{23}teamcity[x]"),
            ("a::b # c", "a::b # c"),
        ] {
            assert_eq!(one_line(text), line);
            assert_eq!(one_line(line), line, "nothing is escaped twice");
        }
    }

    #[test]
    fn markdown_is_text() {
        for (text, shown) in [
            ("RabbitMQ 4.0.5 (x-y), a/b", "RabbitMQ 4.0.5 (x-y), a/b"),
            ("a|b", "a&#124;b"),
            ("[x](https://y.z)", "&#91;x&#93;(https&#58;//y.z)"),
            ("`c` *b* _i_ ~s~", "&#96;c&#96; &#42;b&#42; &#95;i&#95; &#126;s&#126;"),
            ("<img src=x>&amp;", "&#60;img src&#61;x&#62;&#38;amp&#59;"),
            ("see WWW.x.y", "see WWW&#46;x.y"),
            ("a\nb\\", "a&#92;nb&#92;"),
            ("me@x.y #1", "me&#64;x.y &#35;1"),
        ] {
            assert_eq!(InMarkdown(text).to_string(), shown);
        }
    }
}
