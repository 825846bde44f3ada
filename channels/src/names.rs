//! Names that appear in paths, URLs and documents, parsed once at the edge.
//!
//! Every type here is a newtype around a string that is known to be short and to hold only the
//! characters its place in a TUF target path, a query parameter or a metric label allows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest vendor, product or unit name: what a DNS label holds, so names can become host names.
pub const NAME_MAX_BYTES: usize = 63;

/// Longest channel name accepted; the longest known real one (`candidate-4.10`) has 14 bytes.
pub const CHANNEL_MAX_BYTES: usize = 100;

/// Role names TUF gives a fixed meaning; a vendor of that name would collide with them.
const RESERVED_VENDORS: [&str; 5] = ["root", "targets", "snapshot", "timestamp", "mirrors"];

/// Why a text is not a name of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a {kind}: {why}")]
pub struct NameError {
    /// The kind of name that was expected, in words.
    pub kind: &'static str,
    /// The refused text, cut to a printable length.
    pub value: String,
    /// The rule it breaks.
    pub why: &'static str,
}

impl NameError {
    /// Builds the error, cutting `value` so that a hostile input cannot flood a log line.
    pub fn new(kind: &'static str, value: &str, why: &'static str) -> Self {
        Self { kind, value: value.chars().take(80).collect(), why }
    }
}

/// Checks `[a-z0-9][a-z0-9-]*` with a length bound.
fn check_label(kind: &'static str, value: &str) -> Result<(), NameError> {
    if value.is_empty() || value.len() > NAME_MAX_BYTES {
        return Err(NameError::new(kind, value, "it must have 1 to 63 characters"));
    }
    if value.starts_with('-') {
        return Err(NameError::new(kind, value, "it must start with a letter or digit"));
    }
    if !value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err(NameError::new(kind, value, "only a-z, 0-9 and '-' are allowed"));
    }
    Ok(())
}

fn check_vendor(kind: &'static str, value: &str) -> Result<(), NameError> {
    check_label(kind, value)?;
    if RESERVED_VENDORS.contains(&value) {
        return Err(NameError::new(kind, value, "it is the name of a TUF top-level role"));
    }
    Ok(())
}

fn check_channel(kind: &'static str, value: &str) -> Result<(), NameError> {
    if value.is_empty() || value.len() > CHANNEL_MAX_BYTES {
        return Err(NameError::new(kind, value, "it must have 1 to 100 characters"));
    }
    // The pattern of the Cincinnati API: ^[0-9a-z\-\.]+$
    if !value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b)) {
        return Err(NameError::new(kind, value, "only a-z, 0-9, '-' and '.' are allowed"));
    }
    // `<channel>.<arch>.graph.json` is one path segment; "." and ".." must not become one.
    if value.starts_with('.') {
        return Err(NameError::new(kind, value, "it must not start with '.'"));
    }
    Ok(())
}

fn check_arch(kind: &'static str, value: &str) -> Result<(), NameError> {
    if value.is_empty() || value.len() > NAME_MAX_BYTES {
        return Err(NameError::new(kind, value, "it must have 1 to 63 characters"));
    }
    // The pattern of the Cincinnati API: ^[0-9a-z]+$
    if !value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return Err(NameError::new(kind, value, "only a-z and 0-9 are allowed"));
    }
    Ok(())
}

fn check_unit(kind: &'static str, value: &str) -> Result<(), NameError> {
    if value.is_empty() || value.len() > 253 {
        return Err(NameError::new(kind, value, "it must have 1 to 253 characters"));
    }
    if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        return Err(NameError::new(kind, value, "only letters, digits, '-', '_', '.' are allowed"));
    }
    if value.starts_with('.') || value.starts_with('-') {
        return Err(NameError::new(kind, value, "it must start with a letter, digit or '_'"));
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(value: &str) -> Result<Self, NameError> {
                $check($kind, value)?;
                Ok(Self(value.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(value: String) -> Result<Self, NameError> {
                $check($kind, &value)?;
                Ok(Self(value))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

name!(
    /// A site: a place with clusters, a registry and a hub of its own, reached by carried bundles or
    /// seen by carried status files.
    SiteName,
    "site name",
    check_label
);
name!(
    /// A vendor: `[a-z0-9][a-z0-9-]*`, not the name of a TUF top-level role.
    VendorName, "vendor name", check_vendor
);
name!(
    /// A product of one vendor: `[a-z0-9][a-z0-9-]*`.
    ProductName, "product name", check_label
);
name!(
    /// A channel, by the Cincinnati pattern `[0-9a-z.-]+`.
    ChannelName, "channel name", check_channel
);
name!(
    /// A CPU architecture in Go's spelling (`amd64`, `arm64`, …) or `multi`.
    Arch, "architecture", check_arch
);
name!(
    /// One controller, broker, node or workload of a cluster; a Kubernetes object name fits.
    UnitName, "unit name", check_unit
);
name!(
    /// A pool of units that are rolled in order.
    PoolName, "pool name", check_label
);

/// A product of a vendor, written `vendor/product`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProductRef {
    /// Who publishes it.
    pub vendor: VendorName,
    /// What it is called there.
    pub product: ProductName,
}

impl fmt::Display for ProductRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.vendor, self.product))
    }
}

impl FromStr for ProductRef {
    type Err = NameError;
    fn from_str(value: &str) -> Result<Self, NameError> {
        let (vendor, product) = value
            .split_once('/')
            .ok_or_else(|| NameError::new("product", value, "it must read vendor/product"))?;
        Ok(Self { vendor: vendor.parse()?, product: product.parse()? })
    }
}

impl TryFrom<String> for ProductRef {
    type Error = NameError;
    fn try_from(value: String) -> Result<Self, NameError> {
        value.parse()
    }
}

impl From<ProductRef> for String {
    fn from(product: ProductRef) -> Self {
        product.to_string()
    }
}

/// The identity the hub issued to a cluster at enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub uuid::Uuid);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl FromStr for ClusterId {
    type Err = NameError;
    fn from_str(value: &str) -> Result<Self, NameError> {
        uuid::Uuid::parse_str(value)
            .map(Self)
            .map_err(|_| NameError::new("cluster id", value, "it must be a UUID"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_escape_their_path_segment_are_refused() {
        for bad in ["", "..", ".hidden", "a/b", "A", "a b", "a\n"] {
            assert!(bad.parse::<ChannelName>().is_err(), "{bad:?}");
            assert!(bad.parse::<VendorName>().is_err(), "{bad:?}");
        }
        assert_eq!("stable-4.18".parse::<ChannelName>().unwrap().as_str(), "stable-4.18");
    }

    #[test]
    fn a_vendor_cannot_take_the_name_of_a_top_level_role() {
        let error = "snapshot".parse::<VendorName>().unwrap_err();
        assert_eq!(error.why, "it is the name of a TUF top-level role");
    }

    #[test]
    fn a_product_reads_vendor_slash_product() {
        let product: ProductRef = "acme/kafka".parse().unwrap();
        assert_eq!((product.vendor.as_str(), product.product.as_str()), ("acme", "kafka"));
        assert!("acme".parse::<ProductRef>().is_err());
        assert!("acme/kafka/x".parse::<ProductRef>().is_err());
    }
}
