//! See `session_ledger::fuzzing::records`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| session_ledger::fuzzing::records(data));
