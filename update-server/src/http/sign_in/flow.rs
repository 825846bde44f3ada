//! One sign-in: the secret that a browser keeps, and what is derived from it.
//!
//! State, nonce and PKCE verifier come from one random secret in a cookie, each by its own hash:
//! the hub keeps nothing for sign-ins that are never finished, any replica can finish one, and
//! what the address bar shows says nothing about the verifier.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use signing::Sha256Digest;

use crate::auth::Secret;

/// What a browser's sign-in is checked by.
pub(super) struct Flow<'s> {
    secret: &'s Secret,
}

impl<'s> Flow<'s> {
    pub(super) fn of(secret: &'s Secret) -> Self {
        Self { secret }
    }

    /// 43 characters of base64url, as RFC 7636 §4.1 wants of a verifier.
    fn derived(&self, what: &str) -> String {
        let text = format!("fairway-sign-in-v1 {what} {}", self.secret.reveal());
        URL_SAFE_NO_PAD.encode(Sha256Digest::of(text.as_bytes()).as_bytes())
    }

    /// Binds the provider's answer to the browser that asked.
    pub(super) fn state(&self) -> String {
        self.derived("state")
    }

    /// Binds the ID token to this sign-in.
    pub(super) fn nonce(&self) -> String {
        self.derived("nonce")
    }

    /// Shown to the provider only when the code is redeemed (RFC 7636).
    pub(super) fn verifier(&self) -> String {
        self.derived("verifier")
    }

    fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256Digest::of(self.verifier().as_bytes()).as_bytes())
    }

    /// Where the browser is sent.
    pub(super) fn authorization_url(
        &self,
        endpoint: &Url,
        client_id: &str,
        scopes: &[String],
        redirect_uri: &Url,
    ) -> Url {
        let mut url = endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", client_id)
            .append_pair("redirect_uri", redirect_uri.as_str())
            .append_pair("scope", &scopes.join(" "))
            .append_pair("state", &self.state())
            .append_pair("nonce", &self.nonce())
            .append_pair("code_challenge", &self.challenge())
            .append_pair("code_challenge_method", "S256");
        url
    }
}

/// Whether two texts are the same. Digests are compared, so that time tells nothing.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    Sha256Digest::of(one.as_bytes()) == Sha256Digest::of(other.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::auth::SecretKind;

    #[test]
    fn what_is_derived_differs_and_only_the_challenge_of_the_verifier_is_shown() {
        let [one, other] = [0, 1].map(|_| Secret::generate(SecretKind::SignIn).unwrap());
        let (flow, others) = (Flow::of(&one), Flow::of(&other));
        let all = [&flow, &others]
            .map(|flow| [flow.state(), flow.nonce(), flow.verifier(), flow.challenge()])
            .concat();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 8);
        assert!(all.iter().all(|text| text.len() == 43));
        let endpoint = "https://id.example/auth?tenant=a".parse().unwrap();
        let back = "https://hub.example/auth/callback".parse().unwrap();
        let scopes = ["openid".to_owned(), "groups".to_owned()];
        let url = flow.authorization_url(&endpoint, "hub", &scopes, &back).to_string();
        assert!(url.starts_with("https://id.example/auth?tenant=a&response_type=code&"), "{url}");
        for shown in [flow.state(), flow.nonce(), flow.challenge()] {
            assert!(url.contains(&shown));
        }
        assert!(url.contains("code_challenge_method=S256") && url.contains("scope=openid+groups"));
        assert!(!url.contains(&flow.verifier()) && !url.contains(one.reveal()));
    }
}
