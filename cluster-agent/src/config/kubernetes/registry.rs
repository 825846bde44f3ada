//! Where images are pulled from, and which containers run them.

use std::fmt;
use std::str::FromStr;

/// Longest prefix: the distribution specification's limit for a whole name.
const PREFIX_MAX_BYTES: usize = 255;

/// Where images are pulled from: `host[:port][/path]`. Repository and digest come from a signed
/// release; this never does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry(String);

impl FromStr for Registry {
    type Err = &'static str;

    fn from_str(value: &str) -> Result<Self, &'static str> {
        if value.is_empty() || value.len() > PREFIX_MAX_BYTES {
            return Err("it must have 1 to 255 characters");
        }
        if value.contains("://") {
            return Err("it is host[:port][/path], without a scheme");
        }
        if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:/[]".contains(&b)) {
            return Err("only letters, digits and ._-:/ are allowed");
        }
        if value.starts_with(['/', '.', '-', ':']) || value.ends_with(['/', ':']) {
            return Err("it must begin with a host and end with a name");
        }
        Ok(Self(value.to_owned()))
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Which containers of a pod run the component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The container whose image is the component's.
    pub container: String,
    /// Containers that run before it from the same image.
    pub init_containers: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::Registry;

    #[test]
    fn a_registry_is_a_host_and_a_path_and_nothing_else() {
        assert!("registry.example:5000/mirror".parse::<Registry>().is_ok());
        for bad in ["", "https://registry.example", "registry example", "/x", "registry/", "a@b"] {
            assert!(bad.parse::<Registry>().is_err(), "{bad}");
        }
    }
}
