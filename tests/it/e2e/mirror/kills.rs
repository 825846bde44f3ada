//! `kill -9` at random points of `create` and of `import`, again and again: what comes of it in the
//! end is the same as without.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use signing::Sha256Digest;

use super::trip::Trip;
use crate::e2e::process::{binary, now};
use crate::e2e::world::KAFKA;

/// Kills of each of the two.
const KILLS: u32 = 50;
/// Layers of the image beside the small ones, and their length: enough that a run takes a while.
const LAYERS: u8 = 6;
const LAYER_BYTES: usize = 24_000_000;

/// Numbers from a seed that is printed.
struct Dice(u64);

impl Dice {
    #[expect(clippy::print_stdout, reason = "the seed of a failed run is wanted")]
    fn new() -> Self {
        let seed = std::env::var("FAIRWAY_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::try_from(now().as_microsecond()).unwrap());
        println!("FAIRWAY_SEED={seed}");
        Self(seed | 1)
    }

    /// Below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Runs a command and kills it after so long; whether it had ended by itself, and well.
fn run_for(words: &[String], patience: Option<Duration>, log: &Path) -> bool {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    let mut child = Command::new(binary())
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file)
        .spawn()
        .unwrap();
    if let Some(patience) = patience {
        // The point of it: somewhere in the middle, and nothing tells where.
        std::thread::sleep(patience);
        drop(child.kill());
    }
    let status = child.wait().unwrap();
    let killed = status.code().is_none();
    assert!(
        killed || status.success(),
        "{status}: {}",
        std::fs::read_to_string(log).unwrap_or_default()
    );
    !killed
}

/// Runs it whole and says how long that takes.
fn time(words: &[String], log: &Path) -> Duration {
    let begun = now();
    assert!(run_for(words, None, log));
    Duration::try_from(now().duration_since(begun)).unwrap()
}

/// Kills a command [`KILLS`] times, then lets it end. `after` is called after every kill.
fn ends_all_the_same(
    dice: &mut Dice,
    words: &[String],
    whole: Duration,
    log: &Path,
    mut again: impl FnMut(),
) {
    let most = u64::try_from(whole.as_micros()).unwrap();
    let mut killed = 0;
    while killed < KILLS {
        let patience = Duration::from_micros(dice.below(most));
        if run_for(words, Some(patience), log) {
            // It was done before; from the beginning.
            again();
        } else {
            killed += 1;
        }
    }
    assert!(run_for(words, None, log));
}

/// Digests of a bundle's segments by name.
fn segments(dir: &Path) -> BTreeMap<String, Sha256Digest> {
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap());
    let tars = files.filter(|file| file.path().extension().is_some_and(|e| e == "tar"));
    tars.map(|file| {
        let name = file.file_name().into_string().unwrap();
        let (_, number) = name.rsplit_once('-').unwrap();
        (number.to_owned(), Sha256Digest::of(&std::fs::read(file.path()).unwrap()))
    })
    .collect()
}

fn layers() -> Vec<Vec<u8>> {
    let mut dice = Dice(0x5eed);
    let mut layer = |_| {
        let mut bytes = Vec::with_capacity(LAYER_BYTES + 8);
        while bytes.len() < LAYER_BYTES {
            bytes.extend_from_slice(&dice.below(u64::MAX).to_le_bytes());
        }
        bytes
    };
    (0..LAYERS).map(&mut layer).collect()
}

#[test]
#[ignore = "needs docker-registry and skopeo"]
fn fifty_kills_of_create_and_of_import_change_no_byte() {
    let mut dice = Dice::new();
    let mut trip = Trip::new();
    let log = trip.path("killed.log");
    let big = layers();
    trip.release_of(KAFKA[0], "[]", &KAFKA[..1], &big);

    // Whole runs, for the time they take and for what they make.
    let whole = trip.create_words("whole", &["--version", KAFKA[0]]);
    let takes = time(&whole, &log);
    let words = trip.create_words("killed", &["--version", KAFKA[0]]);
    let dir = trip.path("killed");
    ends_all_the_same(&mut dice, &words, takes, &log, || std::fs::remove_dir_all(&dir).unwrap());
    let made = segments(&dir);
    assert_eq!(made.len(), 1);
    // Metadata of the view is signed anew for every bundle; images and their places are the same.
    assert_eq!(trip.carried("killed"), trip.carried("whole"));
    trip.make_site_from("killed", "127.0.0.1:1/none");
    run_ok_verify(&trip);

    trip.cut_off();
    let words = trip.import_words(&["killed"], &[]);
    let takes = time(&words, &log);
    let first = trip.inventory();
    trip.new_site_registry();
    let words = trip.import_words(&["killed"], &[]);
    ends_all_the_same(&mut dice, &words, takes, &log, || {});
    assert_eq!(trip.inventory(), first, "the same digests at the registry");
    assert_eq!(segments(&dir), made, "import changes no bundle");
}

fn run_ok_verify(trip: &Trip) {
    let words = ["mirror", "verify", &trip.text("killed"), "--root", &trip.text("view/root.json")];
    crate::e2e::process::run_ok(&words, &[]);
}
