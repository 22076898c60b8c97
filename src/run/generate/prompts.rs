//! Files of prompts: one a line, or an object a line.

use serde_json::Value;

use crate::base::fault::shown;
use crate::base::recognise::without_mark;
use crate::run::RunError;

/// The prompts of a file, `place` in errors: its lines, or the text `prompt` of the object in each line if the first one begins
/// like an object. Empty lines are passed over.
///
/// # Errors
/// Content that is no text, lines that are no such object, a file without prompts.
pub fn read_prompts(place: &str, bytes: &[u8]) -> Result<Vec<String>, RunError> {
    let fail = |line: usize, expected: &str, found: &str| {
        RunError::Usage(format!("{place}:{line}: expected {expected}, found {}", shown(found)))
    };
    let text = std::str::from_utf8(without_mark(bytes)).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        fail(line, "text in UTF-8", "other bytes")
    })?;
    let lines: Vec<(usize, &str)> =
        (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()).collect();
    let Some((_, first)) = lines.first() else {
        return Err(RunError::Usage(format!("{place}: expected a prompt in each line, found none")));
    };
    if !first.trim_start().starts_with('{') {
        return Ok(lines.into_iter().map(|(_, line)| line.to_owned()).collect());
    }
    let prompt = |(number, line): (usize, &str)| {
        let expected = "an object with the text `prompt`, as in the first line";
        let value: Value =
            serde_json::from_str(line).map_err(|error| fail(number, expected, &error.to_string()))?;
        match value.get("prompt") {
            Some(Value::String(prompt)) => Ok(prompt.clone()),
            Some(other) => Err(fail(number, expected, &format!("`prompt`: {other}"))),
            None => Err(fail(number, expected, line)),
        }
    };
    lines.into_iter().map(prompt).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        read_prompts("p.txt", text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn lines_and_objects() {
        assert_eq!(read("one\r\n\n two \nthree").unwrap(), ["one", " two ", "three"]);
        assert_eq!(
            read("\u{feff}{\"prompt\": \"a\\nb\", \"id\": 3}\n\n{\"prompt\": \"\"}\n").unwrap(),
            ["a\nb", ""]
        );
        assert_eq!(read("[1]\n{").unwrap(), ["[1]", "{"]);
    }

    #[test]
    fn faults_have_file_and_line() {
        for (text, words) in [
            (" \n\n", "p.txt: expected a prompt in each line, found none"),
            ("{\"prompt\": \"a\"}\n\nb\n", "p.txt:3: expected an object with the text `prompt`"),
            (
                "{\"text\": \"a\"}",
                "p.txt:1: expected an object with the text `prompt`, as in the first line, found {\"text\"",
            ),
            ("{\"prompt\": 3}", "`prompt`: 3"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let error = read_prompts("p.txt", b"a\nb\xff\n").unwrap_err().to_string();
        assert_eq!(error, "p.txt:2: expected text in UTF-8, found other bytes");
    }
}
