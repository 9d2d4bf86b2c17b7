//! What is queried, and the names of its properties.

use serde_json::Value;

use super::cell::Cell;

/// A row of a collection. A query asks for single values, and builds the document only of rows that are in the result.
pub trait Row {
    /// The value at a path: the keys that lead to it, of which the service's own are written as it writes them.
    fn value(&self, path: &[Box<str>]) -> Cell<'_>;

    /// As [`value`](Self::value), for a condition, which sees of an object only that it is there: it may be given without
    /// what is in it.
    fn operand(&self, path: &[Box<str>]) -> Cell<'_> {
        self.value(path)
    }

    /// The whole document.
    fn document(&self) -> Value;
}

/// A document by itself is a row.
impl Row for Value {
    fn value(&self, path: &[Box<str>]) -> Cell<'_> {
        path.iter().try_fold(self, |value, key| value.as_object()?.get(&**key)).map_or(Cell::Undefined, Cell::from)
    }

    fn document(&self) -> Value {
        self.clone()
    }
}

/// The properties of a twin, as the service writes them.
pub(super) const ROOTS: [&str; 20] = [
    "authenticationType",
    "capabilities",
    "cloudToDeviceMessageCount",
    "configurations",
    "connectionState",
    "deviceEtag",
    "deviceId",
    "deviceScope",
    "etag",
    "lastActivityTime",
    "modelId",
    "moduleId",
    "parentScopes",
    "properties",
    "status",
    "statusReason",
    "statusUpdateTime",
    "tags",
    "version",
    "x509Thumbprint",
];

/// Writes the service's own names as the service does. What belongs to documents keeps its case.
pub(super) fn canonical(mut steps: Vec<Box<str>>) -> Vec<Box<str>> {
    let is = |step: Option<&Box<str>>, name: &str| step.is_some_and(|step| step.eq_ignore_ascii_case(name));
    if is(steps.first(), "devices") && steps.len() > 1 {
        let collection = 1 + usize::from(is(steps.get(1), "modules") && steps.len() > 2);
        steps.drain(..collection);
    }
    if let Some(root) = steps.first_mut()
        && let Some(name) = ROOTS.into_iter().find(|name| root.eq_ignore_ascii_case(name))
    {
        *root = name.into();
        let inner: &[&str] = match name {
            "properties" => &["desired", "reported"],
            "capabilities" => &["iotEdge"],
            "x509Thumbprint" => &["primaryThumbprint", "secondaryThumbprint"],
            _ => &[],
        };
        if let Some(step) = steps.get_mut(1)
            && let Some(name) = inner.iter().find(|name| step.eq_ignore_ascii_case(name))
        {
            *step = (*name).into();
        }
    }
    steps
}
