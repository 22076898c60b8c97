//! Speed of reading a file from its disk.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use super::{BenchError, Goes};
use crate::base::whole;

/// Bytes of the file that are read, at most.
const MOST: u64 = 256 << 20;
/// Bytes of one go.
const GO: u64 = 32 << 20;
/// Bytes of one call to the system.
const CALL: usize = 4 << 20;

/// Bytes a second of reading a file from its beginning, one go after the other; `None` for an empty file.
///
/// The system is asked to forget the pages it has of the file; it keeps those that another program uses.
pub fn read_speed(path: &Path) -> Result<Option<Goes>, BenchError> {
    let failed = |source| BenchError::Read { file: path.to_owned(), source };
    let mut file = whole::open(path).map_err(failed)?;
    forget(&file);
    let mut bytes = vec![0; CALL];
    let mut rates = Vec::new();
    let mut total = 0u64;
    while total < MOST {
        let start = Instant::now();
        let mut go = 0u64;
        while go < GO {
            match file.read(&mut bytes).map_err(failed)? {
                0 => break,
                count => go += count as u64,
            }
        }
        // What remains at the end of a file is too short to be timed, unless there is nothing else.
        if go >= GO || (go > 0 && rates.is_empty()) {
            rates.push(go as f64 / start.elapsed().as_secs_f64().max(1e-9));
        }
        total += go;
        if go < GO {
            break;
        }
    }
    forget(&file);
    Ok(Goes::new(rates))
}

/// Asks the system to drop its copy of the file.
fn forget(file: &File) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed) {
        tracing::debug!("the system keeps its copy of a file: {error}");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_once_and_an_absent_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        std::fs::write(&path, vec![1; 3 << 20]).unwrap();
        let goes = read_speed(&path).unwrap().unwrap();
        assert!(goes.min > 0.0 && goes.max.is_finite() && goes.min == goes.max);
        std::fs::write(&path, "").unwrap();
        assert_eq!(read_speed(&path).unwrap(), None);
        let error = read_speed(&folder.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("none: cannot read"), "{error}");
    }
}
