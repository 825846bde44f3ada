//! Key files open with the right passphrase only, here and in OpenSSL.

use super::*;
use std::process::{Command, Stdio};

fn key() -> SecretKey {
    SecretKey::from_seed([9; 32])
}

#[test]
fn encrypted_pem_opens_with_its_passphrase_only() {
    let pem = to_pem(&key(), b"correct horse").unwrap();
    assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), "{}", *pem);
    assert_eq!(from_pem(&pem, b"correct horse").unwrap().public(), key().public());
    assert!(matches!(from_pem(&pem, b"wrong").unwrap_err(), KeyFileError::Passphrase));
}

#[test]
fn plain_pem_round_trips_and_is_not_taken_for_an_encrypted_one() {
    let pem = to_plain_pem(&key()).unwrap();
    assert_eq!(from_plain_pem(&pem).unwrap().public(), key().public());
    assert!(matches!(from_pem(&pem, b"").unwrap_err(), KeyFileError::Format { .. }));
    let encrypted = to_pem(&key(), b"x").unwrap();
    assert!(matches!(from_plain_pem(&encrypted).unwrap_err(), KeyFileError::Format { .. }));
}

#[test]
fn key_file_is_private_and_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pem");
    write_new(&path, "text").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(*read(&path).unwrap(), "text");
    assert!(matches!(write_new(&path, "other").unwrap_err(), KeyFileError::Io { .. }));
    assert_eq!(*read(&path).unwrap(), "text");
}

#[test]
fn key_file_that_others_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pem");
    write_new(&path, "text").unwrap();
    for mode in [0o640, 0o604, 0o620] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, KeyFileError::Permissions { mode: m, .. } if m == mode), "{error}");
    }
}

#[test]
fn oversized_key_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    write_new(path("over"), &"x".repeat(16 * 1024 + 1)).unwrap();
    let error = read(path("over")).unwrap_err();
    assert!(matches!(error, KeyFileError::TooLarge { limit: 16_384, .. }), "{error}");
    write_new(path("full"), &"x".repeat(16 * 1024)).unwrap();
    assert_eq!(read(path("full")).unwrap().len(), 16 * 1024);
}

#[test]
fn public_half_in_a_key_file_must_be_that_of_the_private_half() {
    use ed25519_dalek::pkcs8::PublicKeyBytes;
    let other = SecretKey::from_seed([8; 32]);
    for (public, accepted) in [(key(), true), (other, false)] {
        let public_key = Some(PublicKeyBytes(public.public().value().1.try_into().unwrap()));
        let pair = KeypairBytes { secret_key: *key().seed(), public_key };
        let pem = pair.to_pkcs8_pem(LineEnding::LF).unwrap();
        match from_plain_pem(&pem) {
            Ok(read) => assert!(accepted && read.public() == key().public()),
            Err(error) => {
                assert!(!accepted && matches!(error, KeyFileError::Format { .. }), "{error}");
            }
        }
    }
}

/// An encrypted PEM of the test key whose derivation has the given cost, or claims to.
fn pem_with(kdf: pbes2::Kdf) -> String {
    let encryption = pbes2::EncryptionScheme::Aes256Cbc { iv: [1; 16] };
    let algorithm = pbes2::Parameters { kdf, encryption }.into();
    let info = EncryptedPrivateKeyInfoRef {
        encryption_algorithm: algorithm,
        encrypted_data: der::asn1::OctetStringRef::new(&[0; 64]).unwrap(),
    };
    let document = der::SecretDocument::try_from(info).unwrap();
    document.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).unwrap().to_string()
}

fn scrypt_with(cost_parameter: u64, block_size: u16, parallelization: u16) -> String {
    let params = scrypt::Params::new(4, 1, 1).unwrap();
    let salt = pbes2::ScryptParams::from_params_and_salt(params, &[1; 16]).unwrap();
    let kdf = pbes2::ScryptParams { cost_parameter, block_size, parallelization, ..salt };
    pem_with(kdf.into())
}

#[test]
fn file_that_would_take_all_memory_or_run_for_days_is_refused_before_it_is_tried() {
    let iterations = |iteration_count| {
        let kdf = pbes2::Pbkdf2Params::hmac_sha256(1, &[1; 16]).unwrap();
        pem_with(pbes2::Pbkdf2Params { iteration_count, ..kdf }.into())
    };
    for (pem, asked) in [
        (scrypt_with(1 << 18, 8, 1), "bytes of scrypt memory"),
        (scrypt_with(2, 2048, 1280), "bytes of scrypt memory"),
        (scrypt_with(1 << 63, u16::MAX, u16::MAX), "bytes of scrypt memory"),
        (scrypt_with(1 << 17, 8, 6), "scrypt block mixes"),
        (iterations(10_000_001), "PBKDF2 iterations"),
        (iterations(u32::MAX), "PBKDF2 iterations"),
    ] {
        let error = from_pem(&pem, b"x").unwrap_err();
        assert!(
            matches!(error, KeyFileError::Cost { what, found, limit } if what == asked && found > limit),
            "{error}"
        );
    }
}

#[test]
fn scrypt_cost_that_is_no_power_of_two_is_refused_without_a_panic() {
    for cost in [0, 3, u64::MAX] {
        let error = from_pem(&scrypt_with(cost, 8, 1), b"x").unwrap_err();
        assert!(matches!(error, KeyFileError::Format { .. }), "{error}");
    }
}

#[test]
fn default_ceilings_are_the_documented_ones() {
    let MaxCost { scrypt_bytes, scrypt_work, pbkdf2_iterations } = MaxCost::DEFAULT;
    assert_eq!(
        (scrypt_bytes, scrypt_work, pbkdf2_iterations),
        (135_266_304, 5_242_880, 10_000_000)
    );
    let ours = u64::from(SCRYPT_R) << SCRYPT_LOG_N;
    assert!(ours * 128 <= scrypt_bytes && ours * u64::from(SCRYPT_P) * 8 == scrypt_work);
}

#[test]
fn ceilings_of_the_caller_are_kept_and_met_exactly() {
    let pem = scrypt_with(16, 2, 3);
    let exact = MaxCost { scrypt_bytes: 128 * 2 * (16 + 3), scrypt_work: 96, pbkdf2_iterations: 0 };
    let error = from_pem_within(&pem, b"x", exact).unwrap_err();
    assert!(matches!(error, KeyFileError::Passphrase), "{error}");
    for less in [
        MaxCost { scrypt_bytes: exact.scrypt_bytes - 1, ..exact },
        MaxCost { scrypt_work: exact.scrypt_work - 1, ..exact },
    ] {
        let error = from_pem_within(&pem, b"x", less).unwrap_err();
        assert!(matches!(error, KeyFileError::Cost { .. }), "{error}");
    }
}

fn openssl(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs openssl"]
fn openssl_opens_our_encrypted_pem() {
    let pem = to_pem(&key(), b"passphrase").unwrap();
    let public = openssl(&["pkey", "-pubout", "-passin", "pass:passphrase"], &pem);
    assert_eq!(public, key().public().to_spki_pem());
}

#[test]
#[ignore = "needs openssl"]
fn openssl_opens_our_plain_pem() {
    let public = openssl(&["pkey", "-pubout"], &to_plain_pem(&key()).unwrap());
    assert_eq!(public, key().public().to_spki_pem());
}

#[test]
#[ignore = "needs openssl"]
fn we_open_the_keys_openssl_makes() {
    let plain = openssl(&["genpkey", "-algorithm", "ed25519"], "");
    let key = from_plain_pem(&plain).unwrap();
    assert_eq!(openssl(&["pkey", "-pubout"], &plain), key.public().to_spki_pem());
    for kdf in [&["-v2", "aes-256-cbc"][..], &["-scrypt", "-v2", "aes-256-cbc"]] {
        let arguments = [&["pkcs8", "-topk8", "-passout", "pass:secret"], kdf].concat();
        let encrypted = openssl(&arguments, &plain);
        assert_eq!(from_pem(&encrypted, b"secret").unwrap().public(), key.public());
    }
}

#[test]
#[ignore = "needs openssl"]
fn we_open_what_genpkey_encrypts_and_openssl_opens_what_we_encrypt_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("k.pem");
    let arguments = ["genpkey", "-algorithm", "ed25519", "-aes-256-cbc", "-pass", "pass:first"];
    write_new(&path, &openssl(&arguments, "")).unwrap();
    let key = from_pem(&read(&path).unwrap(), b"first").unwrap();
    reencrypt(&path, &key, b"second").unwrap();
    let public = openssl(&["pkey", "-pubout", "-passin", "pass:second"], &read(&path).unwrap());
    assert_eq!(public, key.public().to_spki_pem());
}

#[test]
#[ignore = "needs openssl"]
fn rsa_pss_signature_of_openssl_verifies() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    openssl(
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &path("k")],
        "",
    );
    let public = openssl(&["pkey", "-pubout", "-in", &path("k")], "");
    std::fs::write(path("m"), b"message").unwrap();
    let pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"];
    let (k, s, m) = (path("k"), path("s"), path("m"));
    let arguments = [&["dgst", "-sha256", "-sign", &k][..], &pss, &["-out", &s, &m]].concat();
    openssl(&arguments, "");
    let key = crate::PublicKey::from_spki_pem(&public).unwrap();
    let signature = std::fs::read(path("s")).unwrap();
    assert!(key.verify(b"message", &signature).is_ok());
    assert!(key.verify(b"Message", &signature).is_err());
}
