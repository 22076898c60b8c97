//! Rows as a JSON array of objects.

use super::Row;

/// The rows with the names of `results.csv`'s columns as keys.
pub fn rows_json(rows: &[Row]) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(rows)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::row::tests::rows;

    #[test]
    fn keys_are_the_columns() {
        let value: serde_json::Value = serde_json::from_str(&rows_json(&rows()).unwrap()).unwrap();
        let keys: Vec<&String> = value[0].as_object().unwrap().keys().collect();
        assert_eq!(
            keys.iter().map(|k| k.as_str()).collect::<Vec<_>>().join(","),
            "model,suite,task,num_fewshot,metric,filter,value,stderr,n,published,published_source,protocol,\
             weights_sha256,data_sha256"
        );
        assert_eq!(value[3]["stderr"], serde_json::Value::Null);
    }
}
