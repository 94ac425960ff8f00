//! What a request holds in memory at most, by its header: what it is admitted with.

use images::Probe;
use images::encode::{Target, buffered_bytes};
use images::geometry::View;
use images::resample::reduce::Line;
use images::units::Size;
use tiling::blend::BAND_BYTES;

use super::downscaler::Downscaler;
use super::fidelity::OutputPlan;
use super::pass::PassSpec;
use super::{alpha, body, sequence};

/// Rows leave in bands of at most 1 MiB of levels, or of one row.
fn band(width: u32, pixel: usize) -> u64 {
    (u64::from(width) * pixel as u64).max(1 << 20)
}

/// Bytes of a request, but for the tiles of the passes before the last: the upload, its profile, and the dearest of decoding it,
/// cutting it, looking at its alpha and each of its passes.
pub(super) fn bytes_held(
    probe: &Probe,
    upload: usize,
    view: &View,
    specs: &[PassSpec],
    reduction: Option<&(Line, Line)>,
    (target, output_plan): (&Target, &OutputPlan),
) -> u64 {
    let window = view.window().size;
    let source = window.pixels() * (probe.channels.count() * probe.depth.bytes()) as u64;
    let cutting = if window == probe.size { 0 } else { probe.raster_bytes() + source };
    let marks = if probe.channels.has_alpha() { window.pixels() * alpha::SURVEY_BYTES } else { 0 };

    let between = sequence::pixel_bytes(probe.channels);
    let (mut seen, mut passing, mut grid) = (0, 0, window);
    for (at, spec) in specs.iter().enumerate() {
        let given = spec.output();
        if at + 1 < specs.len() {
            let made = given.pixels() * between as u64;
            passing = passing.max(seen + spec.blend_bytes() + band(given.width, between) + made);
            seen = made;
        }
        grid = given;
    }
    let bands = specs.last().map_or_else(|| rows_bytes(grid), |spec| spec.blend_bytes() + spec.tiles_held());
    let colors = output_plan.transform.held_bytes(window.width, BAND_BYTES.max(12 * u64::from(grid.width)));
    let shrinking = reduction.map_or(0, |lines| Downscaler::held_bytes(lines, probe.channels, grid.width));
    let line = target.channels.count() * target.depth.bytes();
    let writing =
        bands + colors + shrinking + band(target.size.width, line) + buffered_bytes(target) + body::HELD_BYTES as u64;
    let upscaling = passing.max(seen + writing);
    upload as u64 + probe.profile_bytes() + probe.decoded_bytes().max(cutting).max(source + marks.max(upscaling))
}

/// A band of levels as it is taken from an image.
fn rows_bytes(size: Size) -> u64 {
    BAND_BYTES.max(12 * u64::from(size.width))
}
