//! What is taken and what is not; sums against a recount; what leaves a site and what does not.

use std::collections::{BTreeMap, BTreeSet};

use channels::wire::{
    AcceptedRisk, ClusterRow, Drift, HealthSummary, HealthVerdict, Phase, ProductRow, Reason,
    Redaction, SiteChannel, SiteCluster, SiteCounts, SiteProduct, SiteReason, SiteStatus,
    WaitingOn,
};
use proptest::prelude::*;
use signing::{Attack, SecretKey, Sha256Digest, Statement};

use super::*;
use crate::fleet::tests::Line;
use crate::fleet::{ClusterFilter, DriftMemo, View};

const NOW: i64 = 1_790_000_000;
const DAY_S: i64 = 86_400;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn no_drift() -> Drift {
    Drift::no_graph()
}

fn product(name: &str, version: &str, phase: Phase) -> SiteProduct {
    SiteProduct {
        product: name.parse().unwrap(),
        channel: "stable".parse().unwrap(),
        arch: "amd64".parse().unwrap(),
        version: version.parse().unwrap(),
        target: None,
        phase,
        since: at(NOW),
        progress: None,
        health: HealthVerdict::Healthy,
        drift: no_drift(),
        failure: None,
        reasons: vec![SiteReason { code: "held".to_owned(), message: None }],
        accepted_risks: Vec::new(),
    }
}

fn cluster(n: u128, freshness: Freshness, products: Vec<SiteProduct>) -> SiteCluster {
    SiteCluster {
        id: channels::names::ClusterId(uuid::Uuid::from_u128(n)),
        name: format!("rig-{n}"),
        labels: BTreeMap::new(),
        enrolled_at: at(NOW),
        last_report_at: Some(at(NOW)),
        freshness,
        products,
    }
}

fn status(site: &str, sequence: u64, clusters: Vec<SiteCluster>) -> SiteStatus {
    SiteStatus {
        format: SiteStatus::FORMAT,
        critical: Vec::new(),
        site: site.parse().unwrap(),
        hub_version: "0.1.0".to_owned(),
        sequence,
        made_at: at(NOW),
        good_for_s: 7 * 86_400,
        redacted: BTreeSet::new(),
        newest_bundle: None,
        receipt: None,
        counts: SiteCounts::default(),
        channels: vec![SiteChannel {
            product: "acme/kafka".parse().unwrap(),
            channel: "stable".parse().unwrap(),
            arch: "amd64".parse().unwrap(),
            head: Some("1.0.2".parse().unwrap()),
            graph_digest: Sha256Digest::of(b"graph"),
        }],
        clusters,
    }
}

fn site(name: &str, floor: u64, carried: Option<SiteStatus>) -> Site {
    let origin = Origin { digest: Sha256Digest::of(b"file"), at: at(NOW), by: "mira".to_owned() };
    Site {
        name: name.parse().unwrap(),
        key: key(1).public().clone(),
        description: String::new(),
        expected_interval_s: None,
        registered_at: at(NOW),
        registered_by: "mira".to_owned(),
        floor,
        newest: None,
        carried: carried.map(|status| Arc::new(Carried::new(status, origin, |_| false))),
    }
}

fn taken(site: &Site, bytes: &[u8], now: Timestamp) -> Result<SiteStatus, AcceptError> {
    let statement = Statement::parse(SiteStatus::KIND, bytes).map_err(AcceptError::Statement)?;
    let claimed = claimed_site(&statement, Some(&site.name))?;
    assert_eq!(claimed, site.name);
    accept(site, &statement, now)
}

#[test]
fn a_status_signed_by_the_registered_key_is_taken() {
    let north = status("north", 7, vec![cluster(1, Freshness::Fresh, vec![])]);
    let bytes = seal(&north, &key(1)).unwrap();
    assert_eq!(taken(&site("north", 6, None), &bytes, at(NOW)), Ok(north));
    assert!(bytes.ends_with(b"}\n") && bytes.windows(3).any(|w| w == b"\n  "), "readable");
}

#[test]
fn refusals_name_the_attack() {
    let good = status("north", 7, vec![]);
    let sealed = |status: &SiteStatus, seed| seal(status, &key(seed)).unwrap();
    let attack = |bytes: &[u8], floor, now| {
        taken(&site("north", floor, None), bytes, now).unwrap_err().attack()
    };
    let other_key = sealed(&good, 2);
    assert_eq!(attack(&other_key, 0, at(NOW)), Some(Attack::ArbitrarySoftware));
    let old = sealed(&good, 1);
    for floor in [7, 8] {
        assert_eq!(attack(&old, floor, at(NOW)), Some(Attack::Rollback));
    }
    let foreign = sealed(&status("south", 7, vec![]), 1);
    assert_eq!(attack(&foreign, 0, at(NOW)), Some(Attack::WrongSoftware));
    let receipt = signing::statement::sign("fairway-receipt", &good, &[&key(1)]).unwrap();
    assert_eq!(attack(&receipt, 0, at(NOW)), Some(Attack::WrongSoftware));
}

#[test]
fn a_status_from_the_future_is_refused_but_a_clock_may_be_off() {
    let bytes = seal(&status("north", 7, vec![]), &key(1)).unwrap();
    let north = site("north", 0, None);
    assert!(taken(&north, &bytes, at(NOW - 3_600)).is_ok());
    let error = taken(&north, &bytes, at(NOW - 3_601)).unwrap_err();
    assert!(matches!(error, AcceptError::FromFuture { .. }), "{error}");
}

#[test]
fn the_newest_file_may_come_again_and_no_other_of_its_sequence() {
    let north = status("north", 7, vec![]);
    let bytes = seal(&north, &key(1)).unwrap();
    let newest = Some(Sha256Digest::of(&bytes));
    let known = Site { newest, ..site("north", 7, Some(north.clone())) };
    assert!(taken(&known, &bytes, at(NOW)).is_ok());
    let other = SiteStatus { newest_bundle: Some(9), ..north };
    let error = taken(&known, &seal(&other, &key(1)).unwrap(), at(NOW)).unwrap_err();
    assert_eq!(error.attack(), Some(Attack::Rollback));
}

#[test]
fn what_is_over_a_bound_or_newer_than_this_hub_is_refused_by_name() {
    let newer = SiteStatus { format: 2, ..status("north", 7, vec![]) };
    let error = taken(&site("north", 0, None), &seal(&newer, &key(1)).unwrap(), at(NOW));
    assert!(error.unwrap_err().to_string().contains("format=2"));
    let twice = vec![cluster(1, Freshness::Fresh, vec![]), cluster(1, Freshness::Late, vec![])];
    let bytes = seal(&status("north", 7, twice), &key(1)).unwrap();
    let error = taken(&site("north", 0, None), &bytes, at(NOW)).unwrap_err();
    assert!(error.to_string().contains("is listed twice"), "{error}");
}

#[test]
fn nothing_carried_is_ever_fresh() {
    let week = 7 * DAY_S;
    for (age_s, class) in [
        (0, Freshness::Carried),
        (week, Freshness::Carried),
        (week + 1, Freshness::Late),
        (2 * week, Freshness::Late),
        (2 * week + 1, Freshness::Silent),
        (-week - 1, Freshness::Late),
    ] {
        let north = site("north", 7, Some(status("north", 7, vec![])));
        assert_eq!(north.freshness(at(NOW + age_s)), class, "{age_s} s");
        let short = Site { expected_interval_s: Some(60), ..north };
        let silent = age_s > 120;
        assert_eq!(short.freshness(at(NOW + age_s)) == Freshness::Silent, silent, "{age_s} s");
    }
    assert_eq!(site("south", 0, None).freshness(at(NOW)), Freshness::Never);
}

#[test]
fn what_was_silent_at_the_site_stays_silent_however_young_the_file() {
    let classes = [Freshness::Fresh, Freshness::Late, Freshness::Silent, Freshness::Never];
    let clusters = classes.iter().zip(1..).map(|(class, n)| cluster(n, *class, vec![])).collect();
    let mut sites = Sites::default();
    sites.put(site("north", 7, Some(status("north", 7, clusters))));
    let mut memo = DriftMemo::default();
    let mut view = View::new(at(NOW), &Line, &mut memo);
    let (rows, next) = sites.page(&ClusterFilter::default(), None, 10, &mut view);
    let found: Vec<Freshness> = rows.iter().map(|row| row.freshness).collect();
    let wanted =
        [Freshness::Carried, Freshness::Late, Freshness::Silent, Freshness::Never].to_vec();
    assert_eq!((found, next), (wanted, None));
    assert!(rows.iter().all(|row| row.as_of == Some(at(NOW)) && row.site.is_some()));
}

#[test]
fn a_cluster_that_reports_here_itself_is_left_out_of_the_file() {
    let live = cluster(2, Freshness::Fresh, vec![product("acme/kafka", "1.0.0", Phase::Idle)]);
    let id = live.id;
    let dark = cluster(1, Freshness::Fresh, vec![product("acme/kafka", "1.0.1", Phase::Idle)]);
    let origin = Origin { digest: Sha256Digest::of(b""), at: at(NOW), by: "mira".to_owned() };
    let carried = Carried::new(status("north", 7, vec![live, dark]), origin, |c| c == id);
    assert_eq!((carried.live_here.as_slice(), carried.status.clusters.len()), (&[id][..], 1));
    let sum: u64 = carried.tally.values().flat_map(|graph| graph.groups.values()).sum();
    assert_eq!(sum, 1, "and out of every figure");
}

fn accepted(name: &str, reason: &str) -> AcceptedRisk {
    AcceptedRisk { name: name.to_owned(), reason: reason.to_owned(), until: Some(at(NOW)) }
}

/// The hub's own row of a cluster whose every word is a secret.
fn secretive() -> ClusterRow {
    ClusterRow {
        id: channels::names::ClusterId(uuid::Uuid::from_u128(5)),
        name: "SECRET-name".to_owned(),
        site: None,
        as_of: None,
        labels: [("SECRET-key".to_owned(), "SECRET-value".to_owned())].into(),
        settings: Vec::new(),
        enrolled_at: at(NOW),
        last_seen: Some(at(NOW)),
        freshness: Freshness::Fresh,
        agent_version: "SECRET-agent".to_owned(),
        seq: 9,
        identity_conflict_since: None,
        key_revoked: None,
        products: vec![ProductRow {
            product: "acme/kafka".parse().unwrap(),
            channel: "stable".parse().unwrap(),
            arch: "amd64".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            target: Some("1.1.0".parse().unwrap()),
            phase: Phase::Waiting,
            since: at(NOW),
            unit: Some("SECRET-unit".parse().unwrap()),
            progress: None,
            health: HealthSummary {
                verdict: HealthVerdict::Unhealthy,
                quorum_lag_ms: Some(7),
                quorum_lag_unit: Some("SECRET-leader".parse().unwrap()),
                ..HealthSummary::default()
            },
            drift: no_drift(),
            drift_at_site: None,
            waiting_on: vec![WaitingOn {
                gate: "quorum_lag".to_owned(),
                unit: Some("SECRET-unit".parse().unwrap()),
                message: "SECRET-unit lags on SECRET-name".to_owned(),
                observed: Some(4.2),
                limit: None,
                since: None,
            }],
            why_not: vec![
                Reason { code: "held".to_owned(), message: "held by SECRET-person".to_owned() },
                Reason { code: "SECRET code!".to_owned(), message: "SECRET".to_owned() },
            ],
            earliest_at: None,
            accepted_risks: vec![
                accepted("AcmeDisk", "SECRET-reason"),
                accepted("SECRET words", "SECRET-reason"),
            ],
            failure: Some(channels::wire::Failure {
                kind: "rollback".to_owned(),
                message: "SECRET-failure".to_owned(),
                at: at(NOW),
            }),
            units: Vec::new(),
        }],
    }
}

fn made(redact: &[Redaction]) -> (SiteStatus, String) {
    let facts = Facts {
        site: "north".parse().unwrap(),
        sequence: 7,
        now: at(NOW),
        good_for_s: 60,
        newest_bundle: Some(3),
        receipt: None,
        redact: redact.iter().copied().collect(),
    };
    let status = build(facts, &[secretive()], Vec::new(), &Pseudonyms::of(&key(1))).unwrap();
    let bytes = seal(&status, &key(1)).unwrap();
    (status, String::from_utf8(bytes).unwrap())
}

#[test]
fn what_is_left_out_is_nowhere_in_the_bytes() {
    let (_, whole) = made(&[]);
    for word in
        ["SECRET-name", "SECRET-unit lags", "SECRET-person", "SECRET-failure", "SECRET-reason"]
    {
        assert!(whole.contains(word), "{word} is there unless it is left out");
    }
    assert!(!whole.contains("SECRET code!") && !whole.contains("SECRET-agent"));
    let (status, text) = made(&[Redaction::Messages]);
    for word in ["SECRET-unit", "SECRET-person", "SECRET-failure", "SECRET-reason", "SECRET words"]
    {
        assert!(!text.contains(word), "{word} in {text}");
    }
    assert_eq!(status.clusters[0].name, "SECRET-name");
    assert!(text.contains("quorum_lag") && text.contains("rollback"), "the codes stay");
    assert!(text.contains("AcmeDisk") && !status.clusters[0].products[0].accepted_risks.is_empty());
    let (status, text) = made(&[Redaction::Names]);
    assert!(!text.contains("SECRET"), "{text}");
    let told = [Redaction::Names, Redaction::Messages].into();
    assert_eq!(status.redacted, told, "a sentence may hold a name, and the file says so");
}

#[test]
fn accepted_risks_come_to_the_fleets_hub_with_their_reason_or_with_word_that_it_was_left_out() {
    let shown = |redact: &[Redaction]| {
        let mut sites = Sites::default();
        sites.put(site("north", 7, Some(made(redact).0)));
        let mut memo = DriftMemo::default();
        let mut view = View::new(at(NOW), &Line, &mut memo);
        let (mut rows, _) = sites.page(&ClusterFilter::default(), None, 10, &mut view);
        rows.remove(0).products.remove(0).accepted_risks
    };
    let whole = [accepted("AcmeDisk", "SECRET-reason"), accepted("SECRET words", "SECRET-reason")];
    assert_eq!(shown(&[]), whole);
    let left_out = "the site left the reason out";
    let told = [accepted("AcmeDisk", left_out), accepted("other", left_out)];
    assert_eq!(shown(&[Redaction::Messages]), told);
}

#[test]
fn a_pseudonym_stays_from_file_to_file_and_differs_from_site_to_site() {
    let name = |seed| Pseudonyms::of(&key(seed)).name_of(secretive().id);
    assert_eq!(name(1), made(&[Redaction::Names]).0.clusters[0].name);
    assert_eq!((name(1) == name(1), name(1) == name(2)), (true, false));
    assert!(name(1).starts_with("cluster-") && name(1).len() == 20, "{}", name(1));
}

#[test]
fn the_same_state_makes_the_same_bytes() {
    assert_eq!(made(&[]).1, made(&[]).1);
}

#[test]
fn a_site_too_large_for_one_file_is_refused_and_nothing_is_dropped() {
    let rows = vec![secretive(); SiteStatus::MAX_CLUSTERS + 1];
    let facts = Facts {
        site: "north".parse().unwrap(),
        sequence: 7,
        now: at(NOW),
        good_for_s: 60,
        newest_bundle: None,
        receipt: None,
        redact: BTreeSet::new(),
    };
    let error = build(facts, &rows, Vec::new(), &Pseudonyms::of(&key(1))).unwrap_err();
    assert!(matches!(error, ExportError::TooManyClusters { found: 5_001 }), "{error}");
}

#[test]
fn the_sites_key_is_made_once_private_and_kept() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let made = load_or_create(dir.path()).unwrap();
    let file = dir.path().join("keys/site.pem");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(load_or_create(dir.path()).unwrap().public(), made.public());
    assert_eq!(std::fs::read_dir(dir.path().join("keys")).unwrap().count(), 1, "no draft stays");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(load_or_create(dir.path()), Err(SiteKeyError::File(_))), "others read it");
}

fn clusters() -> impl Strategy<Value = Vec<SiteCluster>> {
    let freshness = prop_oneof![
        Just(Freshness::Fresh),
        Just(Freshness::Late),
        Just(Freshness::Silent),
        Just(Freshness::Never)
    ];
    let phase = prop_oneof![Just(Phase::Idle), Just(Phase::Soak), Just(Phase::Waiting)];
    let name = prop_oneof![Just("acme/kafka"), Just("acme/app")];
    let version = prop_oneof![Just("1.0.1"), Just("1.0.3"), Just("9.0.0")];
    let one = (name, version, phase).prop_map(|(n, v, p)| product(n, v, p));
    let products = proptest::collection::vec(one, 0..3);
    proptest::collection::vec((freshness, products), 0..20).prop_map(|clusters| {
        let numbered = (1..).zip(clusters);
        numbered.map(|(n, (freshness, products))| cluster(n, freshness, products)).collect()
    })
}

proptest! {
    #[test]
    fn sums_are_what_a_recount_finds(clusters in clusters()) {
        let mut sites = Sites::default();
        sites.put(site("north", 7, Some(status("north", 7, clusters.clone()))));
        sites.put(site("south", 0, None));
        let mut memo = DriftMemo::default();
        let mut view = View::new(at(NOW), &Line, &mut memo);
        for drift in sites.drift(&mut view) {
            let totals = &drift.totals;
            let of_graph = |active: bool, test: &dyn Fn(&SiteProduct) -> bool| {
                let found = clusters.iter().filter(|c| crate::fleet::is_active(c.freshness) == active);
                let products = found.flat_map(|c| &c.products);
                let found = products.filter(|p| p.product == totals.product && test(p)).count();
                u64::try_from(found).unwrap()
            };
            let version = |v: &'static str| move |p: &SiteProduct| p.version.to_string() == v;
            prop_assert_eq!(totals.active, of_graph(true, &|_| true));
            prop_assert_eq!(totals.silent, of_graph(false, &|_| true));
            prop_assert_eq!(totals.current, of_graph(true, &version("1.0.3")));
            prop_assert_eq!(totals.behind, of_graph(true, &version("1.0.1")));
            prop_assert_eq!(totals.off_graph, of_graph(true, &version("9.0.0")));
            prop_assert_eq!(totals.rolling, of_graph(true, &|p| p.phase == Phase::Soak));
            prop_assert_eq!(totals.stopped, of_graph(true, &|p| p.phase == Phase::Waiting));
            prop_assert_eq!(
                totals.versions.iter().map(|v| v.clusters).sum::<u64>(), totals.active
            );
        }
    }

    #[test]
    fn pages_of_any_length_hold_every_cluster_once(a in clusters(), b in clusters(), limit in 1usize..7) {
        let mut sites = Sites::default();
        sites.put(site("north", 7, Some(status("north", 7, a.clone()))));
        sites.put(site("south", 7, Some(status("south", 7, b.clone()))));
        let mut memo = DriftMemo::default();
        let mut view = View::new(at(NOW), &Line, &mut memo);
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let filter = ClusterFilter::default();
            let (rows, next) = sites.page(&filter, after.as_ref(), limit, &mut view);
            prop_assert!(rows.len() <= limit);
            seen.extend(rows.into_iter().map(|row| (row.site.unwrap().to_string(), row.id)));
            after = next;
            if after.is_none() {
                break;
            }
        }
        let of = |name: &str, clusters: &[SiteCluster]| {
            clusters.iter().map(|c| (name.to_owned(), c.id)).collect::<Vec<_>>()
        };
        prop_assert_eq!(seen, [of("north", &a), of("south", &b)].concat());
    }
}
