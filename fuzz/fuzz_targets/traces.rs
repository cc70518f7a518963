//! See `session_ledger::fuzzing::traces`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| session_ledger::fuzzing::traces(data));
