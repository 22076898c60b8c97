//! Models in other forms: built, converted, verified.

mod build;
mod convert;
mod convert_forms;
mod opening;
mod verify;
