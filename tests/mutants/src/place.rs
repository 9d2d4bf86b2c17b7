//! Where in a source a text is.

use std::ops::Range;

/// The one place of `find`, within a function if one is named.
///
/// # Errors
///
/// What is not there, or there more than once.
pub fn place(source: &str, within: Option<&str>, find: &str) -> Result<Range<usize>, String> {
    let parts = match within {
        Some(name) => functions(source, name)?,
        None => std::iter::once(0..source.len()).collect(),
    };
    let words: Vec<_> = find.split_whitespace().collect();
    let within = |part: Range<usize>| {
        matches(&source[part.clone()], &words).map(move |one| part.start + one.start..part.start + one.end)
    };
    let found: Vec<_> = parts.into_iter().flat_map(within).collect();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err("the text is not there".into()),
        several => Err(format!("the text is there {} times", several.len())),
    }
}

/// The texts of the functions of this name, relying on how rustfmt lays them out: the brace that ends one stands below its
/// first letter.
fn functions(source: &str, name: &str) -> Result<Vec<Range<usize>>, String> {
    let heads = [format!("fn {name}("), format!("fn {name}<")];
    let starts = heads.iter().flat_map(|head| source.match_indices(head.as_str())).map(|(at, _)| at);
    let text = |at: usize| {
        let begin = source[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let indent = &source[begin..][..source[begin..].len() - source[begin..].trim_start().len()];
        let end = source[at..].find(&format!("\n{indent}}}\n"));
        end.map(|end| begin..at + end + indent.len() + 2).ok_or_else(|| format!("{name} has no end"))
    };
    let found: Vec<_> = starts.map(text).collect::<Result<_, _>>()?;
    if found.is_empty() { Err(format!("there is no function called {name}")) } else { Ok(found) }
}

/// Where these words follow each other with white space between them, and nothing else.
fn matches<'a>(text: &'a str, words: &'a [&'a str]) -> impl Iterator<Item = Range<usize>> + 'a {
    let (first, rest) = words.split_first().unwrap_or((&"", &[]));
    text.match_indices(first).filter(|(_, word)| !word.is_empty()).filter_map(move |(begin, word)| {
        let mut end = begin + word.len();
        for word in rest {
            let behind = &text[end..];
            let space = behind.len() - behind.trim_start().len();
            if space == 0 || !behind[space..].starts_with(word) {
                return None;
            }
            end += space + word.len();
        }
        Some(begin..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
impl A {
    fn one(&self) -> u8 {
        if a {
            b
        }
    }

    fn two<T>(&self) {
        if a {
            c
        }
    }
}
";

    #[test]
    fn white_space_is_any_white_space() {
        let found = place(SOURCE, None, "if a { b }").unwrap();
        assert_eq!(&SOURCE[found], "if a {\n            b\n        }");
        assert!(place(SOURCE, None, "ifa { b }").is_err());
    }

    #[test]
    fn the_text_is_there_once() {
        assert_eq!(place(SOURCE, None, "if a {").unwrap_err(), "the text is there 2 times");
        assert_eq!(place(SOURCE, None, "if d {").unwrap_err(), "the text is not there");
        assert_eq!(place(SOURCE, None, "").unwrap_err(), "the text is not there");
    }

    #[test]
    fn functions_of_one_name_are_searched_together() {
        let twice = format!("{SOURCE}{}", SOURCE.replace("c\n", "d\n").replace("b\n", "e\n"));
        assert!(place(&twice, Some("two"), "d").unwrap().start > SOURCE.len());
        assert_eq!(place(&twice, Some("two"), "if a {").unwrap_err(), "the text is there 2 times");
    }

    #[test]
    fn a_function_narrows_it() {
        let found = place(SOURCE, Some("two"), "if a {").unwrap();
        assert!(found.start > SOURCE.find("fn two").unwrap());
        assert!(place(SOURCE, Some("one"), "c").is_err());
        assert_eq!(place(SOURCE, Some("three"), "c").unwrap_err(), "there is no function called three");
    }
}
