//! Commands that a person is told to give, as a shell reads them.

/// A word as a shell reads it back.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./,:=@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_a_shell_would_change_are_quoted() {
        let words = ["./a-b_1.gguf", "", "$HOME", "a b", "Don't", "mmlu_*", "org/name@main"].map(quoted);
        assert_eq!(
            words,
            ["./a-b_1.gguf", "''", "'$HOME'", "'a b'", r"'Don'\''t'", "'mmlu_*'", "org/name@main"]
        );
    }
}
