use super::store::{Checkpoint, CheckpointStore, Ownership, Scope, StoreError};
use amqp1::acceptor::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The folders below that of a scope.
const OWNERSHIP: &str = "ownership";
const CHECKPOINTS: &str = "checkpoints";

/// A store in a folder, for the processes of one machine, or of several that share the folder.
///
/// Every entry is a file of its own, in JSON. It is written beside its place, flushed, and renamed into it, so that a
/// process that is killed leaves the old entry or the new one. Claims are made under a lock on a file, which the system
/// releases when a process ends. A shared folder must support both between machines.
#[derive(Clone, Debug)]
pub struct FileCheckpointStore {
    folder: PathBuf,
}

impl FileCheckpointStore {
    /// The store in this folder, which is made when it is needed.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn folder_of(&self, scope: &Scope) -> PathBuf {
        let names = [&scope.host, &scope.hub, &scope.consumer_group];
        names.iter().fold(self.folder.clone(), |folder, name| folder.join(file_name(name)))
    }

    /// Does what may block where that keeps nothing else waiting.
    async fn blocking<T: Send + 'static>(
        &self,
        scope: &Scope,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let folder = self.folder_of(scope);
        Ok(tokio::task::spawn_blocking(move || work(&folder)).await??)
    }
}

impl CheckpointStore for FileCheckpointStore {
    fn list_ownership<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<Ownership>, StoreError>> {
        Box::pin(self.blocking(scope, |folder| list(&folder.join(OWNERSHIP))))
    }

    fn claim_ownership<'a>(
        &'a self,
        scope: &'a Scope,
        claims: Vec<Ownership>,
    ) -> BoxFuture<'a, Result<Vec<Ownership>, StoreError>> {
        Box::pin(self.blocking(scope, move |folder| {
            let _lock = lock(folder)?;
            let folder = folder.join(OWNERSHIP);
            let mut claimed = Vec::new();
            for claim in claims {
                let path = entry(&folder, &claim.partition_id);
                let there: Option<Ownership> = read(&path)?;
                let there = there.and_then(|ownership| ownership.etag);
                if there != claim.etag {
                    continue;
                }
                let version = there.and_then(|etag| etag.parse::<u64>().ok()).unwrap_or_default() + 1;
                let (etag, last_modified) = (Some(version.to_string()), Some(SystemTime::now()));
                let ownership = Ownership { etag, last_modified, ..claim };
                write(&path, &ownership)?;
                claimed.push(ownership);
            }
            Ok(claimed)
        }))
    }

    fn list_checkpoints<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<Checkpoint>, StoreError>> {
        Box::pin(self.blocking(scope, |folder| list(&folder.join(CHECKPOINTS))))
    }

    fn update_checkpoint<'a>(
        &'a self,
        scope: &'a Scope,
        checkpoint: Checkpoint,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.blocking(scope, move |folder| {
            // Two that write the same entry would write the same file beside it.
            let _lock = lock(folder)?;
            write(&entry(&folder.join(CHECKPOINTS), &checkpoint.partition_id), &checkpoint)
        }))
    }

    fn describe(&self, scope: &Scope, partition_id: &str) -> String {
        let path = entry(&self.folder_of(scope).join(CHECKPOINTS), partition_id);
        format!("{}, file {}", scope.checkpoint(partition_id), path.display())
    }
}

/// A name that is one of files on every system, and another one for every text.
fn file_name(text: &str) -> String {
    let plain = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"-_.".contains(&octet);
    let mut name = String::new();
    for (index, octet) in text.bytes().enumerate() {
        // A dot at the start would hide it, or be the folder above.
        if plain(octet) && (octet != b'.' || index > 0) {
            name.push(char::from(octet));
        } else {
            name.push_str(&format!("%{octet:02x}"));
        }
    }
    if name.is_empty() { "%".to_owned() } else { name }
}

fn entry(folder: &Path, partition: &str) -> PathBuf {
    folder.join(format!("{}.json", file_name(partition)))
}

/// Waits for the lock of a scope, which is released when the file is closed.
fn lock(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock"))?;
    file.lock()?;
    Ok(file)
}

fn list<T: DeserializeOwned>(folder: &Path) -> io::Result<Vec<T>> {
    let files = match fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for file in files {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            found.extend(read(&path)?);
        }
    }
    Ok(found)
}

/// An entry, if it is there.
fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let entry = serde_json::from_slice(&text);
    entry.map(Some).map_err(|error| io::Error::other(format!("{} is not an entry: {error}", path.display())))
}

/// Replaces an entry as a whole. The caller holds the lock.
fn write(path: &Path, entry: &impl Serialize) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec(entry)?)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    // The rename itself is to survive, where folders can be flushed.
    if let Ok(folder) = File::open(folder) {
        folder.sync_all().ok();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder_and_differ() {
        for text in ["", ".", "..", "../x", "$default", "A", "a", "a/b", "a%2fb", "é"] {
            let name = file_name(text);
            assert!(!name.is_empty() && !name.starts_with('.') && !name.contains('/'), "{text:?}: {name}");
        }
        let names: std::collections::BTreeSet<_> = ["", "%", "A", "a", "a/b", "a%2fb", "."].map(file_name).into();
        assert_eq!(names.len(), 7);
    }
}
