//! The keys of the well-known policies, kept from one start to the next beside the certificate authority.
//!
//! Connection strings that were handed out stay valid as long as the directory is the same.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::ca::{self, CaError};
use crate::error::StartError;
use crate::hub::{Key, Policies, Policy, WELL_KNOWN_POLICIES};

/// The keys, one `NAME=BASE64KEY` a line, readable by their owner only.
pub(crate) const FILE: &str = "policy-keys.txt";

/// The well-known policies, and over them those that were given. The keys of those that were not given come from
/// `directory`, or from the operating system.
pub(crate) fn policies(
    directory: Option<&Path>,
    given: Vec<Result<Policy, StartError>>,
) -> Result<Policies, StartError> {
    let given = given.into_iter().collect::<Result<Vec<_>, _>>()?;
    let is_given = |name: &str| given.iter().any(|policy| policy.name == name);
    let mut policies = match directory {
        Some(directory) if !WELL_KNOWN_POLICIES.iter().all(|(name, _)| is_given(name)) => kept(directory)?,
        _ => complete(Policies::new())?,
    };
    for policy in given {
        policies.set(policy);
    }
    Ok(policies)
}

/// The policies kept in `directory`; keys that it does not hold are generated and kept there. Programs that do this at
/// the same time get the same keys.
fn kept(directory: &Path) -> Result<Policies, StartError> {
    let path = directory.join(FILE);
    // The file is whole once it is there, so a directory that cannot be written is enough.
    let found = read(&path)?;
    if is_complete(&found) {
        return Ok(found);
    }
    let io = |source| CaError::Io { path: directory.to_path_buf(), source };
    fs::create_dir_all(directory).map_err(io)?;
    let _lock = ca::lock(directory).map_err(io)?;
    let found = read(&path)?;
    if is_complete(&found) {
        return Ok(found);
    }
    let policies = complete(found)?;
    match ca::write(&path, &text(&policies), 0o600) {
        Err(CaError::Io { path, source }) if is_read_only(&source) => {
            tracing::warn!(path = %path.display(), "the keys of policies cannot be kept, and are new at each start: {source}");
        }
        written => written?,
    }
    Ok(policies)
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn is_complete(policies: &Policies) -> bool {
    WELL_KNOWN_POLICIES.iter().all(|(name, _)| policies.policy(name).is_some())
}

/// Adds the well-known policies that are missing, with keys from the operating system.
fn complete(mut policies: Policies) -> Result<Policies, StartError> {
    for (name, _) in WELL_KNOWN_POLICIES {
        if policies.policy(name).is_none() {
            policies.set(Policy::new(name, Key::generate().map_err(StartError::Random)?));
        }
    }
    Ok(policies)
}

fn read(path: &Path) -> Result<Policies, CaError> {
    let mut policies = Policies::new();
    let Some(text) = ca::read(path)? else { return Ok(policies) };
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let policy = line.parse::<Policy>().ok().filter(|policy| is_well_known(&policy.name));
        policies.set(policy.ok_or_else(|| CaError::PolicyKeys {
            path: PathBuf::from(path),
            reason: "a line is not NAME=BASE64KEY of a well-known policy",
        })?);
    }
    Ok(policies)
}

fn is_well_known(name: &str) -> bool {
    WELL_KNOWN_POLICIES.iter().any(|(known, _)| *known == name)
}

fn text(policies: &Policies) -> Zeroizing<String> {
    // Enough for five lines, so that no copy is left behind by growth.
    let mut text = Zeroizing::new(String::with_capacity(1024));
    for policy in WELL_KNOWN_POLICIES.iter().filter_map(|(name, _)| policies.policy(name)) {
        for part in [policy.name.as_str(), "=", policy.primary_key.base64(), "\n"] {
            text.push_str(part);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(policies: &Policies) -> Vec<String> {
        let key = |name: &str| policies.policy(name).unwrap().primary_key.base64().to_owned();
        WELL_KNOWN_POLICIES.iter().map(|(name, _)| key(name)).collect()
    }

    #[test]
    fn those_who_start_at_the_same_time_get_the_same_keys() {
        for _ in 0..10 {
            let directory = tempfile::tempdir().unwrap();
            let deeper = directory.path().join("ca");
            let together = std::sync::Barrier::new(8);
            let found: Vec<_> = std::thread::scope(|scope| {
                let start = || {
                    together.wait();
                    keys(&policies(Some(&deeper), Vec::new()).unwrap())
                };
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(found.iter().all(|keys| *keys == found[0]));
            assert_eq!(keys(&policies(Some(&deeper), Vec::new()).unwrap()), found[0]);
            assert_ne!(found[0][0], found[0][1]);
            #[cfg(unix)]
            assert_eq!(fs::read_dir(&deeper).unwrap().count(), 1, "nothing but the file stays behind");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_keys_are_readable_by_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        policies(Some(directory.path()), Vec::new()).unwrap();
        let mode = fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_policy_that_is_given_takes_precedence_and_is_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let before = keys(&policies(Some(directory.path()), Vec::new()).unwrap());
        let given = || vec![Ok("service=c2VjcmV0".parse::<Policy>().unwrap())];
        let with = keys(&policies(Some(directory.path()), given()).unwrap());
        assert_eq!((with[0] == before[0], with[1].as_str()), (true, "c2VjcmV0"));
        assert_eq!(keys(&policies(Some(directory.path()), Vec::new()).unwrap()), before);
    }

    #[test]
    fn a_file_that_is_not_one_of_keys_is_refused_without_showing_it() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["c2VjcmV0", "service=c2VjcmV0!", "other=c2VjcmV0"] {
            fs::write(directory.path().join(FILE), text).unwrap();
            let error = policies(Some(directory.path()), Vec::new()).unwrap_err().to_string();
            assert!(error.contains(FILE) && error.contains("delete the file"), "{error}");
            assert!(!error.contains("c2VjcmV0"), "{error}");
        }
    }
}
