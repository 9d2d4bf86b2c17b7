//! The requirements, the exemptions and the declarations, from the tables of this crate.

use amqp_conformance::Role;

/// One requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// `T-2.6.7-3`: the part's letter, the section or a word, a number.
    pub id: String,
    /// `MUST` and so on, as the text has it; `(robustness)` where the text is silent, `(derived)` where no one sentence
    /// says it.
    pub severity: String,
    /// Whose duty it is.
    pub applies_to: String,
    /// In one line.
    pub text: String,
}

/// Why nothing of one kind shows a requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemption {
    /// The requirement.
    pub id: String,
    /// What there is none of.
    pub of: Proof,
    /// One sentence.
    pub reason: String,
}

/// What shows a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A test of the codec, the engine, the runtime or the emulator.
    Test,
    /// A case of `amqp-conformance` that judged our peer in this role.
    Case(Role),
}

impl Proof {
    /// The name in `exemptions.tsv`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Case(Role::Server) => "server",
            Self::Case(Role::Client) => "client",
        }
    }
}

/// All requirements, in the order of the specification.
///
/// # Panics
///
/// If a line of `requirements.tsv` has not four columns, all with something in them.
pub fn requirements() -> Vec<Requirement> {
    lines(include_str!("../requirements.tsv"))
        .map(|[id, severity, applies_to, text]| Requirement { id, severity, applies_to, text })
        .collect()
}

/// All exemptions.
///
/// # Panics
///
/// If a line of `exemptions.tsv` has not three columns, or the second is neither `test`, `server` nor `client`.
pub fn exemptions() -> Vec<Exemption> {
    let proofs = [Proof::Test, Proof::Case(Role::Server), Proof::Case(Role::Client)];
    let exemption = |[id, of, reason]: [String; 3]| match proofs.into_iter().find(|proof| proof.name() == of) {
        Some(of) => Exemption { id, of, reason },
        None => panic!("{id}: {of} shows nothing"),
    };
    lines(include_str!("../exemptions.tsv")).map(exemption).collect()
}

/// How a requirement is kept where the cases alone do not say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The requirement.
    pub id: String,
    /// How it is kept.
    pub kind: Kind,
    /// The options, or the helpers.
    pub names: Vec<String>,
    /// What is done by default, or what an application has to do, and why.
    pub reason: String,
}

/// How a requirement is kept, if not by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// If an option is set.
    Option,
    /// By an application, with a helper of ours.
    Helper,
    /// Not at all, on purpose.
    Deviates,
}

/// All that is declared.
///
/// # Panics
///
/// If a line of `declared.tsv` has not four columns, the second is not a kind, or names are missing where the kind needs
/// them.
pub fn declared() -> Vec<Declared> {
    let declared = |[id, kind, names, reason]: [String; 4]| {
        let kind = match kind.as_str() {
            "option" => Kind::Option,
            "helper" => Kind::Helper,
            "deviates" => Kind::Deviates,
            _ => panic!("{id}: {kind} is not a kind"),
        };
        let names: Vec<_> = names.split(' ').filter(|name| *name != "-").map(str::to_owned).collect();
        assert_eq!(
            names.is_empty(),
            kind == Kind::Deviates,
            "{id} names what it should not, or does not name what keeps it"
        );
        Declared { id, kind, names, reason }
    };
    lines(include_str!("../declared.tsv")).map(declared).collect()
}

/// The lines behind the first, which has the names of the columns.
fn lines<const COLUMNS: usize>(table: &'static str) -> impl Iterator<Item = [String; COLUMNS]> {
    table.lines().skip(1).map(|line| {
        let columns: Vec<_> = line.split('\t').map(|column| column.trim().to_owned()).collect();
        match <[String; COLUMNS]>::try_from(columns) {
            Ok(columns) if columns.iter().all(|column| !column.is_empty()) => columns,
            _ => panic!("not {COLUMNS} columns: {line}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_requirements_are_there_and_in_six_parts() {
        let requirements = requirements();
        assert_eq!(requirements.len(), 437);
        let mut parts: Vec<_> = requirements.iter().map(|requirement| &requirement.id[..2]).collect();
        parts.dedup();
        assert_eq!(parts, ["Y-", "T-", "M-", "X-", "S-", "E-"]);
    }

    #[test]
    fn the_other_tables_are_well_formed() {
        assert!(!exemptions().is_empty());
        assert!(!declared().is_empty());
    }
}
