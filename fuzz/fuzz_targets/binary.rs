//! See `session_ledger::fuzzing::binary_mode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| session_ledger::fuzzing::binary_mode(data));
