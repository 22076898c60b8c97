//! Suites and model prompts as data: task files, documents, few-shot examples, requests as text.

pub mod embedded;
