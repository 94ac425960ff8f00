//! The measured tile rate of each lane, and what follows from it: estimates and Retry-After.
