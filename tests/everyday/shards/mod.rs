//! Parts of a run that are worked on apart and put together: `--shard`, `zoo merge`, and recipes for schedulers.

mod merged;
mod recipes;
mod refused;
mod schedulers;
mod served;
mod world;
