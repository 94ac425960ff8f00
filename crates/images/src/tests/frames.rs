//! Frames of animations, against what Pillow shows of them.

use super::{difference, fixture, probe, probe_frame, read, read_frame};
use crate::CodecError;
use crate::raster::{Channels, Raster, Samples};

macro_rules! animation {
    ($name:expr, $($number:literal)+) => {
        (
            $name,
            &fixture!(concat!("kinds/", $name))[..],
            vec![$(&fixture!(concat!("kinds/", $name, ".", $number, ".png"))[..]),+],
        )
    };
}

/// Its name, its bytes, and what is shown of each frame.
type Animated = (&'static str, &'static [u8], Vec<&'static [u8]>);

fn animations() -> [Animated; 5] {
    [
        animation!("animated.gif", 0 1 2 3 4),
        animation!("animated.png", 0 1 2 3 4),
        animation!("animated-gray.png", 0 1 2 3 4),
        animation!("animated.webp", 0 1 2 3 4),
        animation!("animated-alpha.webp", 0 1 2),
    ]
}

fn frame(file: &[u8], number: u32) -> Result<Raster, CodecError> {
    read_frame(file, Some(number)).map(|(_, image)| image)
}

/// As RGBA, with nothing under full transparency.
fn shown(image: &Raster) -> Vec<u8> {
    let Samples::U8(samples) = image.samples() else { panic!("8 bits") };
    let pixels = samples.chunks_exact(image.channels().count());
    pixels
        .flat_map(|pixel| match *pixel {
            [.., 0] if image.channels().has_alpha() => [0; 4],
            [v] => [v, v, v, 255],
            [v, a] => [v, v, v, a],
            [r, g, b] => [r, g, b, 255],
            [r, g, b, a] => [r, g, b, a],
            _ => panic!("one to four samples"),
        })
        .collect()
}

#[test]
fn every_frame_is_as_a_viewer_shows_it() {
    for (name, file, frames) in animations() {
        for (number, reference) in (0..).zip(&frames) {
            let ours = shown(&frame(file, number).unwrap_or_else(|error| panic!("{name} {number}: {error}")));
            let theirs = shown(&read(reference).expect("a reference").1);
            let (largest, mean) = difference(&ours, &theirs);
            // Lossy frames differ by the step from YUV; Pillow premultiplies none.
            let lossy = name == "animated-alpha.webp";
            assert!(largest <= if lossy { 3 } else { 0 }, "{name} {number}: largest {largest}, mean {mean}");
        }
    }
}

#[test]
fn none_is_chosen_unasked_and_none_beyond_the_last() {
    for (name, file, frames) in animations() {
        let error = probe(file).expect_err(name);
        let header = format!("is animated: it has {} frames; ask for one of them with frame=0", frames.len());
        assert!(matches!(&error, CodecError::Unsupported(text) if text.contains(&header)), "{name}: {error}");
        let error = probe_frame(file, Some(frames.len() as u32)).expect_err(name);
        assert!(matches!(&error, CodecError::NoFrame(text) if text.contains("frames; ask for one from 0")), "{error}");
    }
}

#[test]
fn a_still_image_has_its_frame_0() {
    for file in
        [&fixture!("profile.png")[..], fixture!("gray.jpg"), fixture!("lossy.webp"), fixture!("kinds/still.gif")]
    {
        assert_eq!(frame(file, 0), read(file).map(|(_, image)| image));
        assert!(matches!(probe_frame(file, Some(1)), Err(CodecError::NoFrame(_))));
    }
}

#[test]
fn a_gif_is_opaque_unless_it_has_a_hole() {
    let palette = read(fixture!("kinds/palette.png")).expect("the reference").1;
    for file in [fixture!("kinds/still.gif"), fixture!("kinds/interlaced.gif")] as [&[u8]; 2] {
        assert!(read(file).expect("a GIF").1 == palette);
    }
    let (header, image) = read(fixture!("kinds/hole.gif")).expect("a GIF");
    assert_eq!(header.channels, Channels::Rgba);
    assert_eq!(shown(&image), shown(&read(fixture!("kinds/hole.png")).expect("the reference").1));
}

#[test]
fn the_first_frame_of_a_gif_makes_room_for_itself() {
    let file = fixture!("kinds/still.gif");
    let (_, whole) = read(file).expect("a GIF");
    let mut small = file.to_vec();
    small[6..10].copy_from_slice(&[5, 0, 200, 0]);
    let (header, image) = read(&small).expect("larger than its canvas");
    assert_eq!((header.size.width, header.size.height), (whole.size().width, 200));
    assert_eq!(shown(&image)[..shown(&whole).len()], shown(&whole));
    // What comes after it does not, and would be decoded in full to be cut.
    let mut second = fixture!("kinds/animated.gif").to_vec();
    let frames: Vec<_> = second.windows(2).enumerate().filter(|(_, w)| *w == [0x21, 0xf9]).map(|(at, _)| at).collect();
    second[frames[1] + 13..frames[1] + 15].fill(0xff);
    assert!(matches!(probe_frame(&second, Some(1)), Err(CodecError::Damaged(_))));
    assert!(probe_frame(&second, Some(0)).is_ok());
}

#[test]
fn an_animation_that_breaks_off_is_damaged() {
    for (name, file, frames) in animations() {
        let last = frames.len() as u32 - 1;
        for end in (0..file.len()).step_by(7) {
            assert!(frame(&file[..end], last).is_err(), "{name} cut at {end} of {}", file.len());
        }
    }
}
