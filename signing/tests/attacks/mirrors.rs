//! A mirror that lies, that is away, or that is stuck in the past; and a good one behind it.

use crate::kit::{Fault, Files, RELEASE, Repo, at, path};
use signing::source::MAX_MIRRORS;
use signing::{Attack, Client, Error, MemStore, Mirrors, MirrorsError, SourceError, Store as _};

/// What a mirror does with the honest repository.
type Lie = fn(&mut Repo);
type MirrorClient = Client<Mirrors<Files>, MemStore>;

/// A second server with the same files.
fn copy_of(files: &Files) -> Files {
    let copy = Files::default();
    copy.serve(files.copy());
    copy
}

/// A client over mirrors named `m0`, `m1` …, as after a (re)start.
fn client(repo: &Repo, mirrors: &[&Files]) -> MirrorClient {
    let named = mirrors.iter().enumerate().map(|(n, files)| (format!("m{n}"), (*files).clone()));
    let mirrors = Mirrors::new(named.collect()).unwrap();
    Client::open(&repo.pinned(), mirrors, repo.store.clone()).unwrap()
}

/// Refreshes and downloads; the mirror that served, and the attacks of those that failed before.
async fn served(client: &mut MirrorClient) -> (String, Vec<Option<Attack>>) {
    let refreshed = client.refresh_any(at(0)).await.unwrap();
    let attacks = refreshed.failures.iter().map(|failure| failure.error.attack()).collect();
    let target = client.target_any(&path(RELEASE), at(0)).await.unwrap().value.unwrap();
    let bytes = client.fetch_target_any(&target).await.unwrap();
    assert_eq!(bytes.value.as_slice(), b"one");
    (refreshed.mirror, attacks)
}

#[tokio::test]
async fn mirror_that_lies_is_passed_over_and_named() {
    let lies: [(Lie, Option<Attack>); 4] = [
        (|repo| repo.timestamp.signers = vec![99], Some(Attack::ArbitrarySoftware)),
        (|repo| repo.timestamp.expires = at(-1), Some(Attack::Freeze)),
        (
            |repo| repo.files.fault("metadata/timestamp.json", Fault::TooSlow),
            Some(Attack::SlowRetrieval),
        ),
        (|repo| repo.files.fault("metadata/timestamp.json", Fault::Status(503)), None),
    ];
    for (lie, attack) in lies {
        let mut repo = Repo::new();
        repo.publish_next();
        let good = copy_of(&repo.files);
        lie(&mut repo);
        repo.publish();
        let (mirror, attacks) = served(&mut client(&repo, &[&repo.files, &good])).await;
        assert_eq!((mirror.as_str(), attacks), ("m1", vec![attack]));
        // After a restart the same again: nothing of the liar was kept. Only an expired timestamp
        // of the version we have does no harm: ours, which has not expired, stays in place.
        let (mirror, attacks) = served(&mut client(&repo, &[&repo.files, &good])).await;
        if attack == Some(Attack::Freeze) {
            assert_eq!((mirror.as_str(), attacks), ("m0", vec![]));
        } else {
            assert_eq!((mirror.as_str(), attacks), ("m1", vec![attack]));
        }
    }
}

#[tokio::test]
async fn file_that_one_mirror_falsifies_is_taken_from_the_next() {
    let repo = Repo::new();
    let good = copy_of(&repo.files);
    for (file, attack) in [
        ("metadata/1.snapshot.json", Attack::MixAndMatch),
        ("metadata/1.targets.json", Attack::MixAndMatch),
    ] {
        let bad = copy_of(&good);
        bad.fault(file, Fault::Flood(1));
        let repo = Repo::new();
        let (mirror, attacks) = served(&mut client(&repo, &[&bad, &good])).await;
        assert_eq!((mirror.as_str(), attacks), ("m1", vec![Some(attack)]));
        // What verified is kept: after a restart nothing that the first falsifies is asked for.
        let (mirror, attacks) = served(&mut client(&repo, &[&bad, &good])).await;
        assert_eq!((mirror.as_str(), attacks), ("m0", vec![]));
    }
}

#[tokio::test]
async fn mirror_stuck_in_the_past_is_a_rollback_and_the_next_one_serves() {
    let mut repo = Repo::new();
    let stale = copy_of(&repo.files);
    repo.publish_next();
    repo.trusting().await;
    let (mirror, attacks) = served(&mut client(&repo, &[&stale, &repo.files])).await;
    assert_eq!((mirror.as_str(), attacks), ("m1", vec![Some(Attack::Rollback)]));
}

#[tokio::test]
async fn mirror_whose_files_have_expired_is_a_freeze_and_the_next_one_serves() {
    let mut repo = Repo::new();
    let stale = copy_of(&repo.files);
    repo.timestamp.expires = at(24 * 3);
    repo.publish_next();
    let mut client = client(&repo, &[&stale, &repo.files]);
    let refreshed = client.refresh_any(at(25)).await.unwrap();
    assert_eq!(refreshed.mirror, "m1");
    assert_eq!(refreshed.failures[0].mirror, "m0");
    assert_eq!(refreshed.failures[0].error.attack(), Some(Attack::Freeze));
}

#[tokio::test]
async fn preferred_mirror_is_asked_again_once_it_is_back() {
    let mut repo = Repo::new();
    let (first, second) = (Files::default(), copy_of(&repo.files));
    let mut client = client(&repo, &[&first, &second]);
    assert_eq!(served(&mut client).await.0, "m1");
    repo.publish_next();
    first.serve(repo.files.copy());
    assert_eq!(served(&mut client).await, ("m0".to_owned(), vec![]));
}

#[tokio::test]
async fn when_every_mirror_fails_each_is_reported_and_the_attack_is_named() {
    let mut repo = Repo::new();
    let away = copy_of(&repo.files);
    away.fault("metadata/timestamp.json", Fault::Status(500));
    repo.timestamp.signers = vec![99];
    repo.publish_next();
    let mut client = client(&repo, &[&away, &repo.files]);
    let error = client.refresh_any(at(0)).await.unwrap_err();
    assert_eq!(error.attack(), Some(Attack::ArbitrarySoftware));
    let away = &error.failures[0].error;
    assert!(
        matches!(away, Error::Fetch { source: SourceError::Status { code: 500 }, .. }),
        "{away:?}"
    );
    assert_eq!(
        error.to_string(),
        "no mirror served what verifies; \
         m0: cannot fetch metadata/timestamp.json: HTTP status 500; \
         m1: timestamp has 0 valid signatures of distinct keys, needs 1 (arbitrary_software)"
    );
}

#[tokio::test]
async fn lookups_and_downloads_go_on_to_the_next_mirror_too() {
    let repo = Repo::new();
    let (first, second) = (copy_of(&repo.files), copy_of(&repo.files));
    first.put("metadata/1.acme.json", second.get("metadata/1.other.json"));
    let target = second.copy().into_keys().find(|path| path.ends_with(".1.0.0.release.json"));
    let target = target.unwrap();
    second.put(&target, b"ONE".to_vec());
    let mut client = client(&repo, &[&first, &second]);
    assert_eq!(client.refresh_any(at(0)).await.unwrap().mirror, "m0");

    let found = client.target_any(&path(RELEASE), at(0)).await.unwrap();
    assert_eq!((found.mirror.as_str(), found.failures.len()), ("m1", 1));
    let found = found.value.unwrap();
    // The search ended at the second; its copy of the file is bad, and the turn comes round.
    let fetched = client.fetch_target_any(&found).await.unwrap();
    assert_eq!((fetched.mirror.as_str(), fetched.value.as_slice()), ("m0", &b"one"[..]));
    assert_eq!(fetched.failures[0].error.attack(), Some(Attack::ArbitrarySoftware));

    first.remove(&target);
    let error = client.fetch_target_any(&found).await.unwrap_err();
    assert_eq!(error.failures.len(), 2);
    assert_eq!(error.attack(), Some(Attack::ArbitrarySoftware));
}

#[tokio::test]
async fn target_that_nobody_lists_is_not_sought_at_every_mirror() {
    let repo = Repo::new();
    let (first, second) = (copy_of(&repo.files), copy_of(&repo.files));
    let mut client = client(&repo, &[&first, &second]);
    client.refresh_any(at(0)).await.unwrap();
    let found = client.target_any(&path("acme/app/9.release.json"), at(0)).await.unwrap();
    assert!(found.value.is_none() && found.mirror == "m0");
    assert!(second.asked().is_empty());
}

#[tokio::test]
async fn validator_of_one_mirror_is_not_shown_to_another() {
    let repo = Repo::new();
    let second = copy_of(&repo.files);
    let mut client = client(&repo, &[&repo.files, &second]);
    client.refresh_any(at(0)).await.unwrap();
    repo.files.asked();
    // Unchanged at the first: one conditional request.
    client.refresh_any(at(1)).await.unwrap();
    assert_eq!(repo.files.asked(), ["metadata/timestamp.json"]);
    // The first is away; the second never gave a validator, so it must send the file.
    repo.files.fault("metadata/timestamp.json", Fault::Status(500));
    second.asked();
    assert_eq!(client.refresh_any(at(1)).await.unwrap().mirror, "m1");
    assert_eq!(second.asked(), ["metadata/timestamp.json", "metadata/2.root.json"]);
    // From then on it is conditional there too.
    client.refresh_any(at(1)).await.unwrap();
    assert_eq!(second.asked(), ["metadata/timestamp.json"]);
}

#[tokio::test]
async fn mirror_that_never_gave_a_file_cannot_say_that_it_did_not_change() {
    let repo = Repo::new();
    let (first, second) = (copy_of(&repo.files), copy_of(&repo.files));
    let mut client = client(&repo, &[&first, &second]);
    client.refresh_any(at(0)).await.unwrap();
    for file in ["metadata/timestamp.json", "metadata/2.root.json"] {
        first.fault(file, Fault::Status(500));
        second.fault(file, Fault::NotModified);
        let error = client.refresh_any(at(1)).await.unwrap_err();
        let unconditional = &error.failures[1].error;
        assert!(
            matches!(unconditional, Error::Fetch { source: SourceError::Unconditional, .. }),
            "{unconditional:?}"
        );
    }
}

#[tokio::test]
async fn not_modified_to_an_unconditional_request_is_refused() {
    for file in
        ["timestamp.json", "2.root.json", "1.snapshot.json", "1.targets.json", "1.acme.json"]
    {
        let repo = Repo::new();
        repo.files.fault(&format!("metadata/{file}"), Fault::NotModified);
        crate::refused!(
            crate::kit::first_use(&repo).await,
            None,
            Error::Fetch { source: SourceError::Unconditional, .. }
        );
    }
}

#[tokio::test]
async fn root_that_verified_at_a_mirror_that_then_failed_is_kept() {
    let mut repo = Repo::new();
    repo.publish_next_root(&[]);
    repo.publish_next();
    let (first, second) = (copy_of(&repo.files), copy_of(&repo.files));
    first.remove("metadata/timestamp.json");
    let mut client = client(&repo, &[&first, &second]);
    client.refresh_any(at(0)).await.unwrap();
    assert_eq!(client.trusted_versions().root, 2);
    assert!(!second.asked().contains(&"metadata/2.root.json".to_owned()));
}

#[tokio::test]
async fn broken_store_of_ours_ends_the_turn() {
    #[derive(Debug)]
    struct Full;
    impl signing::Store for Full {
        fn load(&self, _: &str) -> Result<Option<Vec<u8>>, signing::StoreError> {
            Ok(None)
        }
        fn save(&mut self, name: &str, _: &[u8]) -> Result<(), signing::StoreError> {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            Err(signing::StoreError { action: "save", name: name.to_owned(), source })
        }
        fn remove(&mut self, _: &str) -> Result<(), signing::StoreError> {
            Ok(())
        }
    }
    let repo = Repo::new();
    let second = copy_of(&repo.files);
    let mirrors = vec![("a".to_owned(), repo.files.clone()), ("b".to_owned(), second.clone())];
    let mirrors = Mirrors::new(mirrors).unwrap();
    let mut client = Client::open(&repo.pinned(), mirrors, Full).unwrap();
    let error = client.refresh_any(at(0)).await.unwrap_err();
    assert!(matches!(error.failures[..], [ref only] if matches!(only.error, Error::Store(_))));
    assert!(second.asked().is_empty());
    assert_eq!(repo.store.load("timestamp.json").unwrap(), None);
}

#[test]
fn lists_of_mirrors_that_cannot_be_used_are_refused() {
    let named = |names: &[&str]| {
        let list = names.iter().map(|name| ((*name).to_owned(), Files::default())).collect();
        Mirrors::new(list).map(|mirrors| mirrors.names().map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!(named(&["a", "b"]).unwrap(), ["a", "b"]);
    assert_eq!(named(&[]), Err(MirrorsError::Count { found: 0 }));
    let numbers: Vec<_> = (0..=MAX_MIRRORS).map(|n| n.to_string()).collect();
    let numbers: Vec<_> = numbers.iter().map(String::as_str).collect();
    assert!(named(&numbers[1..]).is_ok());
    assert_eq!(named(&numbers), Err(MirrorsError::Count { found: MAX_MIRRORS + 1 }));
    assert!(named(&[&"n".repeat(256)]).is_ok());
    for bad in ["", "a b", "a\n", &"n".repeat(257)] {
        assert_eq!(named(&[bad]), Err(MirrorsError::Name { name: bad.to_owned() }));
    }
    assert_eq!(named(&["a", "b", "a"]), Err(MirrorsError::Name { name: "a".to_owned() }));
}
