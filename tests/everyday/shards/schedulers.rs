//! `--shard auto`: a scheduler's variables say which shard a process is, and nothing is guessed.

use std::process::Output;

use super::world::world;
use crate::support::place::{Place, assert_says};
use crate::support::tiny::command;

/// Runs one task with these variables and no others of a scheduler.
fn auto(place: &Place, out: &str, variables: &[(&str, &str)]) -> Output {
    shard(place, "auto", out, variables)
}

/// The same with this value of the flag.
fn shard(place: &Place, flag: &str, out: &str, variables: &[(&str, &str)]) -> Output {
    let args = place.args(out, &["--shard", flag, "--include-path", &place.text("tasks")]);
    let mut command = command(&[]);
    let schedulers =
        ["SLURM", "PMI", "OMPI", "RANK", "WORLD", "JOB_", "PBS", "LSB", "SGE", "AWS_BATCH", "PARALLEL"];
    for (name, _) in std::env::vars_os() {
        if schedulers.iter().any(|own| name.to_string_lossy().starts_with(own)) {
            command.env_remove(name);
        }
    }
    command.args(args).envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn a_scheduler_says_the_shard() {
    let place = world(&["--suite", "pick"]);
    let array = [
        ("SLURM_ARRAY_TASK_ID", "3"),
        ("SLURM_ARRAY_TASK_COUNT", "2"),
        ("SLURM_ARRAY_TASK_MIN", "1"),
        ("SLURM_ARRAY_TASK_MAX", "3"),
        ("SLURM_ARRAY_TASK_STEP", "2"),
        ("SLURM_PROCID", "0"),
    ];
    assert_says(
        &auto(&place, "slurm", &array),
        0,
        &["shard 1/2, by SLURM_ARRAY_TASK_ID=3, SLURM_ARRAY_TASK_COUNT=2"],
    );
    assert!(place.read("slurm/settings.yaml").contains("shard: 1/2\n"));
    assert_says(
        &auto(&place, "torch", &[("RANK", "0"), ("WORLD_SIZE", "2")]),
        0,
        &["shard 0/2, by RANK=0, WORLD_SIZE=2"],
    );
    // Who says only the number is told how many there are.
    for (out, variable, shown) in [
        ("job", "JOB_COMPLETION_INDEX", "1/3"),
        ("pbs", "PBS_ARRAYID", "1/3"),
        ("seq", "PARALLEL_SEQ", "0/3"),
    ] {
        let said = format!("shard {shown}, by {variable}=1");
        assert_says(&shard(&place, "auto/3", out, &[(variable, "1")]), 0, &[&said]);
        assert!(place.read(&format!("{out}/settings.yaml")).contains(&format!("shard: {shown}\n")));
    }
}

#[test]
fn what_no_scheduler_says_or_two_say_differently_is_refused() {
    let place = world(&["--suite", "pick"]);
    for (variables, words) in [
        (&[][..], &["none is set", "pass --shard i/n"][..]),
        (
            &[("JOB_COMPLETION_INDEX", "3")],
            &["not how many there are", "JOB_COMPLETION_INDEX", "pass --shard auto/n", "--shard i/n"],
        ),
        (
            &[
                ("RANK", "0"),
                ("WORLD_SIZE", "2"),
                ("SLURM_PROCID", "1"),
                ("SLURM_NTASKS", "2"),
                ("SLURM_STEP_ID", "0"),
            ],
            &["srun says shard 1/2", "torchrun says 0/2", "pass --shard"],
        ),
        // What sbatch starts is the script, and not the first of its four tasks.
        (
            &[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4")],
            &["this is the script of a Slurm job", "srun", "--array", "--shard i/n"],
        ),
    ] {
        assert_says(&auto(&place, "run", variables), 2, words);
        assert!(!place.path("run").exists());
    }
    let four = [("RANK", "1"), ("WORLD_SIZE", "4")];
    for (flag, words) in [
        ("auto/8", &["torchrun says shard 1/4", "not one of 8"][..]),
        ("auto/0", &["expected auto/n", "found \"auto/0\""]),
        ("auto/x", &["expected auto/n"]),
    ] {
        assert_says(&shard(&place, flag, "run", &four), 2, words);
        assert!(!place.path("run").exists());
    }
}
