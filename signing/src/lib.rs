//! TUF 1.0.34 client and repository, keys, and HTTP message signatures.
