//! The files of `evals/` that are part of the binary: suites and small data sets.

use crate::base::embedded::Files;

/// All of them; paths are those below `evals/`.
pub static FILES: Files = Files::new(
    include_str!(concat!(env!("OUT_DIR"), "/evals_files.txt")),
    include!(concat!(env!("OUT_DIR"), "/evals_files.rs")),
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::embedded::Text;

    #[test]
    fn json_says_what_yaml_says() {
        let files = || FILES.iter().filter(|file| file.path.ends_with(".yaml"));
        let differing: Vec<&str> =
            files().filter(|file| Text::from(*file).of_json_differs()).map(|file| file.path).collect();
        assert!(files().count() > 100 && differing.is_empty(), "{differing:?}");
    }
}
