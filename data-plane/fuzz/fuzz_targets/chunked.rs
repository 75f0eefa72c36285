#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evenkeel_data_plane_fuzz::chunked(bytes));
