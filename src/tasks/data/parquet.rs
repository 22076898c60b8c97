//! Documents from Parquet files, row group by row group, through the record interface of the `parquet` crate.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Map, Number, Value};

use super::json::row_error;
use crate::base::whole;
use crate::tasks::document::Document;
use crate::tasks::error::TaskError;

/// A row group that says it unpacks to more is refused.
const MAX_ROW_GROUP_BYTES: i64 = 4 << 30;

/// Reads all rows.
///
/// Bytes that are no text become null, since prompts are text. Dates and times become the text that Python
/// prints for them.
///
/// # Errors
/// A file that is damaged or no Parquet file, with the row where reading stopped.
pub fn read(path: &Path) -> Result<Vec<Document>, TaskError> {
    let mut documents = Vec::new();
    // The reader checks most, but not all, of what a damaged file may say.
    let outcome = catch_unwind(AssertUnwindSafe(|| read_into(path, &mut documents)));
    let message = match outcome {
        Ok(Ok(())) => return Ok(documents),
        Ok(Err(message)) => message,
        Err(_) => "damaged: the Parquet reader gave up".to_owned(),
    };
    let row = (!documents.is_empty()).then_some(documents.len());
    Err(row_error(path, (row, message)))
}

fn read_into(path: &Path, documents: &mut Vec<Document>) -> Result<(), String> {
    let file = whole::open(path).map_err(|e| format!("cannot be read: {e}"))?;
    let reader = SerializedFileReader::new(file).map_err(|e| format!("not a readable Parquet file: {e}"))?;
    for index in 0..reader.num_row_groups() {
        let size = reader.metadata().row_group(index).total_byte_size();
        if size > MAX_ROW_GROUP_BYTES {
            return Err(format!(
                "row group {index} unpacks to {size} bytes, more than {MAX_ROW_GROUP_BYTES}"
            ));
        }
        let group = reader.get_row_group(index).map_err(|e| format!("row group {index}: {e}"))?;
        let rows = group.get_row_iter(None).map_err(|e| format!("row group {index}: {e}"))?;
        for row in rows {
            let row = row.map_err(|e| format!("row group {index}: {e}"))?;
            let columns = row.into_columns();
            documents.push(columns.iter().map(|(name, field)| (name.clone(), value(field))).collect());
        }
    }
    Ok(())
}

fn float(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(flag) => Value::Bool(*flag),
        Field::Byte(n) => Value::from(*n),
        Field::Short(n) => Value::from(*n),
        Field::Int(n) => Value::from(*n),
        Field::Long(n) => Value::from(*n),
        Field::UByte(n) => Value::from(*n),
        Field::UShort(n) => Value::from(*n),
        Field::UInt(n) => Value::from(*n),
        Field::ULong(n) => Value::from(*n),
        Field::Float16(n) => float(f64::from(*n)),
        Field::Float(n) => float(f64::from(*n)),
        Field::Double(n) => float(*n),
        Field::Str(text) => Value::String(text.clone()),
        Field::Bytes(bytes) => {
            std::str::from_utf8(bytes.data()).map_or(Value::Null, |text| Value::String(text.to_owned()))
        }
        Field::Group(row) => {
            Value::Object(row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect())
        }
        Field::ListInternal(list) => Value::Array(list.elements().iter().map(value).collect()),
        Field::MapInternal(map) => {
            let mut out = Map::new();
            for (key, field) in map.entries() {
                let key = match key {
                    Field::Str(text) => text.clone(),
                    other => other.to_string(),
                };
                out.insert(key, value(field));
            }
            Value::Object(out)
        }
        Field::Decimal(_) | Field::Date(_) | Field::TimeMillis(_) | Field::TimeMicros(_) => {
            Value::String(field.to_string())
        }
        Field::TimestampMillis(_) | Field::TimestampMicros(_) => {
            Value::String(field.to_string().trim_end_matches(" +00:00").to_owned())
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use std::fs::File;
    use std::sync::Arc;

    /// Writes columns `q` (text), `n` (integer), `f` (float) and `l` (list of text), two row groups.
    pub(crate) fn write_sample(path: &Path) {
        let schema = "message m { REQUIRED BYTE_ARRAY q (UTF8); OPTIONAL INT64 n; REQUIRED DOUBLE f; \
                      REQUIRED GROUP l (LIST) { REPEATED GROUP list { REQUIRED BYTE_ARRAY element (UTF8); } } }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let file = File::create(path).unwrap();
        let properties = Arc::new(WriterProperties::builder().build());
        let mut writer = SerializedFileWriter::new(file, schema, properties).unwrap();
        for base in [0i64, 2] {
            let mut group = writer.next_row_group().unwrap();
            let texts: Vec<ByteArray> = (0..2).map(|i| format!("q{}", base + i).as_str().into()).collect();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
            column.close().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<Int64Type>().write_batch(&[base], Some(&[1, 0]), None).unwrap();
            column.close().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<DoubleType>().write_batch(&[0.5, 1.0], None, None).unwrap();
            column.close().unwrap();
            let items: Vec<ByteArray> = ["a", "b", "中"].map(Into::into).to_vec();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&items, Some(&[1, 1, 1]), Some(&[0, 1, 0])).unwrap();
            column.close().unwrap();
            group.close().unwrap();
        }
        writer.close().unwrap();
    }

    #[test]
    fn rows_of_all_groups_with_nulls_and_lists() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        write_sample(&path);
        let documents = read(&path).unwrap();
        let lines: Vec<String> = documents.iter().map(|d| serde_json::to_string(d).unwrap()).collect();
        let wanted = [
            r#"{"q":"q0","n":0,"f":0.5,"l":["a","b"]}"#,
            r#"{"q":"q1","n":null,"f":1.0,"l":["中"]}"#,
            r#"{"q":"q2","n":2,"f":0.5,"l":["a","b"]}"#,
            r#"{"q":"q3","n":null,"f":1.0,"l":["中"]}"#,
        ];
        assert_eq!(lines, wanted);
    }

    #[test]
    fn damaged_files_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        write_sample(&path);
        let good = std::fs::read(&path).unwrap();
        for cut in [0, 3, good.len() / 2, good.len() - 1] {
            std::fs::write(&path, &good[..cut]).unwrap();
            assert!(read(&path).unwrap_err().to_string().contains("x.parquet"));
        }
        let mut changed = 0;
        for at in (4..good.len()).step_by(3) {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            std::fs::write(&path, &bad).unwrap();
            changed += usize::from(read(&path).is_err());
        }
        assert!(changed > 0);
    }
}
