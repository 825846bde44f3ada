//! Whether a request may go on before a handler sees it: how often, from where, from which page.

pub mod address;
pub mod buckets;
pub mod cookies;
pub mod origin;

use std::net::IpAddr;

use jiff::Timestamp;

use super::problem::{ApiError, Code};
use super::sign_in::{SignIn, SignInSetupError};
use crate::auth::Activity;
use crate::config::{LimitSettings, Settings};
use buckets::{Buckets, Pace};

/// Seconds of the minute that sign-ins are counted in.
const MINUTE_S: u32 = 60;

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// An address without credentials.
    Address(IpAddr),
    /// An API token.
    Token(u64),
    /// Somebody who is signed in.
    Session(u64),
}

/// What the hub remembers between requests of people.
#[derive(Debug)]
pub struct Access {
    /// Uses of tokens and sessions that are not written yet.
    pub activity: Activity,
    /// How people sign in with a browser, where that is set.
    pub sign_in: Option<SignIn>,
    people: Buckets,
    logins: Buckets,
}

impl Access {
    /// Nothing is remembered yet; reads the files that sign-in needs.
    pub fn open(settings: &Settings) -> Result<Self, SignInSetupError> {
        let LimitSettings { people_per_s, people_burst, logins_per_min, .. } = settings.limits;
        let people = Pace { per_period: people_per_s, period_s: 1, burst: people_burst };
        let logins = Pace { per_period: logins_per_min, period_s: MINUTE_S, burst: logins_per_min };
        Ok(Self {
            activity: Activity::default(),
            sign_in: SignIn::open(settings)?,
            people: Buckets::new(people),
            logins: Buckets::new(logins),
        })
    }

    /// Counts one request.
    pub fn request(&self, who: Who, now: Timestamp) -> Result<(), ApiError> {
        self.people.take(&shared(who), now).map_err(|wait_s| too_many("requests", wait_s))
    }

    /// Refuses an address that failed too often.
    pub fn may_try(&self, address: IpAddr, now: Timestamp) -> Result<(), ApiError> {
        let who = shared(Who::Address(address));
        self.logins.look(&who, now).map_err(|wait_s| too_many("failed sign-ins", wait_s))
    }

    /// Counts a sign-in, or credentials that were wrong.
    pub fn try_login(&self, address: IpAddr, now: Timestamp) -> Result<(), ApiError> {
        let who = shared(Who::Address(address));
        self.logins.take(&who, now).map_err(|wait_s| too_many("sign-ins", wait_s))
    }
}

/// One household or office has a whole /64 of IPv6: its addresses count as one.
fn shared(who: Who) -> Who {
    match who {
        Who::Address(IpAddr::V6(address)) => {
            let first = address.to_bits() & !u128::from(u64::MAX);
            Who::Address(IpAddr::V6(first.into()))
        }
        Who::Address(IpAddr::V4(_)) | Who::Token(_) | Who::Session(_) => who,
    }
}

fn too_many(what: &str, wait_s: u64) -> ApiError {
    let detail = format!("too many {what}; come back in {wait_s} s");
    ApiError::new(Code::RateLimited, detail).with_retry_after(wait_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Fragments;

    fn access(limits: &str) -> Access {
        let text = format!("data_dir = '/x'\n[limits]\n{limits}");
        Access::open(&Fragments::parse(&text).unwrap().try_into().unwrap()).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    #[test]
    fn an_address_that_fails_too_often_waits_and_others_do_not() {
        let access = access("logins_per_min = 2");
        let [guesser, other] = ["203.0.113.9", "203.0.113.10"].map(|a| a.parse().unwrap());
        for _ in 0..2 {
            access.may_try(guesser, at(0)).unwrap();
            access.try_login(guesser, at(0)).unwrap();
        }
        let refused = access.may_try(guesser, at(0)).unwrap_err();
        assert_eq!(refused.code(), Code::RateLimited);
        access.may_try(other, at(0)).unwrap();
        access.may_try(guesser, at(31)).unwrap();
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_count_as_one() {
        let access = access("people_per_s = 1\npeople_burst = 1");
        let ask = |text: &str| access.request(Who::Address(text.parse().unwrap()), at(0));
        ask("2001:db8::1").unwrap();
        ask("2001:db8::2").unwrap_err();
        ask("2001:db8:0:1::1").unwrap();
        ask("203.0.113.1").unwrap();
        ask("203.0.113.2").unwrap();
    }

    #[test]
    fn tokens_are_counted_apart_whatever_address_they_come_from() {
        let access = access("people_per_s = 1\npeople_burst = 1");
        access.request(Who::Token(1), at(0)).unwrap();
        access.request(Who::Token(1), at(0)).unwrap_err();
        access.request(Who::Token(2), at(0)).unwrap();
        access.request(Who::Session(1), at(0)).unwrap();
        access.request(Who::Token(1), at(1)).unwrap();
    }
}
