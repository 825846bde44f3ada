//! Which edges a drawing needs: the transitive reduction of a graph.

use super::Graph;

/// Bits in one word of a row of reachable nodes.
const WORD_BITS: usize = 64;

/// Outgoing edges `(to, is plain)` of every node, by node; all lead to a higher number.
type Ascending = Vec<Vec<(usize, bool)>>;

impl Graph {
    /// The edges `(from, to)` that a drawing needs, sorted: what is left out follows from them.
    ///
    /// An upgrade without a risk is left out where other upgrades without a risk lead the same way,
    /// and one with risks where any other upgrades do. So whoever can get from one release to
    /// another, with risks or without, can still be seen to. Downgrades are treated in the same
    /// way, apart from upgrades. Edges from a release to itself are left out.
    ///
    /// Takes `n² / 8` bytes for `n` nodes and up to `n / 64` steps for each edge that is kept: at
    /// the bounds of a graph ([`super::MAX_NODES`], [`super::MAX_EDGES`]) 50 MB and a second, for a
    /// channel of OpenShift well under a millisecond.
    pub fn reduced_edges(&self) -> Vec<(usize, usize)> {
        let count = self.nodes.len();
        let mirrored = |index: usize| count - 1 - index;
        let mut up: Ascending = vec![Vec::new(); count];
        let mut down: Ascending = vec![Vec::new(); count];
        for from in 0..count {
            for (to, risks) in self.offers_at(from) {
                if to > from {
                    up[from].push((to, risks.is_empty()));
                } else if to < from {
                    down[mirrored(from)].push((mirrored(to), risks.is_empty()));
                }
            }
        }
        let mut kept = reduce(&mut up);
        kept.extend(reduce(&mut down).iter().map(|&(from, to)| (mirrored(from), mirrored(to))));
        kept.sort_unstable();
        kept
    }
}

fn reduce(edges: &mut Ascending) -> Vec<(usize, usize)> {
    for targets in edges.iter_mut() {
        targets.sort_unstable();
    }
    let mut kept = Vec::new();
    needed(edges, |plain| plain, |from, to, _| kept.push((from, to)));
    needed(
        edges,
        |_| true,
        |from, to, plain| {
            if !plain {
                kept.push((from, to));
            }
        },
    );
    kept
}

/// Calls `keep` with every edge of those `wanted` that no longer way among them stands for.
fn needed(
    edges: &Ascending,
    wanted: impl Fn(bool) -> bool,
    mut keep: impl FnMut(usize, usize, bool),
) {
    let words = edges.len().div_ceil(WORD_BITS);
    let mut reachable = vec![0_u64; edges.len() * words];
    for (from, targets) in edges.iter().enumerate().rev() {
        // All edges lead upwards, so the rows of the targets are finished.
        let (below, above) = reachable.split_at_mut((from + 1) * words);
        let row = &mut below[from * words..];
        // The first step of a longer way is to a lower number than its end, so it comes first here.
        for &(to, plain) in targets.iter().filter(|(_, plain)| wanted(*plain)) {
            let bit = 1 << (to % WORD_BITS);
            if row[to / WORD_BITS] & bit != 0 {
                continue;
            }
            keep(from, to, plain);
            row[to / WORD_BITS] |= bit;
            let begin = (to - from - 1) * words;
            for (mine, theirs) in row.iter_mut().zip(&above[begin..begin + words]) {
                *mine |= theirs;
            }
        }
    }
}
