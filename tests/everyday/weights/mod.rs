//! Files of tensors.

mod files;
mod gguf_writer;
mod torch;
