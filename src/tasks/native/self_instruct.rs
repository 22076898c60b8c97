//! Self-instruct's user-oriented instructions, each with its one instance beside it.
//!
//! Form of `user_oriented_instructions.jsonl` (Wang et al. 2023, arXiv:2212.10560): `id`, `motivation_app`, `instruction`, and
//! `instances`, a list of one `{input, output}`.

use serde_json::Value;

use super::{Document, NativeError, text};

/// Puts `input` and `output` of the instance in columns of their own.
pub fn process_docs(documents: Vec<Document>) -> Result<Vec<Document>, NativeError> {
    super::each(documents, process)
}

fn process(mut document: Document) -> Result<Document, String> {
    let instances = document.get("instances").and_then(Value::as_array);
    let instance = instances.and_then(|instances| match instances.as_slice() {
        [Value::Object(instance)] => Some(instance),
        _ => None,
    });
    let instance = instance.ok_or("expected `instances`, a list of one object with input and output")?;
    let (input, output) = (text(instance, "input")?.to_owned(), text(instance, "output")?.to_owned());
    document.insert("input".into(), input.into());
    document.insert("output".into(), output.into());
    Ok(document)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_instance_stands_beside_its_instruction() {
        let document = |instances: Value| {
            let document =
                json!({"id": "user_oriented_task_0", "instruction": "Add.", "instances": instances});
            process_docs(vec![document.as_object().cloned().unwrap()])
        };
        let found = document(json!([{"input": "1 2", "output": "3"}])).unwrap();
        assert_eq!((&found[0]["input"], &found[0]["output"]), (&json!("1 2"), &json!("3")));
        for wrong in [json!([]), json!(null), json!([{"input": "1"}]), json!([{}, {}])] {
            let error = document(wrong.clone()).unwrap_err();
            assert_eq!(error.doc, 0, "{wrong}");
        }
    }
}
