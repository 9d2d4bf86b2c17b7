use iothub::processor::{Checkpoint, CheckpointStore, FileCheckpointStore, MemoryCheckpointStore, Ownership, Scope};
use std::sync::Arc;

fn scope() -> Scope {
    Scope::new("hub.example", "hub", "$Default")
}

fn claim(partition: &str, owner: &str, etag: Option<&str>) -> Vec<Ownership> {
    vec![Ownership::new(partition, owner, etag.map(str::to_owned))]
}

async fn keeps_its_contract(store: &dyn CheckpointStore) {
    let scope = scope();
    assert!(store.list_ownership(&scope).await.expect("a list").is_empty());
    assert!(store.list_checkpoints(&scope).await.expect("a list").is_empty());

    let first = store.claim_ownership(&scope, claim("0", "a", None)).await.expect("a claim");
    let etag = first[0].etag.clone();
    assert!(etag.is_some() && first[0].last_modified.is_some());
    // It is there, so that neither a claim of nothing nor one of another version replaces it.
    for wrong in [None, Some("wrong")] {
        assert!(store.claim_ownership(&scope, claim("0", "b", wrong)).await.expect("no error").is_empty());
    }
    assert!(store.claim_ownership(&scope, claim("1", "b", Some("1"))).await.expect("no error").is_empty());
    let second = store.claim_ownership(&scope, claim("0", "b", etag.as_deref())).await.expect("a claim");
    assert_ne!(second[0].etag, etag);
    let listed = store.list_ownership(&scope).await.expect("a list");
    assert_eq!(listed, second);
    assert_eq!(listed[0].owner_id, "b");
    // The one who has lost cannot renew.
    assert!(store.claim_ownership(&scope, claim("0", "a", etag.as_deref())).await.expect("no error").is_empty());

    for number in [1, 2] {
        let checkpoint = Checkpoint::new("0", Some(format!("off{number}")), Some(number));
        store.update_checkpoint(&scope, checkpoint).await.expect("written");
    }
    let checkpoint = Checkpoint::new("0", Some("off2".to_owned()), Some(2));
    assert_eq!(store.list_checkpoints(&scope).await.expect("a list"), [checkpoint]);

    let other = Scope::new("hub.example", "hub", "other");
    assert!(store.list_ownership(&other).await.expect("a list").is_empty());
    assert!(store.list_checkpoints(&other).await.expect("a list").is_empty());
    let case = Scope::new("HUB.example", "Hub", "$default");
    assert_eq!(store.list_ownership(&case).await.expect("a list").len(), 1);
}

#[tokio::test]
async fn memory_keeps_the_contract_of_stores() {
    keeps_its_contract(&MemoryCheckpointStore::new()).await;
}

#[tokio::test]
async fn files_keep_the_contract_of_stores_and_survive_it() {
    let folder = tempfile::tempdir().expect("a folder");
    keeps_its_contract(&FileCheckpointStore::new(folder.path())).await;
    let again = FileCheckpointStore::new(folder.path());
    assert_eq!(again.list_ownership(&scope()).await.expect("a list")[0].owner_id, "b");
    assert_eq!(again.list_checkpoints(&scope()).await.expect("a list").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_claim_at_a_time_one_succeeds() {
    let folder = tempfile::tempdir().expect("a folder");
    let stores: [Arc<dyn CheckpointStore>; 2] =
        [Arc::new(MemoryCheckpointStore::new()), Arc::new(FileCheckpointStore::new(folder.path()))];
    for store in stores {
        let mut etag = None;
        for round in 0..5 {
            let claims: Vec<_> = (0..8)
                .map(|owner| {
                    let (store, etag): (_, Option<String>) = (store.clone(), etag.clone());
                    let owner = format!("{round}-{owner}");
                    tokio::spawn(async move {
                        store.claim_ownership(&scope(), claim("0", &owner, etag.as_deref())).await.expect("no error")
                    })
                })
                .collect();
            let mut winners = Vec::new();
            for claim in claims {
                winners.extend(claim.await.expect("no panic"));
            }
            assert_eq!(winners.len(), 1, "{winners:?}");
            etag = winners.remove(0).etag;
        }
    }
}

/// What a process that was killed left behind while it wrote.
#[tokio::test]
async fn an_entry_that_was_half_written_beside_its_place_does_not_matter() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = FileCheckpointStore::new(folder.path());
    store.update_checkpoint(&scope(), Checkpoint::new("0", None, Some(7))).await.expect("written");
    let checkpoints = folder.path().join("hub.example/hub/%24default/checkpoints");
    std::fs::write(checkpoints.join("0.new"), "{\"partition_id\":").expect("written");
    let listed = store.list_checkpoints(&scope()).await.expect("a list");
    assert_eq!(listed, [Checkpoint::new("0", None, Some(7))]);
    store.update_checkpoint(&scope(), Checkpoint::new("0", None, Some(8))).await.expect("written");
    assert_eq!(store.list_checkpoints(&scope()).await.expect("a list")[0].sequence_number, Some(8));
}
