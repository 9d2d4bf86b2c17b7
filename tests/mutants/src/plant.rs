//! A source with mutants in it, each behind a switch.

use std::ops::Range;

use crate::{catalogue::Mutant, place::place};

/// What tells whether a mutant is on. It is put into each package as the module `mutant`.
pub const SWITCH: &str = include_str!("switch.rs");

/// A mutant and where it goes.
struct Planted<'a> {
    number: u32,
    mutant: &'a Mutant,
    span: Range<usize>,
}

impl Planted<'_> {
    /// Whether its replacement stands for the text as a whole.
    fn is_raw(&self) -> bool {
        self.mutant.replace.contains("$is")
    }

    fn is(&self) -> String {
        format!("crate::mutant::is({})", self.number)
    }
}

/// The source with all of these mutants, which have their numbers with them.
///
/// # Errors
///
/// For each mutant that does not fit the source, its name and why.
pub fn plant(source: &str, mutants: &[(u32, Mutant)]) -> Result<String, Vec<String>> {
    let mut problems = Vec::new();
    let mut planted = Vec::new();
    for (number, mutant) in mutants {
        match place(source, mutant.within.as_deref(), &mutant.find) {
            Ok(_) if !mutant.replace.contains("$is") && !is_whole(mutant) => {
                let problem = "neither an expression nor whole statements, and no $is";
                problems.push(format!("{}: {}: {problem}", mutant.name, mutant.file));
            }
            Ok(span) => planted.push(Planted { number: *number, mutant, span }),
            Err(problem) => problems.push(format!("{}: {}: {problem}", mutant.name, mutant.file)),
        }
    }
    // What encloses stands before what it encloses.
    planted.sort_by_key(|planted| (planted.span.start, usize::MAX - planted.span.end, planted.number));
    for pair in planted.windows(2) {
        let [outer, inner] = pair else { continue };
        let crosses = inner.span.start < outer.span.end && inner.span.end > outer.span.end;
        let meets_raw =
            inner.span.start < outer.span.end && (outer.is_raw() || inner.is_raw() && inner.span == outer.span);
        if crosses || meets_raw {
            problems.push(format!("{}: {} is in the way", inner.mutant.name, outer.mutant.name));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(render(source, 0..source.len(), &planted))
}

/// Whether both texts may stand in blocks of their own: they close the brackets that they open, and what follows uses no
/// variable of theirs.
fn is_whole(mutant: &Mutant) -> bool {
    let count = |text: &str, bracket: char| text.matches(bracket).count();
    let is_closed = |text| {
        [('(', ')'), ('[', ']'), ('{', '}')].iter().all(|(open, close)| count(text, *open) == count(text, *close))
    };
    let binds = mutant.find.trim_start().starts_with("let ") && count(&mutant.find, ';') == 1;
    is_closed(&mutant.find) && is_closed(&mutant.replace) && !binds
}

/// A part of the source with the mutants that are in it.
fn render(source: &str, part: Range<usize>, planted: &[Planted<'_>]) -> String {
    let mut out = String::new();
    let (mut at, mut rest) = (part.start, planted);
    while let Some(first) = rest.first() {
        let same = rest.iter().take_while(|planted| planted.span == first.span).count();
        let within = rest.iter().take_while(|planted| planted.span.start < first.span.end).count();
        out.push_str(&source[at..first.span.start]);
        if first.is_raw() {
            out.push_str(&first.mutant.replace.replace("$is", &first.is()));
        } else {
            let original = render(source, first.span.clone(), &rest[same..within]);
            let statement = original.trim_end().ends_with([';', '}']);
            out.push_str(if statement { "" } else { "(" });
            for planted in &rest[..same] {
                out.push_str(&format!("if {} {{ {} }} else ", planted.is(), planted.mutant.replace));
            }
            out.push_str(&format!("{{ {original} }}"));
            out.push_str(if statement { "" } else { ")" });
        }
        at = first.span.end;
        rest = &rest[within..];
    }
    out.push_str(&source[at..part.end]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "fn f() -> u8 {\n    g();\n    a + b\n}\n";

    fn mutant(find: &str, replace: &str) -> Mutant {
        Mutant { name: find.into(), find: find.into(), replace: replace.into(), ..Mutant::default() }
    }

    fn planted(mutants: &[Mutant]) -> Result<String, Vec<String>> {
        let numbered: Vec<_> = (1..).zip(mutants.iter().cloned()).collect();
        plant(SOURCE, &numbered)
    }

    #[test]
    fn expressions_and_statements_have_a_switch() {
        let out = planted(&[mutant("a + b", "a"), mutant("g();", "")]).unwrap();
        let expected = "fn f() -> u8 {\n    if crate::mutant::is(2) {  } else { g(); }\n    \
                        (if crate::mutant::is(1) { a } else { a + b })\n}\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn several_mutants_share_a_place_and_stand_in_one_another() {
        let out = planted(&[mutant("a + b", "a"), mutant("b", "c"), mutant("a + b", "b")]).unwrap();
        assert!(out.contains(
            "(if crate::mutant::is(1) { a } else if crate::mutant::is(3) { b } else \
             { a + (if crate::mutant::is(2) { c } else { b }) })"
        ));
    }

    #[test]
    fn a_replacement_may_place_the_switch_itself() {
        let out = planted(&[mutant("g();", "if !$is { g(); }")]).unwrap();
        assert!(out.contains("    if !crate::mutant::is(1) { g(); }\n"));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        assert_eq!(planted(&[mutant("h();", "")]).unwrap_err(), ["h();: : the text is not there"]);
        assert_eq!(planted(&[mutant("fn f() -> u8 {", "fn f() -> u16 {")]).unwrap_err().len(), 1);
        assert!(!is_whole(&mutant("let a = g();", "let a = 1;")));
        assert_eq!(planted(&[mutant("g(); a", ""), mutant("a + b", "")]).unwrap_err().len(), 1);
        assert_eq!(planted(&[mutant("a + b", "$is"), mutant("b", "")]).unwrap_err().len(), 1);
    }
}
