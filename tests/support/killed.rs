//! Programs that write a model, killed at moments spread over their work, and models large enough for that.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use safetensors::tensor::{Dtype, TensorView};

use super::tiny::stderr;

/// Signs and exponents that every finite half-precision number may have.
pub const ANY: u16 = 0xbbff;
/// Those of differences, which are smaller.
pub const SMALL: u16 = 0x9fff;

/// Writes a model of `tensors` matrices of 1000 × `columns` half-precision numbers with the bits of `mask`.
pub fn write_wide_model(folder: &Path, tensors: usize, columns: usize, mask: u16) {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        ((state >> 8) as u16 & mask).to_le_bytes()
    };
    let data: Vec<Vec<u8>> =
        (0..tensors).map(|_| (0..1000 * columns).flat_map(|_| next()).collect()).collect();
    let views = data.iter().enumerate().map(|(i, data)| {
        let name = format!("model.layers.{i}.mlp.up_proj.weight");
        (name, TensorView::new(Dtype::F16, vec![1000, columns], data).unwrap())
    });
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("config.json"), r#"{"model_type": "llama"}"#).unwrap();
    fs::write(folder.join("tokenizer.json"), "{}").unwrap();
    fs::write(folder.join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The files of a folder by name.
pub fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

/// Kills the program that writes a model into the folder it is given, at `kills` moments spread over the time that it
/// takes, each time into a new folder below `folder`, then lets it finish. Returns how many went on with what was there.
pub fn kill_and_restart(folder: &Path, kills: u32, writing: impl Fn(&Path) -> Command) -> u32 {
    let finish = |out: &Path| {
        let output = writing(out).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    let began = Instant::now();
    finish(&folder.join("whole"));
    let time = began.elapsed();
    let expected = content(&folder.join("whole"));
    let (mut resumed, mut seed) = (0, u64::from(std::process::id()));
    eprintln!("the whole work takes {time:?}; seed {seed}");
    for number in 0..kills {
        // One moment in each of `kills` equal parts of the time, drawn at random.
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let within = (seed >> 33) as f64 / (1u64 << 31) as f64;
        let moment = time.mul_f64((f64::from(number) + within) / f64::from(kills));
        let name = format!("killed-{number}");
        let out = folder.join(&name);
        let mut child = writing(&out).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(moment);
        // SIGKILL: nothing in the program can react.
        child.kill().unwrap();
        let finished = child.wait().unwrap().success();
        // The program may die after its work has its name and before it ends.
        let complete = out.exists();
        assert!(
            complete || !finished,
            "killed after {moment:?}: nothing is there, but the program ended well"
        );
        if !complete {
            resumed += u32::from(finish(&out).contains("going on with an interrupted build"));
        }
        assert!(content(&out) == expected, "killed after {moment:?}: complete or absent");
        let left = folder.join(format!(".{name}.zoo-partial"));
        if complete && !finished {
            let _ = fs::remove_dir_all(&left);
        }
        assert!(!left.exists(), "{}", left.display());
        fs::remove_dir_all(&out).unwrap();
    }
    resumed
}
