//! Color: what an ICC profile means, and the ways between an image's own numbers and sRGB, in which networks see.
//!
//! An image goes to sRGB for the network and comes back, so its profile stays true and no color is lost that it could
//! say. What a profile is worth is judged once, with the header; see [`profile`].

pub mod cmyk;
mod curve;
pub mod profile;
mod shaper;
pub mod signals;
mod tables;
mod transfer;

#[cfg(test)]
mod tests;

pub use cmyk::CmykTransform;
pub use profile::{Profile, Space};
pub use shaper::Shaper;
pub use tables::ToSrgb;
