//! Public items of our crates by name, so that the options and helpers that the table names exist.
//!
//! Like [`rust_file`](crate::rust_file), this scans lines as rustfmt lays them out.

use std::{collections::BTreeSet, fs, io, path::Path};

/// The crates whose items may be named.
const CRATES: [&str; 5] = ["amqp1-codec", "amqp1-auth", "amqp1-engine", "amqp1-broker", "amqp1"];

/// Names of public items: `HeldMessage`, `HeldMessage::settle`, `ErrantLinks::EndSession`, `refusal`.
#[derive(Clone, Debug, Default)]
pub struct Items {
    names: BTreeSet<String>,
}

impl Items {
    /// Reads the sources of the crates.
    ///
    /// # Errors
    ///
    /// Sources that cannot be read.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut items = Self::default();
        for name in CRATES {
            items.walk(&root.join("crates").join(name).join("src"))?;
        }
        Ok(items)
    }

    fn walk(&mut self, directory: &Path) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                self.walk(&path)?;
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                self.add(&fs::read_to_string(&path)?);
            }
        }
        Ok(())
    }

    /// Adds the items of a file.
    fn add(&mut self, source: &str) {
        let mut owner: Option<(String, usize)> = None;
        for line in source.lines() {
            let indent = line.len() - line.trim_start().len();
            let line = line.trim();
            if let Some((name, at)) = &owner {
                if indent == *at && line.starts_with('}') {
                    owner = None;
                } else if let Some(member) = member(line).filter(|_| indent == at + 4) {
                    self.names.insert(format!("{name}::{member}"));
                }
                continue;
            }
            if let Some(name) = owner_of(line) {
                self.names.insert(name.to_owned());
                if line.ends_with('{') {
                    owner = Some((name.to_owned(), indent));
                }
            } else if let Some(name) = after(line, "pub fn ").or_else(|| after(line, "pub const fn ")) {
                self.names.insert(name.to_owned());
            } else if let Some((name, _)) = line.split_once(": client ") {
                // The list from which `Tolerances` is made.
                self.names.insert(format!("Tolerances::{name}"));
            }
        }
    }

    /// Whether there is an item of this name. Modules before a type's name do not count.
    pub fn has(&self, name: &str) -> bool {
        let is_type = |word: &str| word.starts_with(|c: char| c.is_ascii_uppercase());
        let words: Vec<&str> = name.split("::").collect();
        let first = words.iter().position(|word| is_type(word)).unwrap_or_else(|| words.len().saturating_sub(1));
        self.names.contains(&words.get(first..).unwrap_or_default().join("::"))
    }

    /// The full name of an option: a tolerance may be named without `Tolerances`.
    pub fn option(&self, name: &str) -> Option<String> {
        let tolerance = format!("Tolerances::{name}");
        let found = if self.names.contains(&tolerance) { Some(tolerance) } else { None };
        found.or_else(|| (name.contains("::") && self.has(name)).then(|| name.to_owned()))
    }
}

/// The type that a line declares or implements.
fn owner_of(line: &str) -> Option<&str> {
    if let Some(rest) = line.strip_prefix("impl") {
        let rest = match rest.strip_prefix('<') {
            Some(generics) => generics.split_once("> ")?.1,
            None => rest.strip_prefix(' ')?,
        };
        let of = rest.split_once(" for ").map_or(rest, |(_, of)| of);
        return identifier(of);
    }
    ["pub struct ", "pub enum ", "pub trait "].into_iter().find_map(|keyword| after(line, keyword))
}

/// The public method, constant, field or variant that a line begins.
fn member(line: &str) -> Option<&str> {
    let keywords = ["pub fn ", "pub const fn ", "pub async fn ", "pub const ", "fn ", "pub "];
    match keywords.into_iter().find_map(|keyword| after(line, keyword)) {
        Some(name) => Some(name),
        None if line.starts_with(|c: char| c.is_ascii_uppercase()) => identifier(line),
        None => None,
    }
}

fn after<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    line.strip_prefix(keyword).and_then(identifier)
}

fn identifier(text: &str) -> Option<&str> {
    let name = text.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    Some(name).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_items_and_their_members_are_found() {
        let mut items = Items::default();
        items.add(
            "
pub struct Config {
    pub idle: u8,
    hidden: u8,
}

pub enum Links {
    EndSession,
    Discard { why: u8 },
}

impl<W> Config<W> {
    pub const fn new(max: usize) -> Self {
        pub_looking();
    }
}

pub fn refusal(asked: u8) {
}

tolerances! {
    /// Docs.
    odd_data: client true, acceptor true;
}
",
        );
        for name in [
            "Config",
            "Config::idle",
            "terminus::Config::new",
            "Links::EndSession",
            "Links::Discard",
            "terminus::refusal",
            "Tolerances::odd_data",
        ] {
            assert!(items.has(name), "{name} is not in {:?}", items.names);
        }
        for name in ["Config::hidden", "hidden", "idle", "new", "pub_looking", "Other", ""] {
            assert!(!items.has(name), "{name}");
        }
        assert_eq!(items.option("odd_data").as_deref(), Some("Tolerances::odd_data"));
        assert_eq!(items.option("Config::idle").as_deref(), Some("Config::idle"));
        assert_eq!((items.option("refusal"), items.option("Config::hidden")), (None, None));
    }

    #[test]
    fn items_of_our_crates_are_found() {
        let items = Items::read(&crate::root()).unwrap();
        for name in
            ["ConnectionConfig::errant_links", "Tolerances::missing_body", "HeldMessage::settle", "TerminusStore"]
        {
            assert!(items.has(name), "{name}");
        }
    }
}
