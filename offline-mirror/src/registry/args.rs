//! How to enter a registry, as options of a command line.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use clap::Args;

use super::RegistryAccess;
use crate::oci::{Host, Repository};

/// Options of every command that talks to a registry.
#[derive(Debug, Clone, Default, Args)]
pub struct AccessArgs {
    /// Path in front of every repository of the registry.
    #[arg(long)]
    pub registry_prefix: Option<Repository>,
    /// Talk HTTP without TLS to the registry, and to hosts that only --image names.
    #[arg(long, env = "FAIRWAY_PLAIN_HTTP")]
    pub plain_http: bool,
    /// User for the registry.
    #[arg(long, requires = "registry_password_file")]
    pub registry_user: Option<String>,
    /// File with the password of that user.
    #[arg(long, requires = "registry_user")]
    pub registry_password_file: Option<PathBuf>,
    /// Docker or Podman credential file to look into instead of the usual ones.
    #[arg(long, value_name = "FILE", conflicts_with = "registry_user")]
    pub registry_auth_file: Option<PathBuf>,
    /// Use no credentials, not even those in the usual files.
    #[arg(long, conflicts_with_all = ["registry_user", "registry_auth_file"])]
    pub registry_anonymous: bool,
    /// Host that may get the credentials as token service (repeatable).
    #[arg(long = "registry-realm-host", value_name = "HOST")]
    pub registry_realm_hosts: Vec<Host>,
    /// File with further authorities to trust, as PEM (repeatable).
    #[arg(long = "registry-ca-file", value_name = "FILE")]
    pub registry_ca_files: Vec<PathBuf>,
    /// File with our certificate for the registry, as PEM.
    #[arg(long, value_name = "FILE", requires = "registry_client_key")]
    pub registry_client_certificate: Option<PathBuf>,
    /// File with the key of that certificate, as PEM.
    #[arg(long, value_name = "FILE", requires = "registry_client_certificate")]
    pub registry_client_key: Option<PathBuf>,
    /// Proxy to reach the registry through, instead of the environment's; `direct` for none.
    #[arg(long, value_name = "URL")]
    pub registry_proxy: Option<String>,
    /// Most requests to the registry at once.
    #[arg(long, value_name = "N")]
    pub registry_requests: Option<NonZeroU32>,
    /// Most bytes per second over all transfers together; K, M and G are powers of 1000.
    #[arg(long, value_name = "BYTES", value_parser = parse_rate)]
    pub limit_rate: Option<NonZeroU64>,
}

impl AccessArgs {
    /// The access to `host` that these options describe.
    pub fn access(&self, host: Host) -> RegistryAccess {
        let mut access = RegistryAccess::new(host);
        self.apply(&mut access);
        access
    }

    /// The access to another host than the one that these options are for: nothing that is secret,
    /// or that belongs to that one registry. A credential file is looked into by host.
    pub fn elsewhere(&self, host: Host) -> RegistryAccess {
        RegistryAccess {
            prefix: None,
            user: None,
            password_file: None,
            client_certificate: None,
            client_key: None,
            realm_hosts: Vec::new(),
            ..self.access(host)
        }
    }

    /// Names of the options that were given: those that are for one registry alone, and those that
    /// hold for any.
    pub fn named(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let given = |options: &[(bool, &'static str)]| {
            options.iter().filter(|(is_given, _)| *is_given).map(|(_, name)| *name).collect()
        };
        let for_one = [
            (self.registry_prefix.is_some(), "--registry-prefix"),
            (self.registry_user.is_some(), "--registry-user"),
            (!self.registry_realm_hosts.is_empty(), "--registry-realm-host"),
            (self.registry_client_certificate.is_some(), "--registry-client-certificate"),
        ];
        let for_any = [
            (self.plain_http, "--plain-http"),
            (self.registry_auth_file.is_some(), "--registry-auth-file"),
            (self.registry_anonymous, "--registry-anonymous"),
            (!self.registry_ca_files.is_empty(), "--registry-ca-file"),
            (self.registry_proxy.is_some(), "--registry-proxy"),
            (self.registry_requests.is_some(), "--registry-requests"),
        ];
        (given(&for_one), given(&for_any))
    }

    /// Lays what was said on the command line over what a configuration file says. One way to sign
    /// in goes over every other.
    pub fn apply(&self, access: &mut RegistryAccess) {
        let is_one = self.registry_user.is_some()
            || self.registry_auth_file.is_some()
            || self.registry_anonymous;
        if is_one {
            (access.user, access.password_file, access.auth_file) = (None, None, None);
            access.anonymous = false;
        }
        let over = |to: &mut Option<PathBuf>, from: &Option<PathBuf>| {
            if from.is_some() {
                to.clone_from(from);
            }
        };
        if self.registry_prefix.is_some() {
            access.prefix.clone_from(&self.registry_prefix);
        }
        if self.registry_user.is_some() {
            access.user.clone_from(&self.registry_user);
        }
        if self.registry_proxy.is_some() {
            access.proxy.clone_from(&self.registry_proxy);
        }
        over(&mut access.password_file, &self.registry_password_file);
        over(&mut access.auth_file, &self.registry_auth_file);
        over(&mut access.client_certificate, &self.registry_client_certificate);
        over(&mut access.client_key, &self.registry_client_key);
        access.plain_http |= self.plain_http;
        access.anonymous |= self.registry_anonymous;
        access.realm_hosts.extend(self.registry_realm_hosts.iter().cloned());
        access.ca_files.extend(self.registry_ca_files.iter().cloned());
        access.requests_at_once = self.registry_requests.or(access.requests_at_once);
    }
}

/// Reads `500`, `500K`, `20M`, `1G`.
///
/// # Errors
/// With what was expected.
pub fn parse_rate(text: &str) -> Result<NonZeroU64, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (text.get(..at), 1_000),
        Some((at, 'M' | 'm')) => (text.get(..at), 1_000_000),
        Some((at, 'G' | 'g')) => (text.get(..at), 1_000_000_000),
        _ => (Some(text), 1),
    };
    let number: Option<u64> = digits.and_then(|digits| digits.parse().ok());
    let rate = number.and_then(|number| number.checked_mul(unit)).and_then(NonZeroU64::new);
    rate.ok_or_else(|| "expected a number of bytes above 0, with K, M or G behind it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_with_their_unit() {
        for (text, bytes) in [("1", 1), ("500K", 500_000), ("20m", 20_000_000), ("1G", 1 << 30)] {
            let rate = parse_rate(text).map(NonZeroU64::get);
            assert_eq!(rate.is_ok_and(|rate| rate == bytes), text != "1G", "{text}: not 2^30");
        }
        for bad in ["", "0", "K", "-1", "1T", "99999999999G"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_way_to_sign_in_goes_over_every_other() {
        let mut user = RegistryAccess::new("r.example".parse().unwrap());
        (user.user, user.password_file) = (Some("robot".to_owned()), Some("password".into()));
        let mut file = RegistryAccess::new("r.example".parse().unwrap());
        file.auth_file = Some("auth.json".into());
        let mut nobody = RegistryAccess::new("r.example".parse().unwrap());
        nobody.anonymous = true;
        let as_user = AccessArgs {
            registry_user: Some("robot".to_owned()),
            registry_password_file: Some("password".into()),
            ..AccessArgs::default()
        };
        let as_file =
            AccessArgs { registry_auth_file: Some("auth.json".into()), ..AccessArgs::default() };
        let as_nobody = AccessArgs { registry_anonymous: true, ..AccessArgs::default() };
        let ways = [user, file, nobody];
        for (args, meant) in [as_user, as_file, as_nobody].iter().zip(&ways) {
            for before in &ways {
                let mut access = before.clone();
                args.apply(&mut access);
                assert!(access == *meant, "{args:?} over {before:?}");
            }
        }
    }

    #[test]
    fn the_command_line_goes_over_the_file_and_leaves_the_rest() {
        let mut access = RegistryAccess::new("r.example".parse().unwrap());
        access.prefix = Some("kept".parse().unwrap());
        access.ca_files = vec!["a.pem".into()];
        let args = AccessArgs {
            plain_http: true,
            registry_ca_files: vec!["b.pem".into()],
            ..AccessArgs::default()
        };
        args.apply(&mut access);
        assert!(access.plain_http);
        assert_eq!(access.prefix, Some("kept".parse().unwrap()));
        assert_eq!(access.ca_files, [PathBuf::from("a.pem"), PathBuf::from("b.pem")]);
    }
}
