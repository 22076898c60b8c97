//! Little address space, as batch systems give it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Kilobytes, too few for a thread of OpenBLAS on each core.
const SPACES: [u64; 3] = [130_000, 150_000, 180_000];
/// How long a word may take, on a machine under load.
const LONGEST: Duration = Duration::from_secs(60);

#[test]
fn in_little_address_space_the_program_ends() {
    for space in SPACES {
        let script = format!("ulimit -v {space}; exec \"$0\" --version");
        let mut child = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_zoo")])
            .env_remove("OPENBLAS_NUM_THREADS")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() && begun.elapsed() < LONGEST {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{space}: {:?} after {:?}", output.status, begun.elapsed());
        assert!(String::from_utf8_lossy(&output.stdout).starts_with("zoo "));
    }
}
