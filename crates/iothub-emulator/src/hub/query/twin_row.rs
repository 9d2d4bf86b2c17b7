//! Twins of devices and modules as rows.

use serde_json::{Map, Value};

use super::super::twin::{Section, Twin};
use super::cell::Cell;
use super::row::Row;

impl Row for Twin<'_> {
    fn value(&self, path: &[Box<str>]) -> Cell<'_> {
        let Some((root, rest)) = path.split_first() else { return Cell::Undefined };
        match &**root {
            "tags" if self.state.tags.is_empty() => Cell::Undefined,
            "tags" => self.tags_at(rest),
            "properties" => self.properties_at(rest),
            "version" if rest.is_empty() => Cell::count(self.state.version),
            "etag" if rest.is_empty() => Cell::Text(self.state.etag_text().into()),
            "modelId" if rest.is_empty() => Cell::text(self.model_id().unwrap_or_default()),
            _ => self.identity.twin_value(self.device, path),
        }
    }

    fn operand(&self, path: &[Box<str>]) -> Cell<'_> {
        let path_of = |steps: &[&str]| steps.len() == path.len() && steps.iter().zip(path).all(|(a, b)| **a == **b);
        // What these have in them is made for each question, and may be large.
        if path_of(&["properties"]) || path_of(&["properties", "desired"]) || path_of(&["properties", "reported"]) {
            return some_object();
        }
        if path_of(&["tags"]) && !self.state.tags.is_empty() {
            return some_object();
        }
        if let [root, section, key, rest @ ..] = path
            && &**root == "properties"
            && &**key == "$metadata"
        {
            let section = match &**section {
                "desired" => &self.state.desired,
                "reported" => &self.state.reported,
                _ => return Cell::Undefined,
            };
            if section.has_metadata_object_at(rest) {
                return some_object();
            }
        }
        self.value(path)
    }

    fn document(&self) -> Value {
        self.to_json()
    }
}

impl Twin<'_> {
    fn tags_at(&self, path: &[Box<str>]) -> Cell<'_> {
        if path.is_empty() { Cell::owned(Value::Object(self.state.tags.clone())) } else { at(&self.state.tags, path) }
    }

    fn properties_at(&self, path: &[Box<str>]) -> Cell<'_> {
        let Some((section, rest)) = path.split_first() else {
            return Cell::owned(serde_json::json!({
                "desired": self.state.desired.to_json(),
                "reported": self.state.reported.to_json(),
            }));
        };
        match &**section {
            "desired" => section_at(&self.state.desired, rest),
            "reported" => section_at(&self.state.reported, rest),
            _ => Cell::Undefined,
        }
    }
}

/// Stands for an object in a condition.
fn some_object<'t>() -> Cell<'t> {
    Cell::Composite(std::borrow::Cow::Owned(Value::Object(Map::new())))
}

fn section_at<'t>(section: &'t Section, path: &[Box<str>]) -> Cell<'t> {
    match path.split_first() {
        None => Cell::owned(section.to_json()),
        Some((key, rest)) if &**key == "$version" && rest.is_empty() => Cell::count(section.version()),
        Some((key, rest)) if &**key == "$metadata" => section.metadata_at(rest).map_or(Cell::Undefined, Cell::owned),
        Some(_) => at(section.values(), path),
    }
}

/// The value at a path that has at least one key.
fn at<'t>(values: &'t Map<String, Value>, path: &[Box<str>]) -> Cell<'t> {
    let found = path
        .split_first()
        .and_then(|(key, rest)| rest.iter().try_fold(values.get(&**key)?, |value, key| value.as_object()?.get(&**key)));
    found.map_or(Cell::Undefined, Cell::from)
}
