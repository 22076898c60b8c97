//! Flags that several verbs have, each said once: groups that clap flattens into the flags of a verb, and the readers of
//! their values. A verb says by `mut_arg` which of them it requires.

mod answering;
mod asked;
mod code;
mod computing;
mod drawing;
mod models;
mod serving;
mod shard;
mod variants;
mod writing;

pub use answering::AnsweringFlags;
pub use asked::{AskedFlags, Folders, TaskFolders};
pub use code::CodeFlags;
pub use computing::{
    ComputingFlags, Threads, at_least_one, check_threads_of_environment, choose_instructions_of_environment,
    precisions,
};
pub use drawing::DrawingFlags;
pub use models::{ModelFlags, ModelSources};
pub use serving::ServingFlags;
pub use shard::ShardFlag;
pub use variants::VariantFlags;
pub use writing::WritingFlags;
