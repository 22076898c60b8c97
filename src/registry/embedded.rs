//! The files of `zoo/` that are part of the binary; the table is written by `build.rs`.

/// Every embedded file as (path below `zoo/`, text), sorted by path.
pub fn files() -> &'static [(&'static str, &'static str)] {
    include!(concat!(env!("OUT_DIR"), "/zoo_files.rs"))
}
