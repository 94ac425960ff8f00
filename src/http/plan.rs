//! POST /v1/plan: what would be done, from the header alone.
