//! The signature base: the bytes that are signed (RFC 9421 §2.5).

use super::{MessageError, RequestParts};
use crate::Sha256Digest;
use base64ct::{Base64, Encoding as _};

/// Component names with their values, in the order in which they are signed.
pub(super) type Components = Vec<(&'static str, String)>;

/// The components of the profile for this request.
pub(super) fn components(
    parts: &RequestParts<'_>,
    content_digest: Option<&str>,
) -> Result<Components, MessageError> {
    let mut components = vec![
        ("@method", parts.method.to_owned()),
        ("@path", parts.path.to_owned()),
        // An absent and an empty query are the same (RFC 9421 §2.2.7).
        ("@query", format!("?{}", parts.query)),
    ];
    if let Some(digest) = content_digest {
        components.push(("content-digest", digest.to_owned()));
    }
    if let Some(content_type) = parts.content_type {
        components.push(("content-type", content_type.trim().to_owned()));
    }
    for (part, value) in &components {
        // A line end inside a value could pass for another component.
        if !value.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return Err(MessageError::Unsignable { part });
        }
    }
    Ok(components)
}

/// The covered-components list, `("@method" …)`.
pub(super) fn covered(components: &Components) -> String {
    let names: Vec<_> = components.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    format!("({})", names.join(" "))
}

/// The signature base. `params` is the text of the signature's parameters as sent, covered
/// components included.
pub(super) fn signature_base<'a>(
    components: impl IntoIterator<Item = (&'a str, &'a str)>,
    params: &str,
) -> String {
    let mut base = String::new();
    for (name, value) in components {
        base.extend(["\"", name, "\": ", value, "\n"]);
    }
    base.push_str("\"@signature-params\": ");
    base.push_str(params);
    base
}

/// The `Content-Digest` of a body (RFC 9530); none for an empty one.
pub(super) fn content_digest(body: &[u8]) -> Option<String> {
    if body.is_empty() {
        return None;
    }
    Some(format!("sha-256=:{}:", Base64::encode_string(Sha256Digest::of(body).as_bytes())))
}
