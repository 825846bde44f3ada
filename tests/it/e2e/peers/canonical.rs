//! Our canonical JSON against securesystemslib's, over random documents.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use signing::{cjson, json};

use super::{python, text};
use crate::e2e::process::now;

/// Documents of one run.
const DOCUMENTS: usize = 5000;
/// Repeats a run: set it to the seed that a failed one printed.
const SEED: &str = "FAIRWAY_CANONICAL_SEED";

/// What our reader and encoder make of a text together, as in verifying a signature.
fn ours(line: &str) -> Result<Vec<u8>, String> {
    let value = json::parse(line.as_bytes()).map_err(|error| error.to_string())?;
    cjson::encode(&value).map_err(|error| error.to_string())
}

#[test]
#[ignore = "needs python-tuf"]
fn canonical_json_is_that_of_python_tuf() {
    let seed = std::env::var(SEED).unwrap_or_else(|_| now().as_microsecond().to_string());
    eprintln!("{SEED}={seed}");
    let output = python("canonical_json.py", &[&seed, &DOCUMENTS.to_string()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let rows = String::from_utf8(output.stdout).unwrap();
    let (mut same, mut refused, mut strict) = (0, 0, 0);
    for row in rows.split_terminator('\n') {
        let fields: Vec<_> = row.split('\t').collect();
        let [expectation, line, canonical] = fields[..] else { panic!("{row:?}") };
        let ours = ours(line);
        match expectation {
            "same" => {
                let theirs = STANDARD.decode(canonical).unwrap();
                assert_eq!(ours.map(|b| text(&b)), Ok(text(&theirs)), "{line}");
                same += 1;
            }
            // "strict": they take it and we do not, by design (the script says what).
            "refused" | "strict" => {
                assert!(ours.is_err(), "{expectation}, but we encode {line}");
                *(if expectation == "strict" { &mut strict } else { &mut refused }) += 1;
            }
            other => panic!("unknown expectation {other}"),
        }
    }
    assert_eq!(same + refused + strict, DOCUMENTS);
    // Each kind is in every run of this size, or the run has shown little.
    assert!(same > DOCUMENTS / 2 && refused > 100 && strict > 100, "{same} {refused} {strict}");
}
