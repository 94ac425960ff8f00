//! Whatever bytes come, there is an answer: an error, or the image that the header promised, within the memory
//! that it announced (libFuzzer ends at its own limit, see run.sh).
#![no_main]

use images::{InputLimits, Interrupt, open};
use libfuzzer_sys::fuzz_target;

/// Small, so that a run gets through many; the arithmetic is the same for large ones.
const LIMITS: InputLimits = InputLimits { input_pixels: 1 << 18, output_pixels: 1 << 18 };

/// Of one image and what its decoder holds.
const MEMORY: u64 = 256 << 20;

fuzz_target!(|file: &[u8]| {
    // Of animations and pages one of the first few.
    let frame = (file.len() % 4) as u32;
    let read = |frame| open(file.to_vec().into(), &LIMITS, frame, &Interrupt::default());
    let Ok(opened) = read(None).or_else(|_| read(Some(frame))) else { return };
    let header = opened.probe.clone();
    assert!(header.size.pixels() <= LIMITS.input_pixels);
    // What asks for more is not admitted.
    if header.decoded_bytes() > MEMORY {
        return;
    }
    if let Ok(image) = opened.decode() {
        let promised = (header.size, header.channels, header.depth);
        assert_eq!((image.size(), image.channels(), image.depth()), promised);
    }
});
