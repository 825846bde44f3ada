//! Attack tests.
