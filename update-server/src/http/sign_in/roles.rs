//! Which role the claims of a person give.

use serde_json::Value;

use super::id_token::Claims;
use crate::auth::{Access, Scope};
use crate::config::OidcSettings;

/// Longest name kept of a person.
const NAME_MAX_CHARS: usize = 100;

/// A person with a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// Name for the audit log, without its prefix.
    pub(super) name: String,
    pub(super) access: Access,
    pub(super) scope: Scope,
}

/// Why somebody whom the provider knows does not come in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoRole {
    #[error(
        "the ID token has no usable claim {claim:?} to name you by; an e-mail address must be \
         verified"
    )]
    Name { claim: String },
    #[error("no rule of the hub gives {name:?} a role")]
    Rule { name: String },
}

/// The first rule that fits counts.
pub(super) fn person(claims: &Claims, settings: &OidcSettings) -> Result<Person, NoRole> {
    let claim = &settings.name_claim;
    let name = trusted(claims, claim).and_then(Value::as_str).filter(|name| {
        let chars = name.chars().count();
        (1..=NAME_MAX_CHARS).contains(&chars) && !name.contains(char::is_control)
    });
    let name = name.ok_or_else(|| NoRole::Name { claim: claim.clone() })?.to_owned();
    let rule = settings.roles.iter().find(|rule| {
        trusted(claims, &rule.claim).is_some_and(|value| is_or_holds(value, &rule.value))
    });
    let rule = rule.ok_or_else(|| NoRole::Rule { name: name.clone() })?;
    Ok(Person { name, access: rule.access, scope: rule.scope.clone() })
}

/// A claim that says something: an address that anybody may type in at the provider does not.
fn trusted<'c>(claims: &'c Claims, claim: &str) -> Option<&'c Value> {
    let is_verified = || claims.0.get("email_verified") == Some(&Value::Bool(true));
    claims.0.get(claim).filter(|_| claim != "email" || is_verified())
}

fn is_or_holds(value: &Value, wanted: &str) -> bool {
    let is_it = |value: &Value| value.as_str() == Some(wanted);
    is_it(value) || value.as_array().is_some_and(|list| list.iter().any(is_it))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{Fragments, Settings};

    fn settings(name_claim: &str) -> OidcSettings {
        let text = format!(
            "data_dir = '/x'\npublic_url = 'https://hub.example'\n[oidc]\n\
             issuer = 'https://id.example'\nclient_id = 'hub'\nname_claim = '{name_claim}'\n\
             [[oidc.roles]]\nclaim = 'groups'\nvalue = 'admins'\naccess = 'admin'\n\
             [[oidc.roles]]\nclaim = 'email'\nvalue = 'boss@acme.example'\naccess = 'publisher'\n\
             [[oidc.roles]]\nclaim = 'groups'\nvalue = 'east'\naccess = 'operator'\n\
             selector = 'site=east'\n"
        );
        Settings::try_from(Fragments::parse(&text).unwrap()).unwrap().oidc.unwrap()
    }

    fn of(name_claim: &str, claims: &Value) -> Result<Person, NoRole> {
        person(&Claims(claims.as_object().unwrap().clone()), &settings(name_claim))
    }

    #[test]
    fn the_first_rule_that_fits_gives_the_role() {
        let mira = of("sub", &json!({ "sub": "mira", "groups": ["east", "admins"] })).unwrap();
        assert_eq!((mira.name.as_str(), mira.access), ("mira", Access::Admin));
        let ann = of("sub", &json!({ "sub": "ann", "groups": "east" })).unwrap();
        assert_eq!((ann.access, ann.scope.text()), (Access::Operator, Some("site=east")));
    }

    #[test]
    fn who_has_no_rule_or_no_name_does_not_come_in() {
        for claims in [
            json!({ "sub": "eve" }),
            json!({ "sub": "eve", "groups": ["Admins", "admins2"] }),
            json!({ "sub": "eve", "groups": { "admins": true } }),
        ] {
            let error = of("sub", &claims).unwrap_err();
            assert_eq!(error, NoRole::Rule { name: "eve".to_owned() });
        }
        for name in [json!(""), json!(7), json!("a\nb"), json!("a".repeat(101))] {
            let error = of("sub", &json!({ "sub": name, "groups": "admins" })).unwrap_err();
            assert!(matches!(error, NoRole::Name { .. }), "{name}");
        }
    }

    #[test]
    fn an_address_that_nobody_verified_names_nobody_and_gives_nothing() {
        let claims = |verified: Value| json!({ "sub": "x", "email": "boss@acme.example", "email_verified": verified });
        assert_eq!(of("sub", &claims(json!(true))).unwrap().access, Access::Publisher);
        assert_eq!(of("email", &claims(json!(true))).unwrap().name, "boss@acme.example");
        for unverified in [json!(false), json!("true"), Value::Null] {
            assert!(of("sub", &claims(unverified.clone())).is_err(), "{unverified}");
            assert!(of("email", &claims(unverified)).is_err());
        }
    }
}
