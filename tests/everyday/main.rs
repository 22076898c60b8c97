//! The tests of every day: they need nothing but the checkout, and no network. One binary, linked once; a folder is a
//! capability, a file one part of it.

mod command_line;
mod containment;
mod evaluation;
mod forms;
mod fuzz_corpus;
mod house;
mod hub;
mod networks;
mod prompting;
mod registry;
mod remote;
mod shards;
#[path = "../support/mod.rs"]
mod support;
mod tables;
mod tasks;
mod weights;
