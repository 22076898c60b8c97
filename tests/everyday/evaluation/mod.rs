//! `zoo eval` and `zoo score`: what a run writes, refuses, resumes, and what never changes its bytes.

mod answers;
mod changed;
mod claimed;
mod endless;
mod errors;
mod extracted;
mod fetching;
mod harness_files;
mod invariance;
mod judged;
mod names;
mod numbers;
mod overlong;
mod page;
mod repeat;
mod resume;
mod rotations;
mod run;
mod score;
mod stopped;
mod submission;
mod texts;
mod writing;
