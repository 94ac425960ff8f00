//! What ends early: bands that do not come, readers who leave.

use std::cell::RefCell;
use std::io::{self, Write};

use super::*;

#[test]
fn bands_that_end_early_leave_no_whole_file() {
    for format in FORMATS {
        for channels in CHANNELS.into_iter().filter(|channels| holds(format, *channels)) {
            let image = scattered(Size::new(300, 400), channels, Depth::Eight, 1);
            for given in [0, 1, 39] {
                let cut: Vec<_> = bands(&image, &[10]).into_iter().take(given).collect();
                let mut file = Vec::new();
                let error = encode(&target(format, &image), &mut cut.into_iter(), &mut file).expect_err("cut off");
                assert!(
                    matches!(error, EncodeError::BrokeOff(row) if row == 10 * given as u32),
                    "{format:?} {given}: {error}"
                );
                assert!(read(&file).is_err(), "{format:?} {channels:?} after {given} bands looks whole");
                assert!(!file.ends_with(b"IEND\xae\x42\x60\x82") && !file.ends_with(b"\xff\xd9"));
            }
        }
    }
}

#[test]
fn a_band_that_does_not_fit_is_refused() {
    for format in FORMATS {
        let image = smooth(Size::new(8, 8), Channels::Rgb, Depth::Eight);
        for wrong in [
            smooth(Size::new(7, 8), Channels::Rgb, Depth::Eight),
            smooth(Size::new(8, 9), Channels::Rgb, Depth::Eight),
            smooth(Size::new(8, 8), Channels::Gray, Depth::Eight),
            smooth(Size::new(8, 8), Channels::Rgb, Depth::Sixteen),
        ] {
            let error = write(&target(format, &image), vec![wrong]).expect_err("it does not fit");
            assert!(matches!(error, EncodeError::Encoder(_)), "{format:?}: {error}");
        }
    }
}

#[test]
fn no_band_is_asked_for_once_the_image_is_whole() {
    for format in FORMATS {
        let image = smooth(Size::new(8, 8), Channels::Rgb, Depth::Eight);
        let mut bands = bands(&image, &[3]).into_iter().chain(std::iter::from_fn(|| panic!("one too many")));
        encode(&target(format, &image), &mut bands, &mut Vec::new()).expect("it encodes");
    }
}

/// A reader who leaves after some bytes.
struct Leaves(usize);

impl Write for Leaves {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let taken = self.0.min(data.len());
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_who_leaves_is_a_write_error_and_stops_the_work() {
    for format in FORMATS {
        for stays in [0, 1000, 100_000] {
            let image = scattered(Size::new(500, 600), Channels::Rgb, Depth::Eight, 1);
            let mut pulled = 0;
            let mut counted = bands(&image, &[10]).into_iter().inspect(|_| pulled += 1);
            let error = encode(&target(format, &image), &mut counted, &mut Leaves(stays)).expect_err("nobody reads");
            assert!(
                matches!(&error, EncodeError::Write(e) if e.kind() == io::ErrorKind::BrokenPipe),
                "{format:?}: {error}"
            );
            if format != OutputFormat::WebP {
                assert!(pulled < 30, "{format:?} went on for {pulled} of 60 bands");
            }
        }
    }
}

/// A reader who left while the image was gathered: only asking shows it.
struct Left {
    written: usize,
}

impl Write for Left {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.written += data.len();
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

#[test]
fn webp_is_not_encoded_for_nobody() {
    let image = scattered(Size::new(50, 60), Channels::Rgb, Depth::Eight, 1);
    let mut left = Left { written: 0 };
    let error = encode(&target(OutputFormat::WebP, &image), &mut bands(&image, &[10]).into_iter(), &mut left);
    assert!(matches!(&error, Err(EncodeError::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe), "{error:?}");
    assert_eq!(left.written, 0);
}

/// A writer whose bytes can be looked at while it is lent out.
struct Shared<'a>(&'a RefCell<Vec<u8>>);

impl Write for Shared<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn bytes_leave_while_bands_still_come() {
    for format in [OutputFormat::Png, OutputFormat::Jpeg, OutputFormat::Tiff] {
        let image = scattered(Size::new(1000, 300), Channels::Rgb, Depth::Eight, 1);
        let file = RefCell::new(Vec::new());
        let mut late = 0;
        let mut given = bands(&image, &[10]).into_iter().enumerate().map(|(i, band)| {
            late = if i == 29 { file.borrow().len() } else { 0 };
            band
        });
        encode(&target(format, &image), &mut given, &mut Shared(&file)).expect("it encodes");
        assert!(late > file.borrow().len() / 2, "{format:?}: {late} of {} before the last band", file.borrow().len());
    }
}
