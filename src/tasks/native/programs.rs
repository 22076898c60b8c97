//! HumanEval and MBPP: programs put together from prompt and answer.
//!
//! Behaviour of lm-evaluation-harness 0.4.13, tasks `humaneval` (Chen et al. 2021, arXiv:2107.03374) and `mbpp`
//! (Austin et al. 2021, arXiv:2108.07732). What is put together here is run by `sandbox`.

use std::sync::LazyLock;

use serde_json::json;

use super::{Document, FilterResult, text};
use crate::python::regex::{Found, PyRegex};
use crate::tasks::filters::{FilterArgs, each, find_in_each};

static BLOCK: LazyLock<PyRegex> = LazyLock::new(|| PyRegex::ours(r"(?s)```(?:\w+)?\n?(.*?)\n?```"));

/// Prompt and whole answer.
pub fn build_predictions(args: FilterArgs) -> FilterResult {
    after_prompt(args, false)
}

/// Prompt and the answer up to the first code fence.
pub fn build_predictions_instruct(args: FilterArgs) -> FilterResult {
    after_prompt(args, true)
}

fn after_prompt(args: FilterArgs, to_fence: bool) -> FilterResult {
    args.done()?;
    Ok(each(move |document, answer| {
        let end = answer.find("```").filter(|_| to_fence).unwrap_or(answer.len());
        Ok(format!("{}{}", text(document, "prompt")?, &answer[..end]).into())
    }))
}

/// The first block of code of an answer that began inside of one.
pub fn extract_code(args: FilterArgs) -> FilterResult {
    args.done()?;
    let first = |text: &str| -> Result<Option<String>, String> {
        Ok(BLOCK.find_all(text)?.into_iter().next().and_then(Found::first_text))
    };
    // Without a block of code the program is empty.
    Ok(find_in_each("".into(), move |_, answer| {
        let found = match first(&format!("```{answer}"))? {
            Some(found) => Some(found),
            None => first(&answer.replace("```python", "```"))?,
        };
        Ok(found.map(Into::into))
    }))
}

/// The three examples of MBPP, tasks 2 to 4 of its prompt split.
pub fn mbpp_samples() -> Vec<Document> {
    let sample = |id: u8, text: &str, code: &str, tests: [&str; 3]| {
        super::document(
            json!({"task_id": id, "text": text, "code": code, "test_list": tests, "is_fewshot": true}),
        )
    };
    vec![
        sample(
            2,
            "Write a function to find the similar elements from the given two tuple lists.",
            "def similar_elements(test_tup1, test_tup2):\r\n  res = tuple(set(test_tup1) & set(test_tup2))\r\n  return (res) ",
            [
                "assert similar_elements((3, 4, 5, 6),(5, 7, 4, 10)) == (4, 5)",
                "assert similar_elements((1, 2, 3, 4),(5, 4, 3, 7)) == (3, 4)",
                "assert similar_elements((11, 12, 14, 13),(17, 15, 14, 13)) == (13, 14)",
            ],
        ),
        sample(
            3,
            "Write a python function to identify non-prime numbers.",
            "import math\r\ndef is_not_prime(n):\r\n    result = False\r\n    for i in range(2,int(math.sqrt(n)) + 1):\r\n        if n % i == 0:\r\n            result = True\r\n    return result",
            [
                "assert is_not_prime(2) == False",
                "assert is_not_prime(10) == True",
                "assert is_not_prime(35) == True",
            ],
        ),
        sample(
            4,
            "Write a function to find the largest integers from a given list of numbers using heap queue algorithm.",
            "import heapq as hq\r\ndef heap_queue_largest(nums,n):\r\n  largest_nums = hq.nlargest(n, nums)\r\n  return largest_nums",
            [
                "assert heap_queue_largest( [25, 35, 22, 85, 14, 65, 75, 22, 58],3)==[85, 75, 65] ",
                "assert heap_queue_largest( [25, 35, 22, 85, 14, 65, 75, 22, 58],2)==[85, 75] ",
                "assert heap_queue_largest( [25, 35, 22, 85, 14, 65, 75, 22, 58],5)==[85, 75, 65, 58, 35]",
            ],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn run(build: fn(FilterArgs) -> FilterResult, answer: &str) -> Value {
        let document = json!({"prompt": "def f():\n"});
        let filter = build(FilterArgs::new(&serde_json::Map::new())).unwrap();
        filter.apply(document.as_object().unwrap(), vec![answer.into()]).unwrap().answers.remove(0)
    }

    #[test]
    fn programs_are_put_together() {
        assert_eq!(run(build_predictions, "    return 1\n```"), "def f():\n    return 1\n```");
        assert_eq!(run(build_predictions_instruct, "    return 1\n```"), "def f():\n    return 1\n");
        assert_eq!(run(extract_code, "python\nx = 1\n```\nand"), "x = 1");
        assert_eq!(run(extract_code, "no block"), "");
    }

    #[test]
    fn examples_are_whole() {
        let samples = mbpp_samples();
        assert!(samples.iter().all(|s| s["test_list"].as_array().unwrap().len() == 3));
    }
}
