//! One file: the modules that it declares, the paths that it uses, and what it re-exports.

use proc_macro2::{Delimiter, LexError, TokenStream, TokenTree};

/// A file.
#[derive(Debug, Default)]
pub(crate) struct Module {
    /// The modules that have files of their own.
    pub(crate) children: Vec<String>,
    /// Paths that may lead to other modules of the library.
    pub(crate) paths: Vec<Vec<String>>,
    /// Names that are re-exported, with their paths.
    pub(crate) exports: Vec<(String, Vec<String>)>,
}

/// Reads the text of a file.
pub(crate) fn read(text: &str) -> Result<Module, LexError> {
    let tokens: Vec<_> = text.parse::<TokenStream>()?.into_iter().collect();
    let mut module = Module::default();
    module.items(&tokens);
    Ok(module)
}

fn ident(token: Option<&TokenTree>) -> Option<String> {
    match token? {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    }
}

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

fn group(token: Option<&TokenTree>, delimiter: Delimiter) -> Option<Vec<TokenTree>> {
    match token? {
        TokenTree::Group(group) if group.delimiter() == delimiter => Some(group.stream().into_iter().collect()),
        _ => None,
    }
}

/// Whether an attribute makes what follows it a part of tests alone.
fn is_for_tests(attribute: &[TokenTree]) -> bool {
    let inner = group(attribute.get(1), Delimiter::Parenthesis).unwrap_or_default();
    ident(attribute.first()).is_some_and(|name| name == "cfg")
        && inner.len() == 1
        && ident(inner.first()).is_some_and(|name| name == "test")
}

/// How many tokens an item has, its end included.
fn item(tokens: &[TokenTree]) -> usize {
    let ends = |token: &TokenTree| is_punct(Some(token), ';') || group(Some(token), Delimiter::Brace).is_some();
    tokens.iter().position(ends).map_or(tokens.len(), |place| place + 1)
}

impl Module {
    /// Reads tokens, at the top of the file or within a group.
    fn items(&mut self, tokens: &[TokenTree]) {
        let mut place = 0;
        let mut exported = false;
        while let Some(token) = tokens.get(place) {
            let rest = &tokens[place..];
            if is_punct(Some(token), '#')
                && let Some(attribute) = group(rest.get(1), Delimiter::Bracket)
            {
                place += 2;
                if is_for_tests(&attribute) {
                    place += item(&tokens[place..]);
                }
                continue;
            }
            match ident(Some(token)).as_deref() {
                Some("pub") => {
                    exported = true;
                    place += 1;
                    // `pub(crate)`
                    place += usize::from(group(tokens.get(place), Delimiter::Parenthesis).is_some());
                    continue;
                }
                Some("mod") if is_punct(rest.get(2), ';') => {
                    self.children.extend(ident(rest.get(1)));
                    place += 3;
                }
                Some("use") => {
                    let length = item_of_use(rest);
                    let mut found = Vec::new();
                    tree(&rest[1..length], &[], &mut found);
                    if exported {
                        self.exports.extend(found);
                    } else {
                        self.paths.extend(found.into_iter().map(|(_, path)| path));
                    }
                    place += length;
                }
                Some(_) if !follows_path(tokens, place) => place += self.path(rest),
                _ => {
                    if let TokenTree::Group(group) = token {
                        let within: Vec<_> = group.stream().into_iter().collect();
                        self.items(&within);
                    }
                    place += 1;
                }
            }
            exported = false;
        }
    }

    /// Reads a path that stands alone. How many tokens it has.
    fn path(&mut self, tokens: &[TokenTree]) -> usize {
        let mut path: Vec<_> = ident(tokens.first()).into_iter().collect();
        let mut length = 1;
        while is_punct(tokens.get(length), ':') && is_punct(tokens.get(length + 1), ':') {
            let Some(next) = ident(tokens.get(length + 2)) else { break };
            path.push(next);
            length += 3;
        }
        if path.len() > 1 {
            self.paths.push(path);
        }
        length
    }
}

/// Whether what stands here goes on with a path that began before it.
fn follows_path(tokens: &[TokenTree], place: usize) -> bool {
    place >= 2 && is_punct(tokens.get(place - 1), ':') && is_punct(tokens.get(place - 2), ':')
}

fn item_of_use(tokens: &[TokenTree]) -> usize {
    tokens.iter().position(|token| is_punct(Some(token), ';')).map_or(tokens.len(), |place| place + 1)
}

/// Reads what a `use` names: each name, and its path.
fn tree(tokens: &[TokenTree], before: &[String], found: &mut Vec<(String, Vec<String>)>) {
    for branch in tokens.split(|token| is_punct(Some(token), ',') || is_punct(Some(token), ';')) {
        let mut path = before.to_vec();
        let mut renamed = None;
        let mut inner = None;
        let mut tokens = branch.iter();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Ident(word) if *word == "as" => renamed = ident(tokens.next()),
                TokenTree::Ident(word) => path.push(word.to_string()),
                TokenTree::Group(_) => inner = group(Some(token), Delimiter::Brace),
                _ => {}
            }
        }
        match inner {
            Some(inner) => tree(&inner, &path, found),
            None if path.len() > before.len() || branch.iter().any(|token| is_punct(Some(token), '*')) => {
                // `a::{self}`
                if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                    path.pop();
                }
                let name = renamed.or_else(|| path.last().cloned()).unwrap_or_default();
                found.push((name, path));
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        read(text).expect("tokens").paths.iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn a_use_names_each_of_its_branches() {
        let found = paths("use crate::{a::{self, B}, c::*, d::E as F}; use std::fmt;");
        assert_eq!(found, ["crate::a", "crate::a::B", "crate::c", "crate::d::E", "std::fmt"]);
    }

    #[test]
    fn paths_are_found_in_code_and_in_macros_but_not_in_comments_and_literals() {
        let text = r#"
            /// See [`crate::comment`].
            fn f() -> crate::a::B { g!(super::c::d()); let _ = "crate::literal::x"; }
        "#;
        assert_eq!(paths(text), ["crate::a::B", "super::c::d"]);
    }

    #[test]
    fn code_for_tests_does_not_count() {
        let text = "#[cfg(test)] mod tests { use super::*; } #[cfg(test)] mod more; #[cfg(test)] fn f() { crate::a::b() } \
                    #[cfg(feature = \"x\")] use crate::c::D;";
        let module = read(text).expect("tokens");
        assert_eq!(module.paths, [["crate", "c", "D"]]);
        assert!(module.children.is_empty());
    }

    #[test]
    fn a_re_export_is_not_an_import() {
        let module = read("mod a; pub use a::B; pub(crate) use self::a::C as D; use a::E;").expect("tokens");
        assert_eq!(module.children, ["a"]);
        let names: Vec<_> = module.exports.iter().map(|(name, path)| (name.as_str(), path.join("::"))).collect();
        assert_eq!(names, [("B", "a::B".into()), ("D", "self::a::C".into())]);
        assert_eq!(module.paths, [["a", "E"]]);
    }
}
