//! Writes to the target: blobs, child manifests, indexes, referrers, tags, in this order.
//!
//! Every write is idempotent and names what it writes by digest; a run that was killed is run again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use signing::Sha256Digest;

use super::error::ImportError;
use super::evidence::Log;
use super::present::Presence;
use super::spool;
use super::target::{AT_ONCE, Taken, Target, adopt, index};
use super::verify::Checked;
use crate::bundle::Reader;
use crate::oci::{Descriptor, Digest, Node, Repository};
use crate::registry::{Pieces, Pushed, Reference, Registry};
use crate::site::SiteDir;
use crate::store::{Exclusive, Store};

/// What was written, and what need not be asked for again.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) written: u64,
    pub(super) present: u64,
    /// Known to be at the target.
    pub(super) there: BTreeSet<(Repository, Digest)>,
}

pub(super) async fn push(
    site: &SiteDir,
    target: &Target,
    checked: &Checked,
    presence: &Presence,
    turn: Option<Arc<Exclusive>>,
    log: &mut Log<'_>,
) -> Result<Done, ImportError> {
    let mut done = Done { there: presence.there.clone(), ..Done::default() };
    match target {
        Target::Registry(registry) => {
            move_blobs(site, registry, presence, &mut done).await?;
            push_blobs(registry, checked, &mut done).await?;
        }
        Target::Store(store) => {
            (done.written, done.present) =
                take_over(store, checked.readers(), turn.clone(), log).await?;
            link_repaired(store, checked, log.now())?;
        }
    }
    log.done("blobs", format!("{} written, {} were there", done.written, done.present));
    push_manifests(target, checked, presence, &mut done, log).await?;
    set_tags(target, checked, log).await?;
    // Until here a collection would find blobs that no repository holds yet.
    drop(turn);
    Ok(done)
}

/// Adopts all segments, then says what is in them. Linking is quick, but a copy from a stick takes
/// minutes: the grace of what is new begins after it.
async fn take_over(
    store: &Store,
    readers: Vec<(Sha256Digest, Reader)>,
    turn: Option<Arc<Exclusive>>,
    log: &Log<'_>,
) -> Result<(u64, u64), ImportError> {
    let ended = |_| ImportError::Thread { what: "taking over" };
    let turn = match turn {
        Some(turn) => turn,
        None => Arc::new(store.exclusive()?),
    };
    let (to, its, now) = (store.clone(), Arc::clone(&turn), log.now());
    let adopting = tokio::task::spawn_blocking(move || {
        let taken = readers.into_iter().map(|(bundle, reader)| {
            let taken = adopt(&to, &its, bundle, &reader, now)?;
            Ok((reader, taken))
        });
        taken.collect::<Result<Vec<(Reader, Taken)>, ImportError>>()
    });
    let taken = adopting.await.map_err(ended)??;
    let (to, now) = (store.clone(), log.now());
    let indexing = tokio::task::spawn_blocking(move || {
        let (mut added, mut there) = (0_u64, 0_u64);
        for (reader, taken) in &taken {
            let found = index(&to, &turn, reader, taken, now)?;
            added = added.saturating_add(found.0);
            there = there.saturating_add(found.1);
        }
        Ok((added, there))
    });
    indexing.await.map_err(ended)?
}

/// Lets repositories hold what was repaired below manifests that they have: those are not put again,
/// and the blobs would belong to nobody.
fn link_repaired(
    store: &Store,
    checked: &Checked,
    now: jiff::Timestamp,
) -> Result<(), ImportError> {
    for required in checked.contents.repaired_blobs() {
        for repository in &required.repositories {
            store.link_blob(repository, &required.digest, now)?;
        }
    }
    Ok(())
}

/// Gives blobs that the registry has to the repositories that need them.
async fn move_blobs(
    site: &SiteDir,
    registry: &Registry,
    presence: &Presence,
    done: &mut Done,
) -> Result<(), ImportError> {
    for (digest, size, to, from) in &presence.moves {
        if registry.mount(to, digest, from).await? {
            done.present = done.present.saturating_add(1);
        } else {
            spool::copy(site.path(), registry, (*digest, *size), to, from).await?;
            done.written = done.written.saturating_add(1);
        }
        done.there.insert((to.clone(), *digest));
    }
    Ok(())
}

/// Pushes every carried blob into the repositories that need it: once, and from there by mount.
async fn push_blobs(
    registry: &Registry,
    checked: &Checked,
    done: &mut Done,
) -> Result<(), ImportError> {
    let mut by_digest: BTreeMap<Digest, (Descriptor, Vec<Repository>)> = BTreeMap::new();
    for ((repository, digest), blob) in checked.contents.blobs() {
        by_digest.entry(digest).or_insert_with(|| (blob, Vec::new())).1.push(repository);
    }
    let readers: Vec<Reader> = checked.readers().into_iter().map(|(_, reader)| reader).collect();
    let jobs = by_digest.into_iter().filter_map(|(digest, (blob, repositories))| {
        // Required ones are there, and layers that need not be in a registry are carried nowhere.
        let reader = readers.iter().find(|reader| reader.has(&digest))?.clone();
        Some((blob, repositories, reader))
    });
    let pushed: Vec<Vec<(Repository, Digest, Pushed)>> = stream::iter(jobs)
        .map(|(blob, repositories, reader)| push_blob(registry, blob, repositories, reader))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    for (repository, digest, pushed) in pushed.into_iter().flatten() {
        let count = match pushed {
            Pushed::Present => &mut done.present,
            Pushed::Mounted | Pushed::Sent => &mut done.written,
        };
        *count = count.saturating_add(1);
        done.there.insert((repository, digest));
    }
    Ok(())
}

async fn push_blob(
    registry: &Registry,
    blob: Descriptor,
    repositories: Vec<Repository>,
    reader: Reader,
) -> Result<Vec<(Repository, Digest, Pushed)>, ImportError> {
    let digest = blob.digest;
    let source = move |offset: u64| -> Pieces {
        match reader.blob_stream(&digest, offset) {
            Ok(pieces) => pieces.map_err(std::io::Error::other).boxed(),
            Err(error) => stream::once(async { Err(std::io::Error::other(error)) }).boxed(),
        }
    };
    let (mut done, mut from) = (Vec::new(), None);
    for repository in repositories {
        let pushed = registry.push_blob(&repository, &blob, from.as_ref(), &source).await?;
        done.push((repository.clone(), digest, pushed));
        from = Some(repository);
    }
    Ok(done)
}

async fn push_manifests(
    target: &Target,
    checked: &Checked,
    presence: &Presence,
    done: &mut Done,
    log: &mut Log<'_>,
) -> Result<(), ImportError> {
    let (written, present) = (done.written, done.present);
    let images = checked.contents.images.iter().flat_map(|placed| {
        let nodes = placed.tree.children_first().into_iter();
        nodes.map(|node| (&placed.image.repository, node))
    });
    // After the images' own, which they may point at.
    let repaired = checked.contents.repaired_manifests();
    let repaired = repaired.flat_map(|(node, places)| places.iter().map(move |at| (at, node)));
    let repaired =
        repaired.filter(|(at, node)| presence.lost.contains(&(Repository::clone(at), node.digest)));
    for (repository, node) in images.chain(repaired) {
        let key = (repository.clone(), node.digest);
        if done.there.contains(&key) {
            continue;
        }
        if push_manifest(target, repository, node, log).await? {
            done.written = done.written.saturating_add(1);
        } else {
            done.present = done.present.saturating_add(1);
        }
        done.there.insert(key);
    }
    let (written, present) =
        (done.written.saturating_sub(written), done.present.saturating_sub(present));
    log.done("manifests", format!("{written} written, {present} were there"));
    Ok(())
}

/// Whether it had to be written.
async fn push_manifest(
    target: &Target,
    repository: &Repository,
    node: &Node,
    log: &Log<'_>,
) -> Result<bool, ImportError> {
    // A manifest with a subject is put again: a run that was killed between the manifest and the
    // list of referrers that some registries need would otherwise never write the list.
    if node.manifest.subject.is_none() && target.has_manifest(repository, &node.digest).await? {
        return Ok(false);
    }
    let reference = Reference::Digest(node.digest);
    let media_type = &node.manifest.media_type;
    target.put_manifest(repository, &reference, media_type, &node.bytes, log.now()).await?;
    Ok(true)
}

async fn set_tags(
    target: &Target,
    checked: &Checked,
    log: &mut Log<'_>,
) -> Result<(), ImportError> {
    let tags = checked.contents.tags();
    for ((repository, tag), digest) in &tags {
        let carried = checked.contents.images.iter().find_map(|placed| {
            let is_it = placed.image.repository == *repository && placed.image.digest == *digest;
            placed.tree.top().filter(|_| is_it)
        });
        let (bytes, media_type) = match carried {
            Some(node) => (node.bytes.clone(), node.manifest.media_type.clone()),
            None => target.manifest(repository, digest).await?.ok_or_else(|| {
                let (target, repository) = (target.told(), repository.to_string());
                ImportError::Vanished { target, digest: *digest, repository }
            })?,
        };
        let reference = Reference::Tag(tag.clone());
        target.put_manifest(repository, &reference, &media_type, &bytes, log.now()).await?;
    }
    log.done("tags", format!("{} set", tags.len()));
    Ok(())
}
