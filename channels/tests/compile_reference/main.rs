//! Compile against a slow, obvious reading of docs/channel-repository.md, over random products.
#![expect(clippy::unwrap_used, reason = "tests")]

mod products;
mod reference;

use channels::cincinnati::to_json;
use channels::compile::{Compiled, Incremental, compile};
use channels::repository::ProductSource;
use products::{edits, product, shuffled};
use proptest::prelude::*;

/// Every graph's bytes, by channel and architecture.
fn bytes(compiled: &Compiled) -> Vec<(String, String, String)> {
    let text = |graph| String::from_utf8(to_json(graph)).unwrap();
    let graphs = compiled.graphs.iter();
    graphs.map(|(name, arch, graph)| (name.to_string(), arch.to_string(), text(graph))).collect()
}

fn compiled(source: &ProductSource) -> Compiled {
    compile(source).unwrap_or_else(|errors| panic!("{errors:?}"))
}

proptest! {
    #[test]
    fn compile_gives_what_the_manual_says(source in product()) {
        let compiled = compiled(&source);
        let graphs: Vec<_> = compiled.graphs.iter().map(reference::content).collect();
        prop_assert_eq!(graphs, reference::graphs(&source));
    }

    #[test]
    fn the_order_of_entries_and_files_changes_no_byte((one, two) in shuffled()) {
        prop_assert_eq!(bytes(&compiled(&one)), bytes(&compiled(&two)));
    }

    #[test]
    fn two_runs_give_the_same_bytes(source in product()) {
        prop_assert_eq!(bytes(&compiled(&source)), bytes(&compiled(&source)));
    }

    #[test]
    fn compiling_again_after_edits_gives_what_a_full_compile_gives(sources in edits()) {
        let mut again = Incremental::new();
        let mut last: Vec<(String, String, String)> = Vec::new();
        for source in &sources {
            let (fresh, full) = (again.compile(source).unwrap().clone(), compiled(source));
            prop_assert!(fresh == full, "the incremental answer differs");
            let full = bytes(&full);
            prop_assert_eq!(&bytes(&fresh), &full);
            for (channel, arch, text) in &full {
                let built = again.rebuilt().iter().any(|(one, on)| {
                    (one.as_str(), on.as_str()) == (channel.as_str(), arch.as_str())
                });
                let same = last.iter().any(|old| (&old.0, &old.1, &old.2) == (channel, arch, text));
                prop_assert!(same || built, "{channel} on {arch} changed and was not built");
            }
            last = full;
        }
        let compiled_again = again.compile(sources.last().unwrap()).unwrap().clone();
        prop_assert_eq!(bytes(&compiled_again), last);
        prop_assert_eq!(again.rebuilt(), &[]);
    }
}
