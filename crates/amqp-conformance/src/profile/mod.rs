//! Profiles: the addresses, the credentials and the expected failures of a known peer, in a file.
//!
//! ```toml
//! name = "RabbitMQ 4"                 # of the peer in reports; left out, the product and version of its open
//! about = "A node with its defaults." # how the peer is to be set up
//! server = "127.0.0.1:5672"
//! node = "/queues/conformance"
//! user = "guest"                      # of SASL PLAIN; left out, ANONYMOUS is used
//! password = "guest"
//! command = ["node", "driver.js", "{url}", "{address}", "{scenario}", "{count}"]   # of a client
//! patience = 5                        # the time in seconds that the peer may need for an answer
//! whole-lists = true                  # the client cannot read lists whose last fields are left out
//!
//! [[expected]]
//! case = "T-2.4.5-3"
//! reason = "why this fails"
//! link = "https://example.org/issues/1"
//! ```

use crate::{
    case::Role,
    report::{Expectation, Expectations, ExpectationsError},
};
use serde::Deserialize;
use std::{fmt, fs, io, path::Path, time::Duration};

/// A profile.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// The name of the peer in reports.
    #[serde(default)]
    pub name: Option<String>,
    /// How the peer is to be set up.
    #[serde(default)]
    pub about: String,
    /// The address of a server, `HOST:PORT`.
    #[serde(default)]
    pub server: Option<String>,
    /// The queue.
    #[serde(default)]
    pub node: Option<String>,
    /// The user of SASL PLAIN.
    #[serde(default)]
    pub user: Option<String>,
    /// The password.
    #[serde(default)]
    pub password: Option<String>,
    /// The command of a client.
    #[serde(default)]
    pub command: Vec<String>,
    /// The time in seconds that the peer may need for an answer: `--patience` is no shorter.
    #[serde(default)]
    patience: u64,
    /// Writes every field of the frames that lead to a case, for a client that cannot read shorter lists.
    #[serde(default)]
    pub whole_lists: bool,
    #[serde(default)]
    expected: Vec<Expectation>,
}

/// The password is not shown.
impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("name", &self.name).field("server", &self.server).finish_non_exhaustive()
    }
}

/// A profile that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// There is no such profile.
    #[error("no profile is named {name:?}: use one of {known}, or the path of a file")]
    Unknown {
        /// The name.
        name: String,
        /// The names of those that exist.
        known: String,
    },
    /// The file cannot be read.
    #[error("the profile cannot be read")]
    Io(#[from] io::Error),
    /// The file is not a profile.
    #[error("the file is not a profile")]
    Toml(#[from] toml::de::Error),
    /// Its expected failures are wrong.
    #[error("the expected failures of the profile cannot be used")]
    Expected(#[from] ExpectationsError),
}

impl ProfileError {
    /// No profile that comes with the tool has this name.
    pub(crate) fn unknown(name: &str) -> Self {
        let known = Profile::names().collect::<Vec<_>>().join(", ");
        Self::Unknown { name: String::from(name), known }
    }
}

macro_rules! profiles {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../profiles/", $name, ".toml")))),+]
    };
}

/// The profiles that come with the tool.
const KNOWN: &[(&str, &str)] = profiles![
    "amqp1-broker",
    "amqp1-client",
    "artemis",
    "azure-eventhub",
    "broker-j",
    "go-amqp",
    "proton-cpp-broker",
    "python-qpid-proton",
    "python-qpid-proton-server",
    "qpid-jms",
    "rabbitmq3",
    "rabbitmq4",
    "rhea",
    "rhea-server",
];

impl Profile {
    /// The names of the profiles that come with the tool.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|(name, _)| *name)
    }

    /// The text of the profile of this name that comes with the tool.
    pub fn text(name: &str) -> Option<&'static str> {
        KNOWN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    }

    /// The profile of this name, or in the file at this path.
    ///
    /// # Errors
    ///
    /// If there is neither, or it is not well formed.
    pub fn find(name: &str) -> Result<Self, ProfileError> {
        if let Some(text) = Self::text(name) {
            return text.parse();
        }
        let path = Path::new(name);
        if !path.exists() {
            return Err(ProfileError::unknown(name));
        }
        fs::read_to_string(path)?.parse()
    }

    /// The role of its peer; `None` for a profile that fits both.
    pub fn role(&self) -> Option<Role> {
        match (self.server.is_some() || self.node.is_some(), !self.command.is_empty()) {
            (true, false) => Some(Role::Server),
            (false, true) => Some(Role::Client),
            _ => None,
        }
    }

    /// The time that is waited for one answer, if the command line says this much.
    pub fn patience(&self, wanted: Duration) -> Duration {
        wanted.max(Duration::from_secs(self.patience))
    }

    /// Its expected failures.
    ///
    /// # Errors
    ///
    /// If one has no reason.
    pub fn expectations(&self) -> Result<Expectations, ExpectationsError> {
        Expectations::new(self.expected.clone())
    }
}

impl std::str::FromStr for Profile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let profile: Self = toml::from_str(text)?;
        profile.expectations()?;
        Ok(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_well_formed_and_complete() {
        for name in Profile::names() {
            let profile = Profile::find(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!profile.about.trim().is_empty(), "{name} says how the peer is set up");
            let is_server = profile.server.is_some() && profile.node.is_some();
            assert!(is_server || !profile.command.is_empty(), "{name} has an address or a command");
            assert_eq!(profile.user.is_some(), profile.password.is_some(), "{name}");
        }
    }

    #[test]
    fn profiles_of_clients_say_that_the_command_can_be_replaced() {
        for name in Profile::names() {
            let profile = Profile::find(name).expect("it is well formed");
            let says = profile.about.contains("COMMAND after `--`");
            assert_eq!(says, profile.role() == Some(Role::Client), "{name}");
        }
    }

    #[test]
    fn every_expectation_of_a_profile_selects_a_case() {
        for name in Profile::names() {
            for expectation in &Profile::find(name).expect("it is well formed").expected {
                assert!(crate::cases().any(|case| expectation.selects(case.id)), "{name}: {expectation:?}");
            }
        }
    }

    #[test]
    fn a_slow_peer_is_given_the_time_that_its_profile_names() {
        let profile: Profile = "patience = 5".parse().expect("it is well formed");
        assert_eq!(profile.patience(Duration::from_secs(2)), Duration::from_secs(5));
        assert_eq!(profile.patience(Duration::from_secs(8)), Duration::from_secs(8));
        assert_eq!(Profile::default().patience(Duration::from_secs(2)), Duration::from_secs(2));
    }

    #[test]
    fn a_password_is_not_shown() {
        let profile: Profile = "user = 'me'\npassword = 'sesame'\n".parse().expect("it is well formed");
        assert!(!format!("{profile:?}").contains("sesame"));
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_exist() {
        let error = Profile::find("rabbit").expect_err("there is none").to_string();
        assert!(error.contains("\"rabbit\"") && error.contains("rabbitmq4"), "{error}");
        assert!("colour = 'green'".parse::<Profile>().is_err());
    }
}
