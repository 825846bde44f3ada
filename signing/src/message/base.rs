//! The signature base: the bytes that are signed (RFC 9421 §2.5).

use super::{MessageError, RequestParts};
use crate::Sha256Digest;
use base64ct::{Base64, Encoding as _};

/// The components of the profile, in the order in which they are signed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Components<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    content_digest: Option<&'a str>,
    content_type: Option<&'a str>,
}

impl<'a> Components<'a> {
    /// The components of this request, none of which can pass for another one.
    pub(super) fn of(
        parts: &RequestParts<'a>,
        content_digest: Option<&'a str>,
    ) -> Result<Self, MessageError> {
        let components = Self {
            method: parts.method,
            path: parts.path,
            query: parts.query,
            content_digest,
            content_type: parts.content_type.map(str::trim),
        };
        for (part, [_, value]) in components.present() {
            // A line end inside a value could pass for another component.
            if !value.bytes().all(|b| (0x20..0x7f).contains(&b)) {
                return Err(MessageError::Unsignable { part });
            }
        }
        Ok(components)
    }

    /// Name and value, the value in two pieces.
    fn present(&self) -> impl Iterator<Item = (&'static str, [&'a str; 2])> {
        [
            Some(("@method", ["", self.method])),
            Some(("@path", ["", self.path])),
            // An absent and an empty query are the same (RFC 9421 §2.2.7).
            Some(("@query", ["?", self.query])),
            self.content_digest.map(|digest| ("content-digest", ["", digest])),
            self.content_type.map(|media| ("content-type", ["", media])),
        ]
        .into_iter()
        .flatten()
    }

    /// The covered-components list, `("@method" …)`.
    pub(super) fn covered(&self) -> &'static str {
        match (self.content_digest.is_some(), self.content_type.is_some()) {
            (true, true) => r#"("@method" "@path" "@query" "content-digest" "content-type")"#,
            (true, false) => r#"("@method" "@path" "@query" "content-digest")"#,
            (false, true) => r#"("@method" "@path" "@query" "content-type")"#,
            (false, false) => r#"("@method" "@path" "@query")"#,
        }
    }

    /// The signature base.
    pub(super) fn base(&self, params: &str) -> String {
        signature_base(self.present(), params)
    }
}

/// The signature base of components whose values come in two pieces. `params` is the text of the
/// signature's parameters as sent, covered components included.
pub(super) fn signature_base<'n, 'v>(
    components: impl IntoIterator<Item = (&'n str, [&'v str; 2])>,
    params: &str,
) -> String {
    /// The usual request's, besides its parameters.
    const COMPONENTS_BYTES: usize = 320;
    let mut base = String::with_capacity(COMPONENTS_BYTES + params.len());
    for (name, [prefix, value]) in components {
        base.extend(["\"", name, "\": ", prefix, value, "\n"]);
    }
    base.push_str("\"@signature-params\": ");
    base.push_str(params);
    base
}

/// The `Content-Digest` of a body with this digest (RFC 9530).
pub(super) fn content_digest(body: &Sha256Digest) -> String {
    format!("sha-256=:{}:", Base64::encode_string(body.as_bytes()))
}

/// Whether a `Content-Digest` is exactly the one of this digest.
pub(super) fn is_content_digest(field: &str, body: &Sha256Digest) -> bool {
    let mut room = [0; 44];
    let encoded = field.strip_prefix("sha-256=:").and_then(|rest| rest.strip_suffix(':'));
    Base64::encode(body.as_bytes(), &mut room).is_ok_and(|expected| encoded == Some(expected))
}
