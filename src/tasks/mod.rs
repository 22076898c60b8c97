//! (tasks)
