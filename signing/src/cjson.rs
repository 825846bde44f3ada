//! Canonical JSON as TUF repositories use it (OLPC): the bytes that are signed.
//!
//! Keys sorted by code point, no white space, integers only, and only `"` and `\` escaped. This
//! is *not* RFC 8785: control characters, such as the line ends of a PEM key, stay as they are,
//! so the output is for signing and hashing and is not itself always valid JSON.

use serde_json::Value;

/// A value that has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("canonical JSON has no form for the number {number}: only integers may be signed")]
pub struct CjsonError {
    /// The number as it would be printed.
    pub number: String,
}

/// Encodes `value` in canonical form.
pub fn encode(value: &Value) -> Result<Vec<u8>, CjsonError> {
    let mut out = Vec::new();
    write_value(value, &mut out)?;
    Ok(out)
}

fn write_value(value: &Value, out: &mut Vec<u8>) -> Result<(), CjsonError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) if number.is_i64() || number.is_u64() => {
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Value::Number(number) => return Err(CjsonError { number: number.to_string() }),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            // Sorted here, so that another crate's `preserve_order` feature cannot change what
            // we sign. Byte order of UTF-8 is code point order.
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
            out.push(b'{');
            for (index, (key, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write_value(member, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' || byte == b'\\' {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn known_form() {
        let value = json!({"b": [1, -2, true, null], "a": "line\nend \"q\" \\ é", "A": {}});
        let expected = "{\"A\":{},\"a\":\"line\nend \\\"q\\\" \\\\ é\",\"b\":[1,-2,true,null]}";
        assert_eq!(String::from_utf8(encode(&value).unwrap()).unwrap(), expected);
    }

    #[test]
    fn keys_sort_by_code_point_not_by_utf16_unit() {
        // U+FF5E sorts before U+1F600 by code point, after it by UTF-16 code unit.
        let value = json!({"\u{1F600}": 1, "\u{FF5E}": 2});
        assert_eq!(encode(&value).unwrap(), "{\"\u{FF5E}\":2,\"\u{1F600}\":1}".as_bytes());
    }

    #[test]
    fn numbers_that_are_not_integers_are_refused() {
        for text in ["1.0", "1e3", "-0.5", "18446744073709551616"] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert!(encode(&value).is_err(), "{text}");
        }
        assert_eq!(encode(&json!(u64::MAX)).unwrap(), b"18446744073709551615");
    }

    /// Values without control characters, for which the canonical form is also valid JSON.
    fn printable_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "[ -~é\u{1F600}]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map("[ -~é\u{FF5E}\u{1F600}]{0,6}", inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_form_reads_back_as_the_same_value(value in printable_json()) {
            let bytes = encode(&value).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), value);
        }

        #[test]
        fn distinct_values_have_distinct_forms(a in printable_json(), b in printable_json()) {
            prop_assert_eq!(a == b, encode(&a).unwrap() == encode(&b).unwrap());
        }

        #[test]
        fn control_characters_stay_raw(text in "[\\x00-\\x1f]{0,8}") {
            let mut expected = vec![b'"'];
            expected.extend_from_slice(text.as_bytes());
            expected.push(b'"');
            prop_assert_eq!(encode(&Value::from(text)).unwrap(), expected);
        }
    }
}
