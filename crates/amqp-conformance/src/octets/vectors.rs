//! Golden octets.

use super::build::hex;

const VECTORS: &str = include_str!("../../data/vectors.tsv");

/// Every encoding of a value, the shortest first; of malformed octets these alone.
///
/// # Panics
///
/// If the name is not known: a case that names it has a defect.
pub fn encodings(name: &str) -> Vec<Vec<u8>> {
    let line = VECTORS.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
    let Some(line) = line else { panic!("no vector is named {name}") };
    line.split('\t').map(hex).collect()
}

/// The shortest encoding of a value, or malformed octets.
///
/// # Panics
///
/// As said for [`encodings`].
pub fn vector(name: &str) -> Vec<u8> {
    encodings(name).into_iter().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::octets::{Value, read_one};

    #[test]
    fn every_encoding_of_a_vector_is_read_as_the_same_value() {
        let names = VECTORS.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split('\t').next());
        let mut count = 0;
        for name in names.filter(|name| !name.starts_with("bad-") && !name.starts_with("msg-")) {
            let values: Vec<Value> = encodings(name)
                .iter()
                .map(|octets| read_one(octets).unwrap_or_else(|flaw| panic!("{name}: {flaw}")))
                .collect();
            assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "{name}");
            count += values.len();
        }
        assert!(count > 900, "{count}");
    }

    #[test]
    fn no_malformed_vector_is_read_as_a_value() {
        // What is wrong with the others is where they stand.
        let prefixes = [
            "bad-trunc",
            "bad-unknown",
            "bad-vbin",
            "bad-str",
            "bad-sym",
            "bad-utf8",
            "bad-char",
            "bad-list",
            "bad-map",
            "bad-array8",
            "bad-array32",
        ];
        let mut count = 0;
        for line in VECTORS.lines() {
            let Some((name, digits)) = line.split_once('\t') else { continue };
            if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                assert!(read_one(&hex(digits)).is_err(), "{name}");
                count += 1;
            }
        }
        assert!(count > 80, "{count}");
    }
}
