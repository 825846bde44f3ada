//! Into the site's own store: what is copied is hashed again, and nobody collects meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use offline_mirror::import::{Evidence, ImportError, Log, Step, Target, import};
use offline_mirror::oci::Digest;
use offline_mirror::store::{Fsck, Store};

use crate::scene::{AMD64, Scene, at, flip, request};

/// A folder on another file system than `from`, where nothing can be linked; Linux has such a one.
fn elsewhere(from: &Path) -> tempfile::TempDir {
    use std::os::unix::fs::MetadataExt as _;
    let device = |path: &Path| std::fs::metadata(path).map(|meta| meta.dev()).ok();
    let other = ["/dev/shm", "/var/tmp"].map(Path::new).into_iter();
    let mut other = other.filter(|dir| device(dir).is_some() && device(dir) != device(from));
    tempfile::tempdir_in(other.next().unwrap()).unwrap()
}

/// The bundle again, in another folder.
fn copied(bundle: &Path, to: &Path) -> PathBuf {
    let folder = to.join(bundle.file_name().unwrap());
    std::fs::create_dir_all(&folder).unwrap();
    for entry in std::fs::read_dir(bundle).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    folder
}

async fn watched(
    scene: &Scene,
    bundle: &Path,
    store: &Store,
    show: &(dyn Fn(&Step) + Sync),
) -> Result<Evidence, ImportError> {
    let clock = || at(2);
    let target = Target::Store(store.clone());
    import(&scene.site(), &request(&[bundle]), &target, None, Log::new(&clock, show)).await
}

#[actix_web::test]
async fn a_segment_that_is_not_copied_as_it_was_hashed_is_refused_and_taken_anew() {
    let scene = Scene::new();
    let folder = elsewhere(scene.folder());
    let bundle = copied(&scene.bundle(), folder.path());
    let segment = bundle.join("north-1-0001.tar");
    let good = std::fs::read(&segment).unwrap();
    let place = good.windows(AMD64.len()).position(|window| window == AMD64).unwrap();
    let store = scene.store();
    let change = |step: &Step| {
        if step.step == "content" {
            flip(&segment, place + 3);
        }
    };
    let error = watched(&scene, &bundle, &store, &change).await.unwrap_err();
    assert!(matches!(error, ImportError::BadCopy { .. }), "{error:?}");
    assert_eq!(store.totals().unwrap().blobs, 0, "nothing of it is served");

    std::fs::write(&segment, &good).unwrap();
    watched(&scene, &bundle, &store, &|_| {}).await.unwrap();
    let report = store.fsck(Fsck { percent: 100 }, at(3), |_| ()).unwrap();
    assert!(report.is_sound() && report.blobs > 0, "{report:?}");
    let again = watched(&scene, &bundle, &store, &|_| {}).await.unwrap();
    assert_eq!(again.told.objects_written, 0);
}

#[actix_web::test]
async fn a_damaged_store_is_mended_by_the_newest_bundle_once_it_knows_of_the_damage() {
    let scene = Scene::new();
    let (bundle, store) = (scene.bundle(), scene.store());
    let aside = copied(&bundle, &scene.folder().join("aside"));
    watched(&scene, &bundle, &store, &|_| {}).await.unwrap();
    // The store and the bundle's folder have one file under two names.
    let segment = bundle.join("north-1-0001.tar");
    let good = std::fs::read(&segment).unwrap();
    let place = good.windows(AMD64.len()).position(|window| window == AMD64).unwrap();
    #[expect(clippy::permissions_set_readonly_false, reason = "the file of a test")]
    let writable = {
        let mut permissions = std::fs::metadata(&segment).unwrap().permissions();
        permissions.set_readonly(false);
        permissions
    };
    std::fs::set_permissions(&segment, writable).unwrap();
    flip(&segment, place + 3);
    watched(&scene, &aside, &store, &|_| {}).await.unwrap();
    let mut report = store.fsck(Fsck { percent: 100 }, at(3), |_| ()).unwrap();
    let damaged: Vec<Digest> = report.damages.iter().map(|damage| damage.digest).collect();
    assert_eq!(damaged, [Digest::of(AMD64)]);
    let turn = store.exclusive().unwrap();
    store.forget_damaged(&turn, &mut report).unwrap();
    drop(turn);
    let mended = watched(&scene, &aside, &store, &|_| {}).await.unwrap();
    assert_eq!(mended.told.objects_written, 1);
    assert!(store.fsck(Fsck { percent: 100 }, at(3), |_| ()).unwrap().is_sound());
}

#[actix_web::test]
async fn nobody_collects_between_the_look_at_what_is_there_and_the_last_tag() {
    let scene = Scene::new();
    let (bundle, store) = (scene.bundle(), scene.store());
    let other = Store::open(store.dir()).unwrap();
    let busy = Mutex::new(Vec::new());
    let look = |step: &Step| {
        busy.lock().unwrap().push((step.step, other.exclusive().is_err()));
    };
    watched(&scene, &bundle, &store, &look).await.unwrap();
    let busy = busy.into_inner().unwrap();
    for step in ["required", "content", "blobs", "manifests", "tags"] {
        assert!(busy.contains(&(step, true)), "{step}: {busy:?}");
    }
    assert!(busy.contains(&("inventory", false)), "{busy:?}");
}
