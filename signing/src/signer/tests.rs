//! External signers: the good answer, and every bad one by its name. The programs are one-line
//! shells, so that no file is written that another test's child could still hold open.

use super::*;
use crate::key::SecretKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::path::PathBuf;

const MESSAGE: &[u8] = b"message";

fn key() -> SecretKey {
    SecretKey::from_seed([5; 32])
}

fn shell(script: &str) -> Program {
    Program::new(&["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()]).unwrap()
}

fn signer(script: &str) -> ExecSigner {
    ExecSigner::new(shell(script), key().public().clone())
}

fn refused(script: &str) -> SignerError {
    signer(script).try_sign(MESSAGE).unwrap_err()
}

fn answer(signature: &[u8]) -> String {
    format!(r#"echo '{{"signature":"{}"}}'"#, BASE64.encode(signature))
}

#[test]
fn a_signature_of_the_key_on_record_is_accepted() {
    let signature = key().sign(MESSAGE);
    assert_eq!(signer(&answer(&signature)).try_sign(MESSAGE).unwrap(), signature);
}

#[test]
fn the_program_is_told_what_to_sign_and_for_which_key() {
    let (id, message) = (key().public().key_id(), BASE64.encode(MESSAGE));
    let asked = format!(
        r#"{{"version":1,"operation":"sign","key_id":"{id}","scheme":"ed25519","message":"{message}"}}"#
    );
    let script = format!(
        r#"read -r asked; [ "$asked" = '{asked}' ] || exit 9; {}"#,
        answer(&key().sign(MESSAGE))
    );
    signer(&script).try_sign(MESSAGE).unwrap();
}

#[test]
fn a_message_larger_than_a_pipe_reaches_a_program_that_reads_late() {
    let message = vec![b'x'; 1 << 20];
    let signature = key().sign(&message);
    let script = format!("{}; cat >/dev/null", answer(&signature));
    assert_eq!(signer(&script).try_sign(&message).unwrap(), signature);
    // And one that never reads is no obstacle either.
    assert_eq!(signer(&answer(&signature)).try_sign(&message).unwrap(), signature);
}

#[test]
fn a_program_that_takes_too_long_is_ended() {
    let slow = shell("exec sleep 600").with_time(Duration::from_millis(100));
    let error = ExecSigner::new(slow, key().public().clone()).try_sign(MESSAGE).unwrap_err();
    assert!(matches!(error, SignerError::TimedOut { .. }), "{error}");
}

#[test]
fn a_program_that_answers_and_does_not_end_is_ended() {
    let script = format!("{}; exec sleep 600 >/dev/null 2>&1", answer(&key().sign(MESSAGE)));
    let slow = shell(&script).with_time(Duration::from_millis(300));
    let error = ExecSigner::new(slow, key().public().clone()).try_sign(MESSAGE).unwrap_err();
    assert!(matches!(error, SignerError::TimedOut { .. }), "{error}");
}

#[test]
fn a_failure_names_exit_code_and_standard_error() {
    let error = refused("echo 'no such slot' >&2; exit 3");
    let SignerError::Failed { status, stderr, .. } = &error else { panic!("{error}") };
    assert_eq!((status.as_str(), stderr.as_str()), ("exit status: 3", "no such slot"));
    // A good answer does not make up for it.
    let script = format!("{}; exit 1", answer(&key().sign(MESSAGE)));
    assert!(matches!(refused(&script), SignerError::Failed { .. }));
}

#[test]
fn standard_error_is_cut() {
    let error = refused("head -c 100000 /dev/zero | tr '\\0' e >&2; exit 3");
    let SignerError::Failed { stderr, .. } = &error else { panic!("{error}") };
    assert_eq!(stderr.len(), 2 * 1024);
}

#[test]
fn the_program_s_own_words_are_passed_on() {
    for exit in ["0", "1"] {
        let error = refused(&format!(r#"echo '{{"error":"the token is locked"}}'; exit {exit}"#));
        let SignerError::Refused { message, .. } = &error else { panic!("{error}") };
        assert_eq!(message, "the token is locked");
    }
}

/// The largest keys have answers of 2 kB.
#[test]
fn an_answer_as_long_as_that_of_the_largest_key_is_read() {
    let filler = "x".repeat(4_000);
    let signature = BASE64.encode(key().sign(MESSAGE));
    let script = format!(r#"echo '{{"note":"{filler}","signature":"{signature}"}}'"#);
    signer(&script).try_sign(MESSAGE).unwrap();
}

#[test]
fn garbage_is_not_a_signature() {
    for script in ["echo hello", "true", "echo '{}'", "echo '[1]'", r#"echo '{"signature":"%"}'"#] {
        let error = refused(script);
        assert!(matches!(error, SignerError::Garbage { .. }), "{script}: {error}");
    }
}

#[test]
fn output_without_end_is_not_read() {
    let error = refused("cat /dev/zero");
    assert!(matches!(error, SignerError::TooMuch { .. }), "{error}");
}

#[test]
fn a_signature_of_another_key_or_message_is_refused() {
    let other = SecretKey::from_seed([6; 32]);
    for signature in [other.sign(MESSAGE), key().sign(b"other"), vec![0; 64], Vec::new()] {
        let error = refused(&answer(&signature));
        assert!(matches!(error, SignerError::WrongSignature { .. }), "{error}");
    }
}

#[test]
fn commands_are_absolute_and_never_looked_up() {
    for command in [vec![], vec!["sign"], vec!["./sign"], vec!["keys/sign", "x"]] {
        let command: Vec<String> = command.into_iter().map(str::to_owned).collect();
        let error = Program::new(&command).unwrap_err();
        assert!(matches!(error, SignerError::Command { .. }), "{error}");
    }
    let nowhere = Program::new(&["/nowhere/sign".to_owned()]).unwrap();
    assert!(matches!(nowhere.public().unwrap_err(), SignerError::Run { .. }));
}

#[test]
fn the_environment_is_search_path_home_and_what_was_named() {
    // `cargo test` sets this one; nothing secret is needed to see that it does not arrive.
    let variable = "CARGO_MANIFEST_DIR";
    let script = format!(r#"echo "{{\"error\":\"${{{variable}-unset}} ${{PWD}}\"}}""#);
    let without = shell(&script).public().unwrap_err().to_string();
    assert!(without.ends_with("refused: unset /"), "{without}");
    let with = shell(&script).with_environment(vec![variable.to_owned()]).public().unwrap_err();
    assert!(with.to_string().ends_with("/signing /"), "{with}");
}

#[test]
fn the_public_half_is_asked_for() {
    let pem = key().public().to_spki_pem().replace('\n', "\\n");
    let script = format!(r#"printf '%s' '{{"public_key":"{pem}"}}'"#);
    assert_eq!(&shell(&script).public().unwrap(), key().public());
    let error = shell(r#"echo '{"public_key":"x"}'"#).public().unwrap_err();
    assert!(matches!(error, SignerError::Garbage { .. }), "{error}");
}

fn openssl(arguments: &[&str]) -> String {
    let output = std::process::Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The documented example: a P-256 key that only a program can use.
fn example() -> (tempfile::TempDir, Program) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p256.pem").to_str().unwrap().to_owned();
    let curve = "ec_paramgen_curve:P-256";
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", curve, "-out", &path]);
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/signers/openssl-p256");
    let script = script.with_extension("sh").to_str().unwrap().to_owned();
    (dir, Program::new(&["/bin/sh".to_owned(), script, path]).unwrap())
}

#[test]
#[ignore = "needs openssl"]
fn the_example_program_signs_with_a_p256_key() {
    let (_dir, program) = example();
    let public = program.public().unwrap();
    assert_eq!(public.scheme(), KeyScheme::EcdsaP256);
    let signer = ExecSigner::new(program, public.clone());
    let long = vec![0; 100_000];
    for message in [MESSAGE, &long] {
        let signature = signer.sign(message).unwrap();
        public.verify(message, &signature).unwrap();
    }
}

#[test]
#[ignore = "needs openssl"]
fn a_signature_as_r_and_s_becomes_der() {
    let (_dir, program) = example();
    let public = program.public().unwrap();
    let signature = ExecSigner::new(program, public.clone()).try_sign(MESSAGE).unwrap();
    // SEQUENCE { INTEGER r, INTEGER s } with one-byte lengths.
    let number = |at: usize| {
        let length = usize::from(signature[at + 1]);
        let digits = &signature[at + 2..at + 2 + length];
        let digits = digits.strip_prefix(&[0]).unwrap_or(digits);
        ([vec![0; 32 - digits.len()], digits.to_vec()].concat(), at + 2 + length)
    };
    let (r, next) = number(2);
    let (s, _) = number(next);
    let token = ExecSigner::new(shell(&answer(&[r, s].concat())), public);
    assert_eq!(token.try_sign(MESSAGE).unwrap(), signature);
}
