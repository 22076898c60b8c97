#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zoo_fuzz::check(zoo::fuzzing::LEDGER, bytes));
