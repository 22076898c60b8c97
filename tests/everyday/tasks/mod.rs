//! Task files: from a file and a few rows to requests, and what is refused.

mod broken;
mod data_files;
mod hostile;
mod preparing;
