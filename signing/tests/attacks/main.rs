//! Attacks on the client, one mutation and one named error each.
//!
//! A repository is built in memory with our own builders ([`kit`]); a test changes one thing,
//! signs it as an attacker could, and the client must refuse it by the right name. Every test
//! begins from a state that the client accepts, so none can pass by being broken elsewhere.

#![expect(clippy::unwrap_used, reason = "tests")]

mod arbitrary_software;
mod delegations;
mod freeze;
mod isolation;
mod kit;
mod limits;
mod mix_and_match;
mod polling;
mod publishing;
mod rollback;
mod roots;

/// Asserts that a result is the given error, and that its attack has the given name.
macro_rules! refused {
    ($result:expr, None, $pattern:pat $(if $guard:expr)?) => {{
        let error = $result.expect_err("accepted");
        assert!(matches!(&error, $pattern $(if $guard)?), "{error:?}");
        assert_eq!(error.attack(), None, "{error:?}");
    }};
    ($result:expr, $attack:ident, $pattern:pat $(if $guard:expr)?) => {{
        let error = $result.expect_err("accepted");
        assert!(matches!(&error, $pattern $(if $guard)?), "{error:?}");
        assert_eq!(error.attack(), Some(signing::Attack::$attack), "{error:?}");
    }};
}
pub(crate) use refused;
