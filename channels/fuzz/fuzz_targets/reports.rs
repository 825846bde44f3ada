#![no_main]
//! Feeds `checks::reports` with whatever finds new paths.

#[path = "../checks/mod.rs"]
#[allow(dead_code, reason = "one target uses one check")]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::reports::check(bytes));
