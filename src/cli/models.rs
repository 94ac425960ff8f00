//! Lists the models and what would run them.
