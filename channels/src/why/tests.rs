//! Each reason, and that the reasons always agree with the compiler.

use proptest::prelude::*;

use super::*;
use crate::compile::compile;
use crate::repository::ProductSource;
use crate::repository::tests::{SETTINGS, product, release, workspace};

fn ask(product: &ProductSource, from: &str, to: &str) -> Why {
    let compiled = compile(product).unwrap();
    let (channel, arch, graph) = &compiled.graphs[0];
    let source = &product.channels[channel];
    why(product, source, arch, graph, &from.parse().unwrap(), &to.parse().unwrap())
}

const RELEASES: [(&str, &str); 4] = [
    ("1.0.0", "upgrade_from: []\n"),
    ("1.1.0", "upgrade_from: [\"^1.0\"]\n"),
    ("1.2.0", "upgrade_from: [\">=1.1.0, <1.2.0\"]\ndowngrade_from: [\"=1.3.0\"]\n"),
    ("1.3.0", "upgrade_from: [\"<1.3.0\"]\n"),
];

fn said(why: &Why) -> Vec<String> {
    why.reasons.iter().map(ToString::to_string).collect()
}

#[test]
fn a_requirement_that_allows_or_refuses_is_named_with_its_file() {
    let product = product(&RELEASES, "versions: [1.0.0, 1.1.0, 1.2.0, 1.3.0]\n", &[]);
    let yes = ask(&product, "1.0.0", "1.1.0");
    assert_eq!(yes.edge, Edge::Recommended);
    assert_eq!(said(&yes), ["app/releases/1.1.0.yaml: upgrade_from allows it by \"^1.0\""]);
    let no = ask(&product, "1.0.0", "1.2.0");
    assert_eq!(no.edge, Edge::None);
    assert_eq!(
        said(&no),
        ["app/releases/1.2.0.yaml: upgrade_from lists \">=1.1.0, <1.2.0\", and none matches"]
    );
    let back = ask(&product, "1.3.0", "1.2.0");
    assert_eq!(
        (back.edge, said(&back)),
        (
            Edge::Recommended,
            vec!["app/releases/1.2.0.yaml: downgrade_from allows it by \"=1.3.0\"".to_owned()]
        )
    );
    let never = ask(&product, "1.1.0", "1.0.0");
    assert_eq!(said(&never), ["app/releases/1.0.0.yaml: downgrade_from is empty"]);
}

#[test]
fn blocks_and_risks_name_their_files() {
    let risk = "to: 1.3.0\nfrom: .*\nname: R\nurl: https://e.com\nmessage: bad\nmatchingRules:\n- \
                type: PromQL\n  promql:\n    promql: |\n      up ==\n      1\n- type: Always\n";
    let blocks = [("r", risk), ("plain", "to: 1.3.0\nfrom: <1.1.0\n")];
    let product = product(&RELEASES, "versions: [1.0.0, 1.1.0, 1.3.0]\n", &blocks);
    let risky = ask(&product, "1.1.0", "1.3.0");
    assert_eq!(risky.edge, Edge::Conditional);
    assert_eq!(
        said(&risky)[0],
        "app/blocked-edges/r.yaml: risk R: bad (https://e.com; PromQL: up == 1; else Always)"
    );
    let gone = ask(&product, "1.0.0", "1.3.0");
    assert_eq!(gone.edge, Edge::None);
    assert_eq!(gone.reasons[0], Reason::Blocked { file: "app/blocked-edges/plain.yaml".into() });
}

#[test]
fn tombstones_barriers_dead_ends_and_minors_are_told() {
    let channel = "versions: [1.0.0, 1.1.0, 1.2.0, 1.3.0]\nbarriers: {1.2.0: converts the log}\n\
                   dead_ends: {1.1.0: was a preview}\n";
    let product = product(&RELEASES, channel, &[]);
    let jump = ask(&product, "1.1.0", "1.3.0");
    let file = "app/channels/stable.yaml";
    assert_eq!(
        said(&jump)[..2],
        [
            format!("{file}: 1.1.0 is a dead end: was a preview"),
            format!("{file}: no edge jumps over 1.2.0: converts the log")
        ]
    );
    let one = release("1.0.0", "upgrade_from: []\n");
    let two = release("1.1.0", "upgrade_from: [\"*\"]\n");
    let three = release("1.2.0", "upgrade_from: [\"*\"]\nminor_hops: 1\n");
    let files = [
        ("app/fairway.toml", SETTINGS),
        ("app/releases/1.0.0.yaml", &one),
        ("app/releases/1.1.0.yaml", &two),
        ("app/releases/1.2.0.yaml", &three),
        (
            "app/channels/stable.yaml",
            "name: stable\nversions: [1.0.0, 1.2.0]\ntombstones: [1.1.0]\n",
        ),
    ];
    let product = workspace(&files).unwrap().products.remove(0);
    let far = ask(&product, "1.0.0", "1.2.0");
    assert_eq!(said(&far)[0], "app/releases/1.2.0.yaml: it passes 2 minors, at most 1 allowed");
    let dead = ask(&product, "1.0.0", "1.1.0");
    assert_eq!(said(&dead)[0], format!("{file}: 1.1.0 is a tombstone, nothing moves to it"));
}

#[test]
fn what_is_not_there_is_told_apart() {
    let arm = "upgrade_from: [\"^1.0\"]\n";
    let releases = [RELEASES[0], ("1.1.0", arm), RELEASES[3]];
    let product = product(&releases, "versions: [1.0.0]\n", &[]);
    assert_eq!(ask(&product, "1.0.0", "1.0.0").reasons, [Reason::SameVersion]);
    let unlisted = ask(&product, "1.0.0", "1.3.0");
    let version: ReleaseVersion = "1.3.0".parse().unwrap();
    let file = PathBuf::from("app/channels/stable.yaml");
    assert_eq!(unlisted.reasons[0], Reason::NotInChannel { version, file });
    let unknown = ask(&product, "1.0.0", "9.0.0");
    let version: ReleaseVersion = "9.0.0".parse().unwrap();
    assert_eq!(unknown.reasons, [Reason::NoRelease { version }]);
}

#[test]
fn another_architecture_is_a_reason() {
    let digest = signing::Sha256Digest::of(b"x");
    let arm =
        format!("upgrade_from: [\"^1.0\"]\narches: {{arm64: {{payload: acme/a@{digest}}}}}\n");
    let releases = [RELEASES[0], ("1.1.0", arm.as_str())];
    let product = product(&releases, "versions: [1.0.0, 1.1.0+arm64]\n", &[]);
    let version: ReleaseVersion = "1.1.0".parse().unwrap();
    assert_eq!(ask(&product, "1.0.0", "1.1.0").reasons[0], Reason::NotOnArch { version });
}

fn any_product() -> impl Strategy<Value = ProductSource> {
    let requirement = prop_oneof![
        Just("\"*\""),
        Just("\"<1.2.0\""),
        Just("\"^1.1\""),
        Just("\">=1.0.0, <1.3.0\""),
        Just("")
    ];
    let each = prop::collection::vec((requirement, any::<bool>(), 0_u8..6, 0_u8..4), 6);
    let blocks = prop::collection::vec((0_usize..6, 0_usize..6, any::<bool>()), 0..4);
    (each, blocks).prop_map(|(each, blocks)| {
        let versions = ["1.0.0", "1.0.1", "1.1.0", "1.2.0", "1.2.1", "1.3.0"];
        let (mut texts, mut listed) = (Vec::new(), (Vec::new(), Vec::new()));
        let mut marks = (String::new(), String::new());
        for (version, (from, down, place, hops)) in versions.iter().zip(each) {
            let down = if down { "downgrade_from: [\"*\"]\n" } else { "" };
            let hops = if hops < 3 { format!("minor_hops: {hops}\n") } else { String::new() };
            texts.push((*version, format!("upgrade_from: [{from}]\n{down}{hops}")));
            match place {
                0 => {}
                1 => listed.1.push(*version),
                2 => {
                    listed.0.push(*version);
                    marks.0.extend(["  ", version, ": reason\n"]);
                }
                3 => {
                    listed.0.push(*version);
                    marks.1.extend(["  ", version, ": reason\n"]);
                }
                _ => listed.0.push(*version),
            }
        }
        let mut channel =
            format!("versions: [{}]\ntombstones: [{}]\n", listed.0.join(","), listed.1.join(","));
        for (key, marks) in [("barriers", marks.0), ("dead_ends", marks.1)] {
            if !marks.is_empty() {
                channel.extend([key, ":\n", marks.as_str()]);
            }
        }
        let risk = "name: R\nurl: https://e.com\nmessage: m\nmatchingRules: [{type: Always}]\n";
        let block = |(number, (to, from, plain)): (usize, (usize, usize, bool))| {
            let (to, from) = (versions[to], versions[from]);
            let risk = if plain { "" } else { risk };
            (number.to_string(), format!("to: \">={to}\"\nfrom: \"<={from}\"\n{risk}"))
        };
        let blocks: Vec<(String, String)> = blocks.into_iter().enumerate().map(block).collect();
        let texts: Vec<(&str, &str)> = texts.iter().map(|(v, t)| (*v, t.as_str())).collect();
        let blocks: Vec<(&str, &str)> =
            blocks.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        product(&texts, &channel, &blocks)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_reasons_explain_what_the_compiler_did(product in any_product()) {
        let compiled = compile(&product).unwrap();
        for (channel, arch, graph) in &compiled.graphs {
            for from in product.releases.keys() {
                for to in product.releases.keys() {
                    let why = why(&product, &product.channels[channel], arch, graph, from, to);
                    let forbidden = why.reasons.iter().any(Reason::forbids);
                    let risky = why.reasons.iter().any(|one| matches!(one, Reason::Risk { .. }));
                    let told = match (forbidden, risky) {
                        (true, _) => Edge::None,
                        (false, true) => Edge::Conditional,
                        (false, false) => Edge::Recommended,
                    };
                    prop_assert_eq!(why.edge, told, "{:?}", why);
                }
            }
        }
    }
}
