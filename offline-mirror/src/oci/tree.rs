//! Walks from a manifest's digest to everything below it. Pure: whoever walks fetches the bytes.
//!
//! Create and import walk alike, so that import asks for exactly what create carried. Referrers are
//! not below their subject; each is the top of a tree of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::digest::Digest;
use super::manifest::{Descriptor, Manifest, ManifestError};

/// Indexes inside indexes; real ones nest once, and a bound stops a chain of lies.
pub(crate) const INDEX_DEPTH_MAX: usize = 4;
/// Manifests one image may reach; real ones have a dozen architectures.
const MANIFESTS_MAX: usize = 1024;
/// Bytes of all manifests of one image, which are held in memory.
const MANIFEST_BYTES_TOTAL_MAX: usize = 32 * 1024 * 1024;

/// A tree that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A manifest's bytes cannot be read.
    #[error("manifest {digest}")]
    Manifest {
        /// Which.
        digest: Digest,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// A manifest has another length than the index above it says.
    #[error("manifest {digest}: its index says {expected} bytes, it has {found}")]
    Size {
        /// Which.
        digest: Digest,
        /// From the index.
        expected: u64,
        /// Of the bytes at hand.
        found: u64,
    },
    /// One blob with two lengths.
    #[error("blob {blob} has {found} bytes in manifest {digest} and {known} in another")]
    Contradiction {
        /// The manifest.
        digest: Digest,
        /// The blob.
        blob: Digest,
        /// Length there.
        found: u64,
        /// Length elsewhere.
        known: u64,
    },
    /// More than any real image has.
    #[error("manifest {digest}: the image has more than {limit} {unit}")]
    TooMuch {
        /// Where the bound was passed.
        digest: Digest,
        /// Of what.
        unit: &'static str,
        /// The bound.
        limit: usize,
    },
}

/// A manifest that the walk wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Its digest.
    pub digest: Digest,
    /// Its length, where an index says so; release documents name no lengths.
    pub size: Option<u64>,
    depth: usize,
}

/// A manifest with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Digest of the bytes.
    pub digest: Digest,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What they say.
    pub manifest: Manifest,
}

impl Node {
    /// Its descriptor.
    pub fn descriptor(&self) -> Descriptor {
        let size = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        Descriptor::new(&self.manifest.media_type, self.digest, size)
    }
}

/// Everything below one digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// The top first, then as the walk met them.
    manifests: Vec<Node>,
    blobs: BTreeMap<Digest, Descriptor>,
}

impl Tree {
    /// The manifest that the walk began with.
    pub fn top(&self) -> Option<&Node> {
        self.manifests.first()
    }

    /// All manifests, the top first.
    pub fn manifests(&self) -> &[Node] {
        &self.manifests
    }

    /// Its blobs, each once, in the order of their digests.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.blobs.values()
    }

    /// Its manifests, each after everything it points at: registries refuse an index whose
    /// children they do not have. Children that were not visited are elsewhere already.
    pub fn children_first(&self) -> Vec<&Node> {
        let (mut order, mut placed) = (Vec::new(), BTreeSet::new());
        let mut left: Vec<&Node> = self.manifests.iter().collect();
        let visited: BTreeSet<Digest> = left.iter().map(|node| node.digest).collect();
        while !left.is_empty() {
            let is_ready = |node: &&Node| {
                let mut children = node.manifest.children().iter().map(|child| child.digest);
                children.all(|child| placed.contains(&child) || !visited.contains(&child))
            };
            let (ready, later): (Vec<_>, Vec<_>) = left.iter().copied().partition(is_ready);
            // Digests cannot form a circle; if they did, pushing in any order is as good.
            let (ready, later) = if ready.is_empty() { (left, Vec::new()) } else { (ready, later) };
            placed.extend(ready.iter().map(|node| node.digest));
            left = later;
            order.extend(ready);
        }
        order
    }
}

/// A walk in progress: take [`Walk::next`], read it, hand it to [`Walk::visit`], until none is
/// wanted.
#[derive(Debug)]
pub struct Walk {
    queue: VecDeque<Wanted>,
    known: BTreeSet<Digest>,
    bytes_total: usize,
    tree: Tree,
}

impl Walk {
    /// Starts at a manifest's digest.
    pub fn from(digest: Digest) -> Self {
        Self {
            queue: VecDeque::from([Wanted { digest, size: None, depth: 0 }]),
            known: BTreeSet::from([digest]),
            bytes_total: 0,
            tree: Tree::default(),
        }
    }

    /// The manifest to read next.
    #[expect(clippy::should_implement_trait, reason = "what comes next depends on visits")]
    pub fn next(&mut self) -> Option<Wanted> {
        self.queue.pop_front()
    }

    /// Takes a manifest's bytes, whose digest the caller checked.
    ///
    /// # Errors
    /// When the bytes are no manifest, contradict what is known, or pass a bound.
    pub fn visit(&mut self, wanted: Wanted, bytes: Vec<u8>) -> Result<(), TreeError> {
        let digest = wanted.digest;
        let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if let Some(expected) = wanted.size.filter(|expected| *expected != found) {
            return Err(TreeError::Size { digest, expected, found });
        }
        self.bytes_total = self.bytes_total.saturating_add(bytes.len());
        if self.bytes_total > MANIFEST_BYTES_TOTAL_MAX {
            let (unit, limit) = ("bytes of manifests", MANIFEST_BYTES_TOTAL_MAX);
            return Err(TreeError::TooMuch { digest, unit, limit });
        }
        let manifest =
            Manifest::parse(&bytes).map_err(|source| TreeError::Manifest { digest, source })?;
        for blob in manifest.blobs() {
            self.add_blob(digest, blob)?;
        }
        self.add_children(wanted, manifest.children())?;
        self.tree.manifests.push(Node { digest, bytes, manifest });
        Ok(())
    }

    /// The tree, once nothing is wanted any more.
    pub fn finish(self) -> Tree {
        self.tree
    }

    fn add_blob(&mut self, digest: Digest, blob: &Descriptor) -> Result<(), TreeError> {
        let known = self.tree.blobs.entry(blob.digest).or_insert_with(|| blob.clone());
        if known.size == blob.size {
            return Ok(());
        }
        let (found, known, blob) = (blob.size, known.size, blob.digest);
        Err(TreeError::Contradiction { digest, blob, found, known })
    }

    fn add_children(&mut self, parent: Wanted, children: &[Descriptor]) -> Result<(), TreeError> {
        let digest = parent.digest;
        if !children.is_empty() && parent.depth >= INDEX_DEPTH_MAX {
            let (unit, limit) = ("indexes inside each other", INDEX_DEPTH_MAX);
            return Err(TreeError::TooMuch { digest, unit, limit });
        }
        for child in children {
            if self.known.insert(child.digest) {
                let (digest, size) = (child.digest, Some(child.size));
                self.queue.push_back(Wanted { digest, size, depth: parent.depth + 1 });
            }
        }
        if self.known.len() > MANIFESTS_MAX {
            return Err(TreeError::TooMuch { digest, unit: "manifests", limit: MANIFESTS_MAX });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(bytes: &[u8]) -> serde_json::Value {
        serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": Digest::of(bytes),
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

    fn walk(files: &[&[u8]]) -> Result<Tree, TreeError> {
        let mut walk = Walk::from(Digest::of(files[0]));
        while let Some(wanted) = walk.next() {
            let bytes = files.iter().find(|f| Digest::of(f) == wanted.digest).unwrap();
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
            let order: Vec<_> = tree.children_first().iter().map(|n| n.digest).collect();
            assert_eq!(order, [&leaf, &inner, top].map(|b| Digest::of(b)));
            assert_eq!(tree.top().unwrap().digest, Digest::of(top));
        }
    }

    #[test]
    fn a_child_that_is_elsewhere_does_not_turn_the_order_round() {
        let (here, elsewhere) = (image(b"here"), image(b"elsewhere"));
        let top = index(&[&here, &elsewhere]);
        let mut walk = Walk::from(Digest::of(&top));
        while let Some(wanted) = walk.next() {
            if let Some(bytes) = [&top, &here].into_iter().find(|b| Digest::of(b) == wanted.digest)
            {
                walk.visit(wanted, bytes.clone()).unwrap();
            }
        }
        let tree = walk.finish();
        let order: Vec<_> = tree.children_first().iter().map(|node| node.digest).collect();
        assert_eq!(order, [&here, &top].map(|bytes| Digest::of(bytes)));
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
        assert!(matches!(error, TreeError::TooMuch { limit: INDEX_DEPTH_MAX, .. }));
        assert!(walk(&files[1..]).is_ok(), "one less is fine");
    }

    #[test]
    fn a_child_of_another_length_than_its_index_says_is_refused() {
        let leaf = image(b"layer");
        let mut lie: serde_json::Value = serde_json::from_slice(&index(&[&leaf])).unwrap();
        lie["manifests"][0]["size"] = 7.into();
        let lie = lie.to_string().into_bytes();
        assert!(matches!(walk(&[&lie, &leaf]), Err(TreeError::Size { expected: 7, .. })));
    }

    #[test]
    fn one_blob_with_two_lengths_is_refused() {
        let one = image(b"layer");
        let two = String::from_utf8(one.clone()).unwrap().replace("\"size\":5", "\"size\":6");
        let top = index(&[&one, two.as_bytes()]);
        let error = walk(&[&top, &one, two.as_bytes()]).unwrap_err();
        assert!(matches!(error, TreeError::Contradiction { .. }));
    }
}
