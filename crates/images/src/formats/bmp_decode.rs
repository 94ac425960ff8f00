//! BMP to samples.

use image::ImageDecoder as _;

use super::{damaged, sample_count};
use crate::formats::bmp;
use crate::raster::Samples;
use crate::units::Size;
use crate::{CodecError, Interrupt, Probe};

pub fn decode(bytes: &[u8], stored: Size, probe: &Probe, interrupt: &Interrupt) -> Result<Samples, CodecError> {
    let (decoder, size, channels) = bmp::open(bytes, interrupt)?;
    if !bmp::is_whole(bytes) || size != stored || channels != probe.channels {
        return Err(damaged("BMP"));
    }
    let mut samples = vec![0; sample_count(stored, probe)];
    decoder.read_image(&mut samples).map_err(|error| {
        tracing::debug!(%error, "bmp does not decode");
        damaged("BMP")
    })?;
    Ok(Samples::U8(samples))
}
