//! What may leave the cluster, and what may not.

use super::*;

fn shown(text: &str) -> (String, Redactor) {
    let mut redactor = Redactor::default();
    let json = redactor.config(&text.parse().unwrap());
    (json.to_string(), redactor)
}

#[test]
fn a_key_that_nobody_listed_is_hidden() {
    let (text, _) =
        shown("later = 'hunter2-later'\n[hub]\nurl = 'https://h'\nfuture = ['hunter2']");
    assert_eq!(text, r#"{"hub":{"future":["[redacted]"],"url":"https://h"},"later":"[redacted]"}"#);
}

#[test]
fn what_a_helper_asks_for_first_is_shown() {
    let config = "[products.kafka]\nbootstrap = ['k1:9093']\nbrokers = ['fleet:hunter2@b1:9092']\n\
                  [products.kafka.tls]\nserver_name = 'kafka.example'\n\
                  [products.windows]\ntime_zone = 'Europe/Berlin'\n\
                  [products.checks.commands]\nwhen = 'unit'";
    let (text, _) = shown(config);
    for word in ["k1:9093", "]@b1:9092", "kafka.example", "Europe/Berlin", "\"unit\""] {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn addresses_lose_user_query_and_fragment() {
    for (given, expected) in [
        ("https://fleet:hunter2@h/x", "https://[redacted]@h/x"),
        ("https://h/x?token=hunter2", "https://h/x?[redacted]"),
        ("https://h/x#hunter2", "https://h/x?[redacted]"),
        ("fleet:hunter2@h:9092", "[redacted]@h:9092"),
        ("dir:///srv/fairway", "dir:///srv/fairway"),
        ("https://fleet:hunter2@", "https://[redacted]@"),
    ] {
        assert_eq!(Redactor::default().address(given), expected);
    }
}

#[test]
fn of_a_command_only_its_program_and_placeholders_are_shown() {
    let (text, _) = shown(
        "command = ['/bin/roll', '{unit}', '{repository}@{digest}', '--password=hunter2', 'x{unit}']",
    );
    let expected =
        r#"{"command":["/bin/roll","{unit}","{repository}@{digest}","[redacted]","[redacted]"]}"#;
    assert_eq!(text, expected);
}

#[test]
fn a_listed_key_that_holds_a_key_is_hidden_all_the_same() {
    let (text, _) = shown("name = \"-----BEGIN PRIVATE KEY-----\\nhunter2\\n-----END\"");
    assert_eq!(text, r#"{"name":"[redacted]"}"#);
}

#[test]
fn what_was_hidden_is_found_in_other_texts_and_so_is_what_announces_itself() {
    let (_, redactor) = shown("[a.environment]\nX = 'correct horse'\nN = 7654321");
    for (text, expected) in [
        ("exit 1: correct horse battery", "exit 1: [redacted] battery"),
        ("code 7654321", "code [redacted]"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
        ("login --password hunter2 now", "login --password [redacted] now"),
        ("login --password=hunter2 now", "login --password=[redacted] now"),
        ("DB_TOKEN=hunter2", "DB_TOKEN=[redacted]"),
        ("password: hunter2", "password: [redacted]"),
        ("GET https://u:hunter2@h/x failed", "GET https://[redacted]@h/x failed"),
        ("the token expired at 10:00:00", "the token expired at 10:00:00"),
        ("-----BEGIN PRIVATE KEY-----", "[redacted]"),
        ("GET https://reg/x?token=abc failed", "GET https://reg/x?[redacted] failed"),
        (
            "see https://h/a?sig=1#b, https://u:p@i/c",
            "see https://h/a?[redacted] https://[redacted]@i/c",
        ),
        (r#"{"password":"hunter2"}"#, r#"{"password":"[redacted]"}"#),
        (r#"{"password": "hunter2", "n": 1}"#, r#"{"password": "[redacted]", "n": 1}"#),
        (r#"{\"password\": \"hun\ter2\"}"#, r#"{\"password\": \"[redacted]\"}"#),
        (r#"{"dbPassword":"hun\"ter2"}"#, r#"{"dbPassword":"[redacted]"}"#),
        ("a=1\nDB_TOKEN=hunter2\nb=2", "a=1\nDB_TOKEN=[redacted]\nb=2"),
        ("secret = 'hunter2 and more' x", "secret = '[redacted]' x"),
        (r#"password="hunter2"#, r#"password="[redacted]"#),
        ("authorization: basic aGk6aHVudGVyMg==", "authorization: basic [redacted]"),
        ("is https://h/x up?", "is https://h/x up?"),
        ("the token", "the token"),
    ] {
        assert_eq!(redactor.scrubbed(text), expected);
    }
}

#[test]
fn what_a_command_printed_is_left_out_of_its_reason_and_its_code_is_not() {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let why = crate::phase::command_failed("mutate", 3, "hunter2: oh no\nhunter2", now).message;
    let redactor = Redactor::default();
    let expected = "the mutate command ended with code 3: [redacted]";
    assert_eq!(redactor.scrubbed(&why), expected);
    let wrapped = redactor.scrubbed(&format!("paused, needs `resume`: {why}"));
    assert_eq!(wrapped, format!("paused, needs `resume`: {expected}"));
    let silent = crate::phase::command_failed("mutate", 3, "", now).message;
    assert_eq!(redactor.scrubbed(&silent), silent);
}

#[test]
fn a_field_by_the_name_of_a_secret_is_hidden_in_any_document() {
    let mut document = serde_json::json!({"a": [{"client_secret": "hunter2", "token_file": "/t"}]});
    Redactor::default().scrub(&mut document);
    let expected = serde_json::json!({"a": [{"client_secret": HIDDEN, "token_file": "/t"}]});
    assert_eq!(document, expected);
}

#[test]
fn no_text_is_cut_in_the_middle_of_a_letter() {
    let redactor = Redactor::default();
    for text in
        ["password=ä", "ü://ö@é?ß", "token:“x”", "Bearer é", "--token\u{2028}x", "secret=\\"]
    {
        drop(redactor.scrubbed(text));
    }
}
