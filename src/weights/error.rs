//! What can be wrong with a weights file, as data: kind, place, expected, found.
