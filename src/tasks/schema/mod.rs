//! Task and group files: the YAML schema of the reference harness (lm-evaluation-harness 0.4.13),
//! read strictly and kept whole.

pub mod fewshot;
pub mod field;
pub mod generation;
pub mod group;
pub mod judged;
mod keys;
mod lenient;
pub mod metric;
pub mod source;
pub mod submission;
pub mod task;
pub mod value;

pub use fewshot::{FewshotConfig, Samples};
pub use field::{Field, OutputType};
pub use generation::Generation;
pub use group::{GroupConfig, GroupMember, GroupMetric};
pub use judged::{AnswerForm, Judged};
pub use metric::{FilterConfig, FilterStep, MetricConfig, MetricSpec};
pub use source::{Fields, Loader, Location, Origin};
pub use submission::Submission;
pub use task::TaskConfig;
pub use value::FunctionRef;
