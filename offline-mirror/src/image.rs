//! Walks from an image's digest to everything below it. Pure: whoever walks fetches the bytes.
//!
//! Export and import walk alike, so that import asks for exactly what export wrote.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use signing::Sha256Digest;

use crate::error::Error;
use crate::manifest::{Descriptor, Manifest, ParsedManifest, parse};

/// Indexes inside indexes; real ones nest once, and a bound stops a chain of lies.
pub(crate) const INDEX_DEPTH_MAX: usize = 4;
/// Manifests one image may reach; real ones have a dozen architectures.
const MANIFESTS_MAX: usize = 1024;
/// Bytes of all manifests of one image, which are held in memory.
const MANIFEST_BYTES_TOTAL_MAX: usize = 32 * 1024 * 1024;

/// A manifest that the walk wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Its digest.
    pub(crate) digest: Sha256Digest,
    /// Its length, where an index says so; the release document names no lengths.
    pub(crate) size: Option<u64>,
    depth: usize,
}

/// A manifest with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Media type, digest and length.
    pub(crate) descriptor: Descriptor,
    /// The bytes the digest is of.
    pub(crate) bytes: Vec<u8>,
    children: Vec<Sha256Digest>,
}

/// Everything below one digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ImageTree {
    /// The image's own manifest first.
    manifests: Vec<Node>,
    blobs: BTreeMap<Sha256Digest, Descriptor>,
}

impl ImageTree {
    /// The descriptor of the image itself.
    pub(crate) fn top(&self) -> Option<&Descriptor> {
        self.manifests.first().map(|node| &node.descriptor)
    }

    /// Its blobs, each once.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.blobs.values()
    }

    /// Its manifests, each after everything it points at: registries refuse an index whose
    /// children they do not have.
    pub(crate) fn children_first(&self) -> Vec<&Node> {
        let (mut order, mut placed) = (Vec::new(), BTreeSet::new());
        let mut left: Vec<&Node> = self.manifests.iter().collect();
        while !left.is_empty() {
            let (ready, later): (Vec<_>, Vec<_>) =
                left.iter().partition(|node| node.children.iter().all(|c| placed.contains(c)));
            // Digests cannot form a circle; if they did, pushing in any order is as good.
            let ready = if ready.is_empty() { left.clone() } else { ready };
            placed.extend(ready.iter().map(|node| node.descriptor.digest));
            left = later.into_iter().filter(|n| !placed.contains(&n.descriptor.digest)).collect();
            order.extend(ready);
        }
        order
    }
}

/// A walk in progress: take [`Walk::next`], read it, hand it to [`Walk::visit`], until none is
/// wanted.
#[derive(Debug)]
pub(crate) struct Walk {
    queue: VecDeque<Wanted>,
    known: BTreeSet<Sha256Digest>,
    bytes_total: usize,
    tree: ImageTree,
}

impl Walk {
    /// Starts at an image's digest.
    pub(crate) fn from(digest: Sha256Digest) -> Self {
        Self {
            queue: VecDeque::from([Wanted { digest, size: None, depth: 0 }]),
            known: BTreeSet::from([digest]),
            bytes_total: 0,
            tree: ImageTree::default(),
        }
    }

    /// The manifest to read next.
    pub(crate) fn next(&mut self) -> Option<Wanted> {
        self.queue.pop_front()
    }

    /// Takes a manifest's bytes, whose digest the caller checked.
    pub(crate) fn visit(&mut self, wanted: Wanted, bytes: Vec<u8>) -> Result<(), Error> {
        let digest = wanted.digest;
        let refuse = |why: String| Error::Manifest { digest: digest.to_string(), why };
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if let Some(expected) = wanted.size.filter(|expected| *expected != size) {
            let what = format!("manifest {digest}");
            return Err(Error::Size { what, expected, found: size });
        }
        self.bytes_total = self.bytes_total.saturating_add(bytes.len());
        if self.bytes_total > MANIFEST_BYTES_TOTAL_MAX {
            return Err(refuse(format!(
                "the image's manifests have more than {MANIFEST_BYTES_TOTAL_MAX} bytes"
            )));
        }
        let ParsedManifest { media_type, manifest } = parse(&digest, &bytes)?;
        let children = match manifest {
            Manifest::Image { blobs } => {
                for blob in blobs {
                    self.add_blob(&digest, blob)?;
                }
                Vec::new()
            }
            Manifest::Index { manifests } => self.add_children(wanted, manifests)?,
        };
        let descriptor = Descriptor { media_type, digest, size };
        self.tree.manifests.push(Node { descriptor, bytes, children });
        Ok(())
    }

    /// The tree, once nothing is wanted any more.
    pub(crate) fn finish(self) -> ImageTree {
        self.tree
    }

    fn add_blob(&mut self, manifest: &Sha256Digest, blob: Descriptor) -> Result<(), Error> {
        let known = self.tree.blobs.entry(blob.digest).or_insert_with(|| blob.clone());
        if known.size == blob.size {
            return Ok(());
        }
        let why = format!(
            "blob {} has {} bytes here and {} in another manifest",
            blob.digest, blob.size, known.size
        );
        Err(Error::Manifest { digest: manifest.to_string(), why })
    }

    fn add_children(
        &mut self,
        parent: Wanted,
        children: Vec<Descriptor>,
    ) -> Result<Vec<Sha256Digest>, Error> {
        let refuse = |why: String| Error::Manifest { digest: parent.digest.to_string(), why };
        if parent.depth >= INDEX_DEPTH_MAX {
            return Err(refuse(format!("more than {INDEX_DEPTH_MAX} indexes inside each other")));
        }
        let digests = children.iter().map(|child| child.digest).collect();
        for child in children {
            if self.known.insert(child.digest) {
                let (digest, size) = (child.digest, Some(child.size));
                self.queue.push_back(Wanted { digest, size, depth: parent.depth + 1 });
            }
        }
        if self.known.len() > MANIFESTS_MAX {
            return Err(refuse(format!("the image reaches more than {MANIFESTS_MAX} manifests")));
        }
        Ok(digests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(bytes: &[u8]) -> serde_json::Value {
        serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": Sha256Digest::of(bytes),
            "size": bytes.len(),
        })
    }

    fn index(children: &[&[u8]]) -> Vec<u8> {
        let manifests: Vec<_> = children.iter().map(|c| link(c)).collect();
        serde_json::json!({"schemaVersion": 2, "manifests": manifests}).to_string().into_bytes()
    }

    fn image(layer: &[u8]) -> Vec<u8> {
        let (config, layers) = (link(b"{}"), [link(layer)]);
        serde_json::json!({"schemaVersion": 2, "config": config, "layers": layers})
            .to_string()
            .into_bytes()
    }

    fn walk(files: &[&[u8]]) -> Result<ImageTree, Error> {
        let mut walk = Walk::from(Sha256Digest::of(files[0]));
        while let Some(wanted) = walk.next() {
            let bytes = files.iter().find(|f| Sha256Digest::of(f) == wanted.digest).unwrap();
            walk.visit(wanted, bytes.to_vec())?;
        }
        Ok(walk.finish())
    }

    #[test]
    fn a_child_shared_by_two_levels_is_still_pushed_before_both() {
        let leaf = image(b"layer");
        let inner = index(&[&leaf]);
        let outer = index(&[&leaf, &inner]);
        let also = index(&[&inner, &leaf]);
        for top in [&outer, &also] {
            let tree = walk(&[top, &inner, &leaf]).unwrap();
            let order: Vec<_> = tree.children_first().iter().map(|n| n.descriptor.digest).collect();
            assert_eq!(order, [&leaf, &inner, top].map(|b| Sha256Digest::of(b)));
        }
    }

    #[test]
    fn indexes_nested_too_deep_are_refused() {
        let mut chain = vec![image(b"layer")];
        for _ in 0..=INDEX_DEPTH_MAX {
            let next = index(&[chain.last().unwrap()]);
            chain.push(next);
        }
        chain.reverse();
        let files: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        let error = walk(&files).unwrap_err();
        assert!(matches!(error, Error::Manifest { ref why, .. } if why.contains("inside each")));
        assert!(walk(&files[1..]).is_ok(), "one less is fine");
    }

    #[test]
    fn a_child_of_another_length_than_its_index_says_is_refused() {
        let leaf = image(b"layer");
        let mut lie: serde_json::Value = serde_json::from_slice(&index(&[&leaf])).unwrap();
        lie["manifests"][0]["size"] = 7.into();
        let lie = lie.to_string().into_bytes();
        assert!(matches!(walk(&[&lie, &leaf]), Err(Error::Size { expected: 7, .. })));
    }

    #[test]
    fn one_blob_with_two_lengths_is_refused() {
        let one = image(b"layer");
        let two = String::from_utf8(one.clone()).unwrap().replace("\"size\":5", "\"size\":6");
        let top = index(&[&one, two.as_bytes()]);
        let error = walk(&[&top, &one, two.as_bytes()]).unwrap_err();
        assert!(matches!(error, Error::Manifest { ref why, .. } if why.contains("another")));
    }
}
