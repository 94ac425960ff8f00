//! Baseline JPEG 4:4:4, eight rows at a time.

use std::cell::RefCell;

use jpeg_encoder::{
    Encoder, ImageBuffer, JfifWrite, JpegColorType, PixelDensity, PixelDensityUnit, SamplingFactor, rgb_to_ycbcr,
};

use crate::encode::rows::{Rows, row_in_8_bit};
use crate::encode::sink::Sink;
use crate::encode::target::{EncodeError, Target};
use crate::formats::jpeg::XMP;
use crate::metadata::{Density, OutputMetadata};
use crate::raster::Raster;

/// Eight rows of three components, and one row before it is split.
pub fn buffered_bytes(width: u32) -> u64 {
    u64::from(width) * (8 * 3 + 3) + (64 << 10)
}

pub fn encode<'a>(target: &Target, rows: Rows<'a>, sink: &Sink<'a>) -> Result<(), EncodeError> {
    let mut encoder = Encoder::new(sink, target.quality);
    // Thin colored strokes are what was just upscaled.
    encoder.set_sampling_factor(SamplingFactor::R_4_4_4);
    let refused = |error: jpeg_encoder::EncodingError| {
        sink.shut();
        EncodeError::Encoder(error.to_string())
    };
    if let Some(profile) = &target.icc {
        encoder.add_icc_profile(profile).map_err(refused)?;
    }
    metadata(&mut encoder, &target.metadata).map_err(refused)?;
    let pulled = RefCell::new(Pulled { rows, band: None, row: Vec::new(), error: None });
    let done = encoder.encode_image(Image { target, sink, pulled: &pulled }).map_err(refused);
    match pulled.into_inner().error {
        Some(error) => Err(error),
        None => done,
    }
}

/// Density and segments; of Exif comes what comes before XMP, as readers expect it.
fn metadata<W: JfifWrite>(
    encoder: &mut Encoder<W>,
    metadata: &OutputMetadata,
) -> Result<(), jpeg_encoder::EncodingError> {
    if let Some(density) = metadata.density.and_then(Density::jfif) {
        encoder.set_density(PixelDensity { density, unit: PixelDensityUnit::Inches });
    }
    if let Some(exif) = &metadata.exif {
        encoder.add_exif_metadata(exif)?;
    }
    if let Some(xmp) = &metadata.xmp {
        encoder.add_app_segment(1, [XMP, xmp].concat())?;
    }
    if let Some(photoshop) = &metadata.photoshop {
        encoder.add_app_segment(13, photoshop.to_vec())?;
    }
    Ok(())
}

/// The image as the encoder asks for it.
struct Image<'a, 'b> {
    target: &'a Target,
    sink: &'a Sink<'b>,
    pulled: &'a RefCell<Pulled<'b>>,
}

struct Pulled<'a> {
    rows: Rows<'a>,
    /// The latest band and the number of its first row. The encoder asks for rows in order, and for the last one
    /// again until its block is full.
    band: Option<(u32, Raster)>,
    row: Vec<u8>,
    error: Option<EncodeError>,
}

impl Pulled<'_> {
    /// Leaves row `y` in `self.row`.
    fn pull(&mut self, y: u32) -> Result<(), EncodeError> {
        loop {
            if let Some((first, band)) = &self.band
                && y - first < band.size().height
            {
                row_in_8_bit(band, y - first, &mut self.row);
                return Ok(());
            }
            // The band is let go before the next one is waited for.
            self.band = None;
            self.band = self.rows.next_band()?;
            if self.band.is_none() {
                return Err(EncodeError::BrokeOff(y));
            }
        }
    }
}

impl ImageBuffer for Image<'_, '_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        if self.target.channels.colors() == 1 { JpegColorType::Luma } else { JpegColorType::Ycbcr }
    }

    fn width(&self) -> u16 {
        u16::try_from(self.target.size.width).expect("`Target::check` bounds the side")
    }

    fn height(&self) -> u16 {
        u16::try_from(self.target.size.height).expect("`Target::check` bounds the side")
    }

    /// The trait has no way to fail. On an error the sink is shut, so that the encoder's next write ends it; until
    /// then it gets black.
    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let mut pulled = self.pulled.borrow_mut();
        if pulled.error.is_none()
            && let Err(error) = pulled.pull(u32::from(y))
        {
            self.sink.shut();
            pulled.error = Some(error);
            let samples = self.target.size.width as usize * self.target.channels.colors();
            pulled.row.clear();
            pulled.row.resize(samples, 0);
        }
        if self.target.channels.colors() == 1 {
            buffers[0].extend_from_slice(&pulled.row);
        } else {
            push_ycbcr(&pulled.row, buffers);
        }
    }
}

/// In pieces of a fixed number of pixels, which the compiler turns into vector code.
fn push_ycbcr(row: &[u8], [luma, blue, red, _]: &mut [Vec<u8>; 4]) {
    const PIECE: usize = 16;
    let (pixels, _) = row.as_chunks::<3>();
    let (pieces, rest) = pixels.as_chunks::<PIECE>();
    for piece in pieces {
        let converted = piece.map(|[r, g, b]| rgb_to_ycbcr(r, g, b));
        luma.extend_from_slice(&converted.map(|c| c.0));
        blue.extend_from_slice(&converted.map(|c| c.1));
        red.extend_from_slice(&converted.map(|c| c.2));
    }
    for [r, g, b] in rest {
        let (y, cb, cr) = rgb_to_ycbcr(*r, *g, *b);
        luma.push(y);
        blue.push(cb);
        red.push(cr);
    }
}
