//! The files of `zoo/` that are part of the binary: cards, records and prompts.

use crate::base::embedded::Files;

/// All of them; paths are those below `zoo/`.
pub static FILES: Files = Files::new(
    include_str!(concat!(env!("OUT_DIR"), "/zoo_files.txt")),
    include!(concat!(env!("OUT_DIR"), "/zoo_files.rs")),
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::embedded::Text;

    #[test]
    fn json_says_what_yaml_says() {
        let differing: Vec<&str> =
            FILES.iter().filter(|file| Text::from(*file).of_json_differs()).map(|file| file.path).collect();
        assert!(FILES.iter().count() > 100 && differing.is_empty(), "{differing:?}");
    }
}
