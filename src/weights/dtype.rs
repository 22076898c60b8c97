//! Element types of stored tensors, their sizes, and widening to f32.
