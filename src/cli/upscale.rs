//! Enlarges files and folders.
