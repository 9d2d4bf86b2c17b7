//! Circles in a graph of imports.

use crate::Imports;
use std::collections::BTreeSet;

/// A circle of modules that import each other, the first one repeated at its end; `None` if there is none.
pub fn circle(imports: &Imports) -> Option<Vec<String>> {
    let mut clear = BTreeSet::new();
    imports.keys().find_map(|module| visit(imports, module, &mut Vec::new(), &mut clear))
}

fn visit<'a>(
    imports: &'a Imports,
    module: &'a str,
    path: &mut Vec<&'a str>,
    clear: &mut BTreeSet<&'a str>,
) -> Option<Vec<String>> {
    if clear.contains(module) {
        return None;
    }
    if let Some(start) = path.iter().position(|known| *known == module) {
        return Some(path[start..].iter().copied().chain([module]).map(str::to_owned).collect());
    }
    path.push(module);
    let found = imports.get(module).into_iter().flatten().find_map(|next| visit(imports, next, path, clear));
    path.pop();
    clear.insert(module);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str)]) -> Imports {
        let mut imports = Imports::new();
        for (from, to) in edges {
            imports.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        imports
    }

    #[test]
    fn a_circle_is_named_by_its_path() {
        let imports = graph(&[("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")]);
        assert_eq!(circle(&imports).expect("a circle"), ["b", "c", "d", "b"]);
    }

    #[test]
    fn two_ways_to_a_module_are_not_a_circle() {
        assert_eq!(circle(&graph(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")])), None);
    }
}
