//! WikiText: pages as running text, and perplexities per word and byte of the pages as they came.
//!
//! Behaviour of lm-evaluation-harness 0.4.13, task `wikitext` (Merity et al. 2016, arXiv:1609.07843). Tokens that
//! were split off for the data set are joined again, in a fixed order of replacements. Words and bytes are
//! counted on the page before that.

use std::sync::LazyLock;

use serde_json::Value;

use super::{DocValue, Document, Values, text};
use crate::python::regex::{PyRegex, escape};
use crate::python::text::count_split_by_space;

/// Marks of numbers and punctuation that stand between spaces.
const PLAIN: [(&str, &str); 9] = [
    (" @-@ ", "-"),
    (" @,@ ", ","),
    (" @.@ ", "."),
    (" : ", ": "),
    (" ; ", "; "),
    (" . ", ". "),
    (" ! ", "! "),
    (" ? ", "? "),
    (" , ", ", "),
];
/// Headings, degrees, line ends and the possessive, after the brackets.
const LATER: [(&str, &str); 8] = [
    ("= = = =", "===="),
    ("= = =", "==="),
    ("= =", "=="),
    (" \u{b0} ", "\u{b0}"),
    (" \n", "\n"),
    ("\n ", "\n"),
    (" N ", " 1 "),
    (" 's", "'s"),
];

/// White space just inside of brackets and quotes, and what stands there without it.
static BRACKETS: LazyLock<Vec<(PyRegex, String)>> = LazyLock::new(|| {
    let inside = |(open, close): (char, char)| {
        let [o, c] = [open, close].map(|mark| escape(&mark.to_string()));
        (PyRegex::ours(&format!(r"{o}\s*([^{c}]*?)\s*{c}")), format!(r"{open}\1{close}"))
    };
    [('(', ')'), ('[', ']'), ('{', '}'), ('"', '"'), ('\'', '\'')].map(inside).into()
});

/// A place where the harness's pattern for years puts its own replacement text in; slashes and all.
static SLASHES: LazyLock<PyRegex> = LazyLock::new(|| PyRegex::ours(r"/' [0-9]/"));

/// The page as running text.
pub fn wikitext_detokenizer(document: &Document) -> Result<Value, String> {
    let mut page = text(document, "page")?.replace("s '", "s'");
    page = SLASHES.sub("/'[0-9]/", &page, 0)?;
    for (from, to) in PLAIN {
        page = page.replace(from, to);
    }
    for (pattern, inside) in BRACKETS.iter() {
        page = pattern.sub(inside, &page, 0)?;
    }
    for (from, to) in LATER {
        page = page.replace(from, to);
    }
    Ok(page.into())
}

/// The log-likelihood over the words and bytes of the page.
pub fn process_results(document: &Document, logprobs: &[f64]) -> Result<Values, String> {
    let page = text(document, "page")?;
    let [logprob] = logprobs else {
        return Err(format!("expected one score of the whole page, found {}", logprobs.len()));
    };
    let words = DocValue::Weighted(*logprob, count_split_by_space(page) as f64);
    let bytes = DocValue::Weighted(*logprob, page.len() as f64);
    Ok(vec![("word_perplexity", words), ("byte_perplexity", bytes.clone()), ("bits_per_byte", bytes)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn split_marks_are_joined() {
        for (page, wanted) in [
            ("the boys ' toys , 3 @.@ 5 @-@ inch .", "the boys' toys, 3.5-inch ."),
            (" = = Heading = = \n He ( born 1970 ) \n", " == Heading ==\nHe (born 1970)\n"),
            ("\" quoted \" and ' lone '", "\"quoted\" and 'lone'"),
            ("[ a ] { b } 5 \u{b0} C ; N of it 's", "[a] {b} 5\u{b0}C; 1 of it's"),
        ] {
            let document = json!({"page": page});
            assert_eq!(wikitext_detokenizer(document.as_object().unwrap()).unwrap(), wanted);
        }
    }

    #[test]
    fn units_are_those_of_the_page() {
        let document = json!({"page": " é b \n"});
        let values = process_results(document.as_object().unwrap(), &[-6.0]).unwrap();
        assert_eq!(values[0], ("word_perplexity", DocValue::Weighted(-6.0, 4.0)));
        assert_eq!(values[2], ("bits_per_byte", DocValue::Weighted(-6.0, 7.0)));
    }
}
