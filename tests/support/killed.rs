//! Programs that write a model, killed at places spread over their work, and models large enough for that.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use safetensors::tensor::{Dtype, TensorView};

use super::interrupted::wait_until;
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

/// Kills the program that writes a model into the folder it is given, at `kills` places spread over its work, each time into a
/// new folder below `folder`, then lets it finish. Returns how many went on with what was there.
pub fn kill_and_restart(folder: &Path, kills: usize, writing: impl Fn(&Path) -> Command) -> usize {
    let finish = |out: &Path| {
        let output = writing(out).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    finish(&folder.join("whole"));
    let expected = content(&folder.join("whole"));
    let tensors = zoo::weights::open(folder.join("whole")).unwrap().tensors().len();
    let (mut resumed, mut seed) = (0, u64::from(std::process::id()));
    eprintln!("the whole work has {tensors} tensors; seed {seed}");
    for number in 0..kills {
        // One place in each of `kills` equal parts of the work, drawn at random: so many tensors are safely on the disk.
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let within = (seed >> 33) as f64 / (1u64 << 31) as f64;
        let done = ((number as f64 + within) * tensors as f64 / kills as f64) as usize;
        let name = format!("killed-{number}");
        let out = folder.join(&name);
        let left = folder.join(format!(".{name}.zoo-partial"));
        let mut child = writing(&out).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The first line says what the work is.
        let lines =
            || fs::read(left.join("journal")).map_or(0, |text| text.iter().filter(|b| **b == b'\n').count());
        wait_until(&mut child, || lines() > done);
        // SIGKILL: nothing in the program can react.
        child.kill().unwrap();
        let finished = child.wait().unwrap().success();
        // The program may die after its work has its name and before it ends.
        let complete = out.exists();
        assert!(
            complete || !finished,
            "killed after {done} tensors: nothing is there, but the program ended well"
        );
        if !complete {
            resumed += usize::from(finish(&out).contains("going on with an interrupted build"));
        }
        assert!(content(&out) == expected, "killed after {done} tensors: complete or absent");
        if complete && !finished {
            let _ = fs::remove_dir_all(&left);
        }
        assert!(!left.exists(), "{}", left.display());
        fs::remove_dir_all(&out).unwrap();
    }
    resumed
}
