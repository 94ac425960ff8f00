//! Routes and the order of layers.
