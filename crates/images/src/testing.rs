//! Parts of files that tests write by hand: of this crate, and of the service, which includes this file by its path.

use flate2::Crc;
use moxcms::ColorProfile;

/// A chunk of a PNG.
pub fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(&kind);
    crc.update(data);
    [&(data.len() as u32).to_be_bytes()[..], &kind, data, &crc.sum().to_be_bytes()].concat()
}

/// The bytes of a profile, by moxcms.
pub fn made(profile: &ColorProfile) -> Vec<u8> {
    let mut bytes = profile.encode().expect("a whole profile");
    // It is dated now, and may be made twice.
    bytes[24..36].fill(1);
    bytes
}

/// The same profile with room at its end that no tag names.
pub fn padded(mut profile: Vec<u8>, length: usize) -> Vec<u8> {
    assert!(length >= profile.len(), "{length} is less than it has");
    profile.resize(length, 0);
    profile[..4].copy_from_slice(&(length as u32).to_be_bytes());
    profile
}

/// A profile by tables of two points a side, which make colors of the corners of the cube; and no way back.
pub fn by_tables() -> Vec<u8> {
    let mut table = b"mft2\0\0\0\0\x03\x03\x02\0".to_vec();
    for i in 0..9 {
        table.extend((if i % 4 == 0 { 0x1_0000_u32 } else { 0 }).to_be_bytes());
    }
    // Two entries in each input and output table: straight lines.
    let line = [0_u16, 0xffff];
    table.extend([2_u16, 2].map(u16::to_be_bytes).concat());
    table.extend([line; 3].concat().into_iter().flat_map(u16::to_be_bytes));
    // Lab of each corner, blue fastest, in the encoding of version 2: 0xff00 is 100, 0x8000 is 0.
    for corner in 0..8_u16 {
        let (r, g, b) = (corner >> 2 & 1, corner >> 1 & 1, corner & 1);
        let lightness = (21 * r + 72 * g + 7 * b) * 652;
        table.extend(
            [lightness, 0x8000 + 0x3000 * r - 0x3000 * g, 0x8000 + 0x2000 * g - 0x4000 * b]
                .map(u16::to_be_bytes)
                .concat(),
        );
    }
    table.extend([line; 3].concat().into_iter().flat_map(u16::to_be_bytes));
    let mut profile = made(&ColorProfile::new_srgb());
    profile.truncate(128);
    profile[8..12].copy_from_slice(&[2, 0x40, 0, 0]);
    profile[12..16].copy_from_slice(b"scnr");
    profile[20..24].copy_from_slice(b"Lab ");
    profile.extend(1_u32.to_be_bytes());
    profile.extend(b"A2B0");
    profile.extend(144_u32.to_be_bytes());
    profile.extend((table.len() as u32).to_be_bytes());
    profile.extend(table);
    let length = profile.len();
    padded(profile, length)
}

/// A TIFF block that holds nothing but an orientation.
pub fn oriented(number: u16, big: bool) -> Vec<u8> {
    let short = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let long = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let mut block = if big { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
    block.extend(long(8));
    block.extend(short(1));
    block.extend([short(0x0112), short(3)].concat());
    block.extend(long(1));
    block.extend([short(number), short(0)].concat());
    block.extend(long(0));
    block
}
