//! Which shard a process is, as the scheduler that started it says: `--shard auto`, or `--shard auto/n`.
//!
//! Each scheduler has variables of its own for the number of a job and for how many there are; some say only the number, which is
//! what `auto/n` is for, and some count from 1. What is not said is not guessed: a shard that is wrong would cost documents.

use super::RunError;
use crate::tasks::Shard;

/// How a scheduler counts.
#[derive(Debug, Clone, Copy)]
enum Count {
    /// A variable says how many there are; numbers are from 0.
    Size(&'static str),
    /// A variable says the last number; the first one and the step between two have variables too, or are 1.
    Last { last: &'static str, first: Option<&'static str>, step: &'static str },
    /// Slurm's arrays say all of it: how many, the first, the last, and the step.
    Array { size: &'static str, first: &'static str, last: &'static str, step: &'static str },
    /// Nothing says how many there are.
    Unsaid { from: usize },
}

/// A scheduler, and its variable with the number of a job.
#[derive(Debug, Clone, Copy)]
struct Scheduler {
    name: &'static str,
    index: &'static str,
    count: Count,
    /// What the variable says where there is no array.
    none: Option<&'static str>,
}

const fn ranks(name: &'static str, index: &'static str, size: &'static str) -> Scheduler {
    Scheduler { name, index, count: Count::Size(size), none: None }
}

/// Slurm's number of a process, and how many there are.
const PROCESS: &str = "SLURM_PROCID";
/// See [`PROCESS`].
const PROCESSES: &str = "SLURM_NTASKS";
/// Slurm's number of what srun started, under its name and its older one.
const STEP: [&str; 2] = ["SLURM_STEP_ID", "SLURM_STEPID"];

/// Documentation of each, and GNU parallel 20221122 as tried.
const SCHEDULERS: [Scheduler; 12] = [
    Scheduler {
        name: "a Slurm array",
        index: "SLURM_ARRAY_TASK_ID",
        count: Count::Array {
            size: "SLURM_ARRAY_TASK_COUNT",
            first: "SLURM_ARRAY_TASK_MIN",
            last: "SLURM_ARRAY_TASK_MAX",
            step: "SLURM_ARRAY_TASK_STEP",
        },
        none: None,
    },
    ranks("srun", PROCESS, PROCESSES),
    ranks("torchrun", "RANK", "WORLD_SIZE"),
    ranks("Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ranks("PMI", "PMI_RANK", "PMI_SIZE"),
    ranks("AWS Batch", "AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE"),
    Scheduler {
        name: "an LSF array",
        index: "LSB_JOBINDEX",
        count: Count::Last { last: "LSB_JOBINDEX_END", first: None, step: "LSB_JOBINDEX_STEP" },
        none: Some("0"),
    },
    Scheduler {
        name: "an SGE array",
        index: "SGE_TASK_ID",
        count: Count::Last {
            last: "SGE_TASK_LAST",
            first: Some("SGE_TASK_FIRST"),
            step: "SGE_TASK_STEPSIZE",
        },
        none: Some("undefined"),
    },
    Scheduler {
        name: "an indexed Kubernetes Job",
        index: "JOB_COMPLETION_INDEX",
        count: Count::Unsaid { from: 0 },
        none: None,
    },
    Scheduler { name: "a PBS array", index: "PBS_ARRAY_INDEX", count: Count::Unsaid { from: 0 }, none: None },
    Scheduler { name: "a Torque array", index: "PBS_ARRAYID", count: Count::Unsaid { from: 0 }, none: None },
    Scheduler { name: "GNU parallel", index: "PARALLEL_SEQ", count: Count::Unsaid { from: 1 }, none: None },
];

/// A shard, and what said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// Which one.
    pub shard: Shard,
    /// The variables that were read, with their values.
    pub by: String,
}

/// The shard that the environment says; `value` gives the value of a variable, and `of` is how many there are if somebody has said so.
///
/// # Errors
/// No scheduler, one that does not say how many there are where `of` does not, one that says another number, two that do not say the
/// same, and the script of a Slurm job of several tasks, which is none of them. The message says what to pass.
pub fn scheduled(value: impl Fn(&str) -> Option<String>, of: Option<usize>) -> Result<Scheduled, RunError> {
    let flag = of.map_or_else(|| "--shard auto".to_owned(), |of| format!("--shard auto/{of}"));
    let mut found: Vec<(Scheduler, Scheduled)> = Vec::new();
    for scheduler in SCHEDULERS {
        let said = scheduler.read(&value, of);
        found.extend(said.map_err(RunError::Usage)?.map(|said| (scheduler, said)));
    }
    // A process by itself is the only one of one; it may be a job of another scheduler's.
    if found.iter().any(|(_, said)| said.shard.of() > 1) {
        found.retain(|(_, said)| said.shard.of() > 1);
    }
    if let Some(script) = script(&value).filter(|_| found.iter().all(|(_, said)| said.shard.of() == 1)) {
        return Err(RunError::Usage(format!(
            "{flag}: this is the script of a Slurm job of several tasks and none of them ({script}, and no {}): start zoo in it by \
             srun, ask for an array (sbatch --array), or pass --shard i/n",
            STEP[0]
        )));
    }
    let mut found = found.into_iter();
    let Some((first, said)) = found.next() else {
        let known: Vec<&str> = SCHEDULERS.iter().map(|scheduler| scheduler.index).collect();
        return Err(RunError::Usage(format!(
            "{flag}: expected the number of this job in one of {}; none is set: pass --shard i/n, from 0/n to n-1/n",
            known.join(", ")
        )));
    };
    if let Some(of) = of.filter(|of| *of != said.shard.of()) {
        return Err(RunError::Usage(format!(
            "{flag}: {} says shard {} ({}), and not one of {of}: pass --shard auto or --shard i/n, or start {of} jobs",
            first.name, said.shard, said.by
        )));
    }
    match found.find(|(_, other)| other.shard != said.shard) {
        None => Ok(said),
        Some((second, other)) => Err(RunError::Usage(format!(
            "{flag}: {} says shard {} ({}), and {} says {} ({}): pass --shard {} or --shard {}",
            first.name, said.shard, said.by, second.name, other.shard, other.by, said.shard, other.shard
        ))),
    }
}

/// The variables of Slurm that say of how many tasks the job is whose script this process is; `None` where it is no script, or that
/// of one task. The script has the number of the first task without being it.
fn script(value: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let set = |name: &str| value(name).filter(|text| !text.is_empty());
    let (process, processes) = (set(PROCESS)?, set(PROCESSES)?);
    let is_script = processes != "1" && STEP.iter().all(|step| set(step).is_none());
    is_script.then(|| format!("{PROCESS}={process}, {PROCESSES}={processes}"))
}

impl Scheduler {
    /// What this one says; `None` if it says nothing. `given` stands in for a number of jobs that it does not say.
    fn read(
        self,
        value: &impl Fn(&str) -> Option<String>,
        given: Option<usize>,
    ) -> Result<Option<Scheduled>, String> {
        let Self { name, index, count, none } = self;
        let Some(text) = value(index).filter(|text| !text.is_empty() && none != Some(text)) else {
            return Ok(None);
        };
        if index == PROCESS && script(value).is_some() {
            return Ok(None);
        }
        let number = |variable: &str| -> Result<Option<usize>, String> {
            let text = value(variable).filter(|text| !text.is_empty() && text != "undefined");
            let read = |text: String| {
                let expected = format!("--shard auto: {variable}: expected a whole number, found {text:?}");
                text.parse::<usize>().map_err(|_| expected + "; pass --shard i/n")
            };
            text.map(read).transpose()
        };
        let own = number(index)?.ok_or_else(|| format!("--shard auto: {index}: expected a number"))?;
        let unsaid = |size: &str| {
            format!(
                "--shard auto: {name} says that this is job {text} ({index}), and not how many there are{size}: pass --shard \
                 auto/n, where n is how many there are, or --shard i/n, where i is its number from 0"
            )
        };
        let shown = |variables: &[&str]| {
            let all = variables.iter().filter_map(|name| Some(format!("{name}={}", value(name)?)));
            all.collect::<Vec<_>>().join(", ")
        };
        let (place, of, by) = match count {
            Count::Size(size) => match number(size)? {
                Some(of) => (own, of, shown(&[index, size])),
                // Slurm says the first number of every job, also of one that is not several.
                None if own == 0 && index == PROCESS => return Ok(None),
                None if given.is_some() => (own, given.unwrap_or_default(), shown(&[index])),
                None => return Err(unsaid(&format!(" ({size} is not set)"))),
            },
            Count::Last { last, first, step } => {
                let Some(to) = number(last)? else { return Err(unsaid(&format!(" ({last} is not set)"))) };
                let from = first.map(number).transpose()?.flatten().unwrap_or(1);
                let by = number(step)?.unwrap_or(1);
                let variables = [&[index, last][..], first.as_slice(), &[step]].concat();
                let (place, of) = steps(own, from, to, by).ok_or_else(|| uneven(name, &shown(&variables)))?;
                (place, of, shown(&variables))
            }
            Count::Array { size, first, last, step } => {
                let Some(of) = number(size)? else { return Err(unsaid(&format!(" ({size} is not set)"))) };
                let variables = shown(&[index, size, first, last, step]);
                let Some(from) = number(first)? else {
                    return Err(format!(
                        "--shard auto: {name} says {variables}, and not its first number ({first} is not set): pass --shard i/n, \
                         where i is the place of this job among them, from 0"
                    ));
                };
                let by = number(step)?.unwrap_or(1);
                let reckoned = || of.saturating_sub(1).checked_mul(by)?.checked_add(from);
                let to = number(last)?.or_else(reckoned);
                match to.and_then(|to| steps(own, from, to, by)) {
                    Some((place, found)) if found == of => (place, of, variables),
                    // A list of numbers, such as 1,3,7.
                    _ => return Err(uneven(name, &variables)),
                }
            }
            Count::Unsaid { from } if let Some(of) = given => {
                let place = own.checked_sub(from);
                let place = place.ok_or_else(|| {
                    format!("--shard auto: {index}: expected a number from {from}, found {own}")
                })?;
                (place, of, shown(&[index]))
            }
            Count::Unsaid { from } => {
                let from = if from == 0 { String::new() } else { format!(", and it counts from {from}") };
                return Err(unsaid(&from));
            }
        };
        let shard = Shard::new(place, of).map_err(|error| format!("--shard auto: {by}: {error}"))?;
        Ok(Some(Scheduled { shard, by }))
    }
}

/// The place of a number among those from one to another, in steps, and how many there are; `None` if it is none of them.
fn steps(own: usize, from: usize, to: usize, by: usize) -> Option<(usize, usize)> {
    let is_step = by > 0 && from <= own && own <= to && (own - from).is_multiple_of(by);
    let of = is_step.then(|| ((to - from) / by).checked_add(1)).flatten()?;
    Some(((own - from) / by, of))
}

fn uneven(name: &str, said: &str) -> String {
    format!(
        "--shard auto: the numbers of {name} are not one after the other in even steps ({said}): pass --shard i/n, where i is the \
         place of this job among them, from 0"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(environment: &str) -> Result<Scheduled, String> {
        said_of(environment, None)
    }

    fn said_of(environment: &str, of: Option<usize>) -> Result<Scheduled, String> {
        let variables: Vec<(&str, &str)> =
            environment.split_whitespace().map(|one| one.split_once('=').unwrap()).collect();
        let value = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        scheduled(value, of).map_err(|error| error.to_string())
    }

    #[test]
    fn every_scheduler_says_its_shard() {
        for (environment, shard) in [
            (
                "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=8 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=7",
                "3/8",
            ),
            (
                "SLURM_ARRAY_TASK_ID=14 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=10 SLURM_ARRAY_TASK_MAX=18 \
                 SLURM_ARRAY_TASK_STEP=4",
                "1/3",
            ),
            // A batch job of an array is the first process of one.
            ("SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_MIN=1 SLURM_PROCID=0", "0/2"),
            (
                "SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_MIN=0 SLURM_PROCID=0 SLURM_NTASKS=1",
                "1/2",
            ),
            ("SLURM_PROCID=5 SLURM_NTASKS=6 SLURM_STEP_ID=0", "5/6"),
            ("SLURM_PROCID=0 SLURM_NTASKS=6 SLURM_STEPID=2", "0/6"),
            ("SLURM_PROCID=5 SLURM_NTASKS=6 SLURM_STEP_ID=0 PMI_RANK=5 PMI_SIZE=6", "5/6"),
            ("SLURM_PROCID=0 SLURM_NTASKS=1", "0/1"),
            // The script of a job of several tasks is none of them, but may be one of an array, or start them otherwise.
            (
                "SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_MIN=0 SLURM_PROCID=0 SLURM_NTASKS=4",
                "1/2",
            ),
            ("OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=4 SLURM_PROCID=0 SLURM_NTASKS=4", "2/4"),
            ("RANK=2 WORLD_SIZE=4", "2/4"),
            ("OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2", "0/2"),
            ("PMI_RANK=1 PMI_SIZE=2", "1/2"),
            ("AWS_BATCH_JOB_ARRAY_INDEX=9 AWS_BATCH_JOB_ARRAY_SIZE=10", "9/10"),
            ("LSB_JOBINDEX=1 LSB_JOBINDEX_END=10 LSB_JOBINDEX_STEP=1", "0/10"),
            ("LSB_JOBINDEX=0 RANK=2 WORLD_SIZE=4", "2/4"),
            ("SGE_TASK_ID=10 SGE_TASK_FIRST=1 SGE_TASK_LAST=10 SGE_TASK_STEPSIZE=3", "3/4"),
            ("SGE_TASK_ID=2 SGE_TASK_LAST=10", "1/10"),
            ("SGE_TASK_ID=undefined SGE_TASK_LAST=undefined RANK=0 WORLD_SIZE=3", "0/3"),
        ] {
            let found = said(environment).unwrap_or_else(|error| panic!("{environment}: {error}"));
            assert_eq!(found.shard.to_string(), shard, "{environment}");
            assert!(found.by.contains('='), "{}", found.by);
        }
        let found = said("RANK=2 WORLD_SIZE=4").unwrap();
        assert_eq!(found.by, "RANK=2, WORLD_SIZE=4");
    }

    #[test]
    fn how_many_there_are_may_be_said_by_whoever_asks() {
        for (environment, shard) in [
            ("JOB_COMPLETION_INDEX=3", "3/8"),
            ("PBS_ARRAY_INDEX=0", "0/8"),
            ("PBS_ARRAYID=7", "7/8"),
            ("PARALLEL_SEQ=1", "0/8"),
            ("PARALLEL_SEQ=8", "7/8"),
            ("RANK=5", "5/8"),
            ("RANK=5 WORLD_SIZE=8", "5/8"),
            ("JOB_COMPLETION_INDEX=3 RANK=0 WORLD_SIZE=1", "3/8"),
        ] {
            let found =
                said_of(environment, Some(8)).unwrap_or_else(|error| panic!("{environment}: {error}"));
            assert_eq!(found.shard.to_string(), shard, "{environment}");
            assert!(environment.starts_with(&found.by.replace(", ", " ")), "{}", found.by);
        }
        for (environment, words) in [
            ("HOME=/", &["--shard auto/8: expected the number", "none is set"][..]),
            ("JOB_COMPLETION_INDEX=8", &["JOB_COMPLETION_INDEX=8", "found 8/8"]),
            ("PARALLEL_SEQ=0", &["PARALLEL_SEQ", "expected a number from 1, found 0"]),
            ("RANK=1 WORLD_SIZE=4", &["torchrun says shard 1/4 (RANK=1, WORLD_SIZE=4), and not one of 8"]),
            ("RANK=0 WORLD_SIZE=1", &["torchrun says shard 0/1", "not one of 8"]),
            ("JOB_COMPLETION_INDEX=3 RANK=1 WORLD_SIZE=4", &["says shard 1/4", "not one of 8"]),
            ("JOB_COMPLETION_INDEX=3 PARALLEL_SEQ=1", &["says shard 3/8", "says 0/8"]),
            ("SLURM_PROCID=0 SLURM_NTASKS=8", &["--shard auto/8: this is the script of a Slurm job"]),
        ] {
            let error = said_of(environment, Some(8)).unwrap_err();
            for word in words {
                assert!(error.contains(word), "{environment}: {word:?} is not in {error}");
            }
        }
    }

    #[test]
    fn what_is_not_said_is_not_guessed() {
        for (environment, words) in [
            ("HOME=/", &["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "none is set", "--shard i/n"][..]),
            ("JOB_COMPLETION_INDEX=3", &["job 3 (JOB_COMPLETION_INDEX)", "not how many", "--shard i/n"]),
            ("PBS_ARRAY_INDEX=3", &["PBS_ARRAY_INDEX", "not how many", "--shard auto/n"]),
            ("PBS_ARRAYID=3", &["PBS_ARRAYID", "not how many"]),
            (
                "SLURM_PROCID=0 SLURM_NTASKS=4",
                &[
                    "the script of a Slurm job",
                    "SLURM_NTASKS=4, and no SLURM_STEP_ID",
                    "srun",
                    "--array",
                    "i/n",
                ],
            ),
            ("SLURM_PROCID=0 SLURM_NTASKS=4 RANK=0 WORLD_SIZE=1", &["the script of a Slurm job"]),
            ("PARALLEL_SEQ=3", &["PARALLEL_SEQ", "counts from 1"]),
            ("SLURM_ARRAY_TASK_ID=3", &["SLURM_ARRAY_TASK_COUNT is not set"]),
            ("SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=8", &["SLURM_ARRAY_TASK_MIN is not set"]),
            ("RANK=1", &["WORLD_SIZE is not set"]),
            // One that is whole does not make up for one that is not.
            ("JOB_COMPLETION_INDEX=3 RANK=0 WORLD_SIZE=1", &["not how many"]),
            (
                "RANK=1 WORLD_SIZE=2 PMI_RANK=0 PMI_SIZE=2",
                &["torchrun says shard 1/2", "PMI says 0/2", "--shard 1/2 or --shard 0/2"],
            ),
            (
                "RANK=1 WORLD_SIZE=2 SLURM_PROCID=1 SLURM_NTASKS=3 SLURM_STEP_ID=0",
                &["says shard 1/3", "says 1/2"],
            ),
            ("RANK=x WORLD_SIZE=2", &["RANK: expected a whole number, found \"x\""]),
            ("RANK=1 WORLD_SIZE=-2", &["WORLD_SIZE: expected a whole number"]),
            ("RANK=2 WORLD_SIZE=2", &["RANK=2, WORLD_SIZE=2", "found 2/2"]),
            (
                "SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_COUNT=18446744073709551615 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_STEP=3",
                &["not one after the other"],
            ),
            (
                "SGE_TASK_ID=7 SGE_TASK_FIRST=0 SGE_TASK_LAST=18446744073709551615",
                &["not one after the other"],
            ),
            (
                "SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=7",
                &["not one after the other in even steps"],
            ),
            ("SGE_TASK_ID=3 SGE_TASK_FIRST=1 SGE_TASK_LAST=10 SGE_TASK_STEPSIZE=3", &["even steps"]),
        ] {
            let error = said(environment).unwrap_err();
            for word in words {
                assert!(error.contains(word), "{environment}: {word:?} is not in {error}");
            }
        }
    }
}
