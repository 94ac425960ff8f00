//! What is known of a file once it was opened, and its pixels on demand.

use std::fmt;

use super::{Decode, Header};
use crate::color::profile::Unfit;
use crate::color::{CmykTransform, Profile};
use crate::metadata::Metadata;
use crate::orientation::Orientation;
use crate::raster::{Channels, Depth, Raster};
use crate::units::Size;
use crate::{CodecError, InputFormat, Interrupt, Loss, Warning};

/// What a header declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Kind of file, by its bytes.
    pub format: InputFormat,
    /// Size as shown, that is after the EXIF orientation is applied.
    pub size: Size,
    /// Channels after decoding (a palette is expanded).
    pub channels: Channels,
    /// Bits per sample after decoding.
    pub depth: Depth,
    /// ICC profile of the source; absent where it does not parse or does not fit the channels.
    pub icc: Option<Profile>,
    /// Whether the profile was made from other chunks of the file, and is not in it itself.
    pub icc_made: bool,
    /// The transform of its CMYK, if it is CMYK and has a usable profile.
    pub cmyk_transform: Option<CmykTransform>,
    /// What is to be said about the file.
    pub warnings: Vec<Warning>,
    /// What the file holds beside its pixels.
    pub metadata: Metadata,
    /// How the stored pixels are turned to have `size`.
    pub orientation: Orientation,
    /// Which frame or page of the file is meant, from 0.
    pub frame: u32,
    /// Bytes that `decode` holds at most beside the decoded pixels.
    pub working_bytes: u64,
    /// What its compression has cost it.
    pub loss: Loss,
}

impl Probe {
    /// The header of pixels that never had one.
    pub fn of_pixels(size: Size, channels: Channels, depth: Depth) -> Self {
        Self {
            format: InputFormat::Png,
            size,
            channels,
            depth,
            icc: None,
            icc_made: false,
            cmyk_transform: None,
            warnings: Vec::new(),
            metadata: Metadata::default(),
            orientation: Orientation::Upright,
            frame: 0,
            working_bytes: 0,
            loss: Loss::Lossless,
        }
    }

    /// Memory of the decoded pixels.
    pub const fn raster_bytes(&self) -> u64 {
        self.size.pixels() * (self.channels.count() * self.depth.bytes()) as u64
    }

    /// Memory of the profile, of what is made of it, and of the notes.
    pub fn profile_bytes(&self) -> u64 {
        let cmyk_transform = self.cmyk_transform.as_ref().map_or(0, CmykTransform::held_bytes);
        self.icc.as_ref().map_or(0, Profile::held_bytes) + cmyk_transform + self.metadata.bytes()
    }

    /// Memory that `decode` holds at its peak: the pixels and what the decoder needs beside them. Falls to
    /// [`Self::raster_bytes`] when it returns. The upload itself is not in it, nor is the profile.
    pub const fn decoded_bytes(&self) -> u64 {
        self.raster_bytes().saturating_add(self.working_bytes)
    }
}

/// A file that was opened: its header is read and judged, its pixels wait to be decoded.
pub struct Opened {
    /// What its header declares.
    pub probe: Probe,
    pub(super) decode: Decode,
    pub(super) interrupt: Interrupt,
}

impl Opened {
    /// Decodes the whole image, upright. It has the size, channels and depth of `probe`; a file that breaks off or lies is
    /// [`CodecError::Damaged`], never a gray rest. Fails with [`CodecError::Interrupted`] soon after the interrupt is set.
    pub fn decode(self) -> Result<Raster, CodecError> {
        let Self { probe, decode, interrupt } = self;
        interrupt.check()?;
        let decoded = decode(&probe);
        // Whatever a library made of a file that it could read no further.
        interrupt.check()?;
        // The inverse of a turn by a quarter has the same sides.
        let stored = probe.orientation.upright(probe.size);
        let raster = Raster::new(stored, probe.channels, decoded?);
        probe.orientation.apply(raster, &interrupt)
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.probe.fmt(f)
    }
}

/// Judges the profile, and settles what depends on more than one part of a file.
pub(super) fn judged(format: InputFormat, header: Header) -> Result<Probe, CodecError> {
    let Header { stored, channels, depth, orientation, icc, icc_made, cmyk, .. } = header;
    let Header { mut warnings, mut metadata, working_bytes, frames, loss, .. } = header;
    metadata.settle(orientation.swaps_sides());
    let mut fit = |unfit| {
        warnings.push(match unfit {
            Unfit::HighDynamicRange(transfer) => return Err(CodecError::HighDynamicRange(transfer)),
            Unfit::Mismatch => Warning::ProfileMismatch,
            Unfit::Broken => Warning::ProfileUnreadable,
        });
        Ok(())
    };
    let (mut profile, mut cmyk_transform) = (None, None);
    match icc {
        Some(icc) if cmyk => match CmykTransform::judge(&icc) {
            Ok(good) => cmyk_transform = Some(good),
            Err(unfit) => fit(unfit)?,
        },
        Some(icc) => match Profile::judge(&icc, channels) {
            Ok(good) => profile = Some(good),
            Err(unfit) => fit(unfit)?,
        },
        None => {}
    }
    if cmyk && cmyk_transform.is_none() {
        warnings.push(Warning::CmykNaive);
    }
    let mut probe = Probe {
        format,
        size: orientation.upright(stored),
        channels,
        depth,
        icc: profile,
        icc_made,
        cmyk_transform,
        warnings,
        metadata,
        orientation,
        frame: frames.chosen,
        working_bytes,
        loss,
    };
    // Turning by a quarter needs a second image, when the decoder has let go of what it held.
    if orientation.swaps_sides() {
        probe.working_bytes = working_bytes.max(probe.raster_bytes());
    }
    Ok(probe)
}
