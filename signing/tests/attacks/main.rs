//! Attacks on the client, one mutation and one named error each.
//!
//! A repository is built in memory with our own builders ([`kit`]); a test changes one thing,
//! signs it as an attacker could, and the client must refuse it by the right name. Every test
//! begins from a state that the client accepts, so none can pass by being broken elsewhere.
//! `README.md` beside this file says which test stands for which attack; [`table`] keeps it true.

#![expect(clippy::unwrap_used, reason = "tests")]

mod arbitrary_software;
mod delegations;
mod freeze;
mod holes;
#[cfg(feature = "http")]
mod http;
mod isolation;
mod kit;
mod lax;
mod limits;
mod mirrors;
mod mix_and_match;
mod polling;
mod publishing;
mod rollback;
mod roots;
mod rows;
mod table;

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

/// Asserts that clients in every standing answer with the given error, and name the same attack.
macro_rules! all_refused {
    ($answers:expr, $attack:ident, $pattern:pat $(if $guard:expr)?) => {{
        let answers = $answers;
        assert_eq!(answers.len(), crate::kit::Standing::ALL.len());
        for (standing, answer) in answers {
            println!("{standing:?}");
            crate::refused!(answer, $attack, $pattern $(if $guard)?);
        }
    }};
}
pub(crate) use all_refused;
