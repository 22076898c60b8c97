//! The program as a user meets it: help, listing and fetching models, measuring speed.

mod bench;
mod chat;
mod formats;
mod generate;
mod help;
mod models;
mod naming;
mod space;
mod widths;
