//! See `session_ledger::fuzzing::structured`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| session_ledger::fuzzing::structured(data));
