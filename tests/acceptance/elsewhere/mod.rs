//! Comparisons with data that is in no folder of ours: environment variables name it. `make acceptance` leaves them out;
//! `cargo test --release --test acceptance elsewhere:: -- --ignored` asks for them.

mod browser;
mod chat;
mod harness_tasks;
mod humaneval;
mod page;
mod served;
mod tables;
mod tokenizer;
