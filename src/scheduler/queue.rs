//! The fair queue of tiles: requests take turns (deficit round robin). A plain data structure; time is an argument.
