use proptest::prelude::*;

use super::*;
use crate::testing::oriented;
use crate::units::Size;

const SIZE: Size = Size::new(70_000, 40);

/// A block of these entries (tag, type, value of one or, for text, of its letters), the camera's among them, and a
/// directory for a thumbnail after it.
fn block(big: bool, main: &[(u16, u16, Vec<u8>)], camera: &[(u16, u16, Vec<u8>)], thumbnail: bool) -> Vec<u8> {
    let short = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let long = |v: usize| if big { (v as u32).to_be_bytes() } else { (v as u32).to_le_bytes() };
    let size = |entries: usize| 2 + 12 * entries + 4;
    let first = 8 + size(main.len());
    let second = first + size(camera.len());
    let mut values_at = second + size(1);
    let mut values: Vec<u8> = Vec::new();
    let mut directory = |entries: &[(u16, u16, Vec<u8>)], next: usize| {
        let mut bytes = short(entries.len() as u16).to_vec();
        for (tag, kind, value) in entries {
            let count = if *kind == ASCII { value.len() } else { 1 };
            bytes.extend([short(*tag), short(*kind)].concat());
            bytes.extend(long(count));
            if value.len() <= 4 {
                let mut inline = value.clone();
                inline.resize(4, 0);
                bytes.extend(inline);
            } else {
                bytes.extend(long(values_at));
                values_at += value.len();
                values.extend(value);
            }
        }
        bytes.extend(long(next));
        bytes
    };
    let mut out = if big { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
    out.extend(long(8));
    out.extend(directory(main, if thumbnail { second } else { 0 }));
    out.extend(directory(camera, 0));
    // The thumbnail declares that it is JPEG.
    out.extend(directory(&[(0x0103, SHORT, short(6).to_vec())], 0));
    out.extend(values);
    out
}

fn camera_block(big: bool, orientation: u16) -> Vec<u8> {
    let short = |v: u16| if big { v.to_be_bytes().to_vec() } else { v.to_le_bytes().to_vec() };
    let long = |v: u32| if big { v.to_be_bytes().to_vec() } else { v.to_le_bytes().to_vec() };
    let main = [
        (tag::WIDTH, SHORT, short(8)),
        (tag::HEIGHT, LONG, long(4)),
        (tag::ORIENTATION, SHORT, short(orientation)),
        (tag::X_RESOLUTION, RATIONAL, [long(720), long(10)].concat()),
        (tag::Y_RESOLUTION, RATIONAL, [long(72), long(1)].concat()),
        (tag::RESOLUTION_UNIT, SHORT, short(3)),
        (tag::ARTIST, ASCII, b"Ada\0".to_vec()),
        (tag::COPYRIGHT, ASCII, b"(c) Ada  \0\0".to_vec()),
        (tag::EXIF, LONG, long(8 + 2 + 9 * 12 + 4)),
    ];
    let camera = [(PIXEL_X, LONG, long(8)), (PIXEL_Y, SHORT, short(4)), (0x927c, ASCII, b"maker's note".to_vec())];
    block(big, &main, &camera, true)
}

/// By another reader.
fn field_of(block: &[u8], tag: ::exif::Tag, directory: ::exif::In) -> Option<String> {
    let read = ::exif::Reader::new().read_raw(block.to_vec()).expect("a block");
    read.get_field(tag, directory).map(|field| field.display_value().to_string())
}

#[test]
fn a_block_is_corrected_in_place_in_either_byte_order() {
    use ::exif::{In, Tag};
    for big in [false, true] {
        let old = camera_block(big, 6);
        let new = corrected(old.clone().into(), SIZE, Density::per_inch(144.5, 300.0)).expect("a block");
        assert_eq!(new.len(), old.len(), "nothing is moved");
        let primary = |tag| field_of(&new, tag, In::PRIMARY).expect("it is there");
        assert_eq!(primary(Tag::ImageWidth), "70000", "too long for a short number");
        assert_eq!(primary(Tag::ImageLength), "40");
        assert_eq!(primary(Tag::PixelXDimension), "70000");
        assert_eq!(primary(Tag::PixelYDimension), "40");
        assert_eq!((primary(Tag::XResolution), primary(Tag::YResolution)), ("144.5".into(), "300".into()));
        assert_eq!(primary(Tag::ResolutionUnit), "inch");
        assert_eq!(primary(Tag::Artist), "\"Ada\"");
        assert!(new.windows(12).any(|bytes| bytes == b"maker's note"));
        assert_eq!(orientation(new.clone().into()), Orientation::Upright);
        assert_eq!(field_of(&new, Tag::Compression, In::THUMBNAIL), None, "it would lie on its side");
        assert!(field_of(&old, Tag::Compression, In::THUMBNAIL).is_some());
        // An upright one may stay, and without a density nothing is said anew.
        let kept = corrected(camera_block(big, 1).into(), SIZE, None).expect("a block");
        assert!(field_of(&kept, Tag::Compression, In::THUMBNAIL).is_some());
        assert_eq!(field_of(&kept, Tag::XResolution, In::PRIMARY).as_deref(), Some("72"));
    }
    assert_eq!(corrected(Bytes::from_static(b"no block"), SIZE, None), None);
}

#[test]
fn what_is_needed_is_read() {
    for big in [false, true] {
        let block = Directory::of_block(camera_block(big, 6).into()).expect("a block");
        assert_eq!(block.density(), Density::per_centimeter(72.0, 72.0));
        assert_eq!(block.text(tag::ARTIST).as_deref(), Some(&b"Ada"[..]));
        assert_eq!(block.text(tag::COPYRIGHT).as_deref(), Some(&b"(c) Ada"[..]));
        assert!(block.block_says_more());
    }
}

#[test]
fn a_written_block_says_what_it_should_and_no_more() {
    use ::exif::{In, Tag};
    let bytes = written(Density::per_inch(1200.0, 599.25), Some(b"Ada"), Some("© Ada".as_bytes()));
    let field = |tag| field_of(&bytes, tag, In::PRIMARY).expect("it is there");
    assert_eq!((field(Tag::XResolution), field(Tag::YResolution)), ("1200".into(), "599.25".into()));
    assert_eq!(field(Tag::ResolutionUnit), "inch");
    let block = Directory::of_block(bytes.into()).expect("a block");
    assert_eq!(block.text(tag::ARTIST).as_deref(), Some(&b"Ada"[..]));
    assert_eq!(block.text(tag::COPYRIGHT).as_deref(), Some("© Ada".as_bytes()));
    assert_eq!(block.orientation(), Some(Orientation::Upright));
    assert!(!block.block_says_more());
    let least = written(None, Some(b"A"), None);
    assert_eq!(field_of(&least, Tag::Artist, In::PRIMARY).as_deref(), Some("\"A\""));
    assert_eq!(field_of(&least, Tag::XResolution, In::PRIMARY), None);
}

proptest! {
    /// No bytes make it panic, grow or lose any.
    #[test]
    fn nonsense_is_read_and_corrected(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        big in any::<bool>(), length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = camera_block(big, 6);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(length.index(bytes.len()) + 1);
        if let Some(block) = Directory::of_block(bytes.clone().into()) {
            block.block_says_more();
            block.density();
            block.rights();
            block.page_says_more();
        }
        if let Some(new) = corrected(bytes.clone().into(), SIZE, Density::per_inch(1.5, 2.5)) {
            prop_assert_eq!(new.len(), bytes.len());
        }
    }
}

#[test]
fn read_in_both_byte_orders_with_and_without_prefix() {
    for number in 1..=8 {
        let expected = Orientation::from_number(number.into()).expect("one of the eight");
        for big in [false, true] {
            let block = oriented(number, big);
            assert_eq!(orientation(block.clone().into()), expected);
            assert_eq!(orientation([b"Exif\0\0", &block[..]].concat().into()), expected);
        }
    }
}

#[test]
fn nonsense_is_upright() {
    for number in [0, 9, 0x600] {
        assert_eq!(orientation(oriented(number, true).into()), Orientation::Upright);
    }
    let block = oriented(6, false);
    for end in 0..20 {
        assert_eq!(orientation(block[..end].to_vec().into()), Orientation::Upright, "cut at {end}");
    }
    let mut far = block;
    far[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(orientation(far.into()), Orientation::Upright);
}
