//! One OS thread with its engines: pull, run, deliver.
