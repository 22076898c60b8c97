//! Prompt templates and conversations.

mod chat;
mod templates;
mod written;
