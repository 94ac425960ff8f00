//! Which tiles run together.
