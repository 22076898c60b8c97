//! (lineage)
