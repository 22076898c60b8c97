//! `--shard auto`: a scheduler's variables say which shard a process is, and nothing is guessed.

use std::process::Output;

use super::world::world;
use crate::support::place::{Place, assert_says};
use crate::support::tiny::command;

/// Runs one task with these variables and no others of a scheduler.
fn auto(place: &Place, out: &str, variables: &[(&str, &str)]) -> Output {
    let args = place.args(out, &["--shard", "auto", "--include-path", &place.text("tasks")]);
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
}

#[test]
fn what_no_scheduler_says_or_two_say_differently_is_refused() {
    let place = world(&["--suite", "pick"]);
    for (variables, words) in [
        (&[][..], &["none is set", "pass --shard i/n"][..]),
        (
            &[("JOB_COMPLETION_INDEX", "3")],
            &["not how many there are", "JOB_COMPLETION_INDEX", "pass --shard i/n"],
        ),
        (
            &[("RANK", "0"), ("WORLD_SIZE", "2"), ("SLURM_PROCID", "1"), ("SLURM_NTASKS", "2")],
            &["srun says shard 1/2", "torchrun says 0/2", "pass --shard"],
        ),
    ] {
        assert_says(&auto(&place, "run", variables), 2, words);
        assert!(!place.path("run").exists());
    }
}
