//! Whether an embedded ICC profile is worth carrying over: the header and tag table of ICC.1:2022, chapter 7.
//!
//! A profile is carried unchanged or not at all. One that a reader would reject takes the picture with it in some
//! readers (libpng refuses an RGB profile in a gray file), so what does not parse is dropped.

use crate::raster::Channels;

/// Profiles above this are dropped. The largest in use, RGB to press by tables, have some 3 MB.
pub const MAX_BYTES: usize = 4 << 20;

/// Header and the number of tags.
const HEADER: usize = 132;

/// The profile without padding after it, if its header and tag table hold together and its colour space is that of
/// the pixels.
pub fn plausible(profile: &[u8], channels: Channels) -> Option<Vec<u8>> {
    let length = be32(profile, 0)?;
    let profile = profile.get(..length).filter(|p| (HEADER..=MAX_BYTES).contains(&p.len()))?;
    let space = &profile[16..20];
    let fits = if channels.colours() == 1 { space == b"GRAY" } else { space == b"RGB " };
    let version = profile[8];
    let holds = &profile[36..40] == b"acsp" && (2..=5).contains(&version) && fits && tags_inside(profile);
    holds.then(|| profile.to_vec())
}

fn tags_inside(profile: &[u8]) -> bool {
    let Some(table) = be32(profile, 128).and_then(|n| n.checked_mul(12)).and_then(|n| profile.get(HEADER..HEADER + n))
    else {
        return false;
    };
    table.chunks_exact(12).all(|tag| match (be32(tag, 4), be32(tag, 8)) {
        (Some(offset), Some(length)) => offset.checked_add(length).is_some_and(|end| end <= profile.len()),
        _ => false,
    })
}

fn be32(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_be_bytes(*word)).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A profile of one empty tag, padded to `length`: nothing that a colour engine could use, all that is checked.
    pub fn profile(space: [u8; 4], length: usize) -> Vec<u8> {
        let mut p = vec![0; length.max(144)];
        let n = p.len() as u32;
        p[..4].copy_from_slice(&n.to_be_bytes());
        p[8] = 4;
        p[12..16].copy_from_slice(b"mntr");
        p[16..20].copy_from_slice(&space);
        p[36..40].copy_from_slice(b"acsp");
        p[128..132].copy_from_slice(&1_u32.to_be_bytes());
        p[132..136].copy_from_slice(b"desc");
        p[136..140].copy_from_slice(&144_u32.to_be_bytes());
        p
    }

    #[test]
    fn a_fitting_profile_is_kept_as_it_is() {
        let rgb = profile(*b"RGB ", 3144);
        assert_eq!(plausible(&rgb, Channels::Rgba).as_deref(), Some(&rgb[..]));
        let gray = profile(*b"GRAY", 400);
        assert_eq!(plausible(&gray, Channels::GrayAlpha).as_deref(), Some(&gray[..]));
    }

    #[test]
    fn padding_after_it_is_cut_off() {
        let rgb = profile(*b"RGB ", 200);
        let mut padded = rgb.clone();
        padded.extend_from_slice(&[0; 3]);
        assert_eq!(plausible(&padded, Channels::Rgb), Some(rgb));
    }

    #[test]
    fn what_does_not_hold_together_is_dropped() {
        let good = profile(*b"RGB ", 200);
        assert_eq!(plausible(&good, Channels::Gray), None, "colour space");
        assert_eq!(plausible(&profile(*b"CMYK", 200), Channels::Rgb), None, "CMYK");
        assert_eq!(plausible(&good[..199], Channels::Rgb), None, "cut off");
        assert_eq!(plausible(&good[..3], Channels::Rgb), None, "no header");
        assert_eq!(plausible(&[], Channels::Rgb), None, "empty");
        for (at, byte, what) in
            [(36, b'x', "signature"), (8, 9, "version"), (130, 0xff, "tag count"), (142, 1, "tag end")]
        {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(plausible(&bad, Channels::Rgb), None, "{what}");
        }
        let mut short = good;
        short[..4].copy_from_slice(&131_u32.to_be_bytes());
        assert_eq!(plausible(&short, Channels::Rgb), None, "size below the header");
    }

    #[test]
    fn size_has_a_bound() {
        assert!(plausible(&profile(*b"RGB ", MAX_BYTES), Channels::Rgb).is_some());
        assert!(plausible(&profile(*b"RGB ", MAX_BYTES + 1), Channels::Rgb).is_none());
    }
}
