//! What a file holds beside its pixels: by default what it should not lose, and nothing that betrays anybody.

use exif::{In, Tag};
use images::orientation::Orientation;
use images::{Interrupt, Warning};

use super::file_parts::chunk;
use super::*;
use crate::pipeline::fidelity::{Conversion, DensityPolicy, MetadataPolicy};

/// Stored on its side, 300 x 150 pixels per inch as stored: upright it is 32 x 16 pixels, 150 x 300 per inch.
const FILES: [&[u8]; 3] = [
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/images/notes.jpg")),
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/images/notes.png")),
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/images/notes.webp")),
];

const FORMATS: [OutputFormat; 3] = [OutputFormat::Png, OutputFormat::Jpeg, OutputFormat::WebP];
const TIFF: OutputFormat = OutputFormat::Tiff;

async fn answered(sent: &'static [u8], format: OutputFormat, fidelity: Fidelity) -> (Vec<u8>, Plan) {
    let options = Options { fidelity, ..options(format) };
    let answer = bicubic().upscale(Bytes::from_static(sent), options).await.expect("a good image");
    let plan = answer.plan.clone();
    (file(answer).await.expect("whole"), plan)
}

fn wish(metadata: MetadataPolicy, density: DensityPolicy) -> Fidelity {
    Fidelity { metadata, density, ..Fidelity::default() }
}

fn says(file: &[u8], what: &[u8]) -> bool {
    file.windows(what.len()).any(|bytes| bytes == what)
}

/// The Exif of an answer, by another reader.
fn exif_of(file: &[u8]) -> Option<exif::Exif> {
    exif::Reader::new().read_from_container(&mut Cursor::new(file)).ok()
}

fn field(exif: &exif::Exif, tag: Tag) -> Option<String> {
    exif.get_field(tag, In::PRIMARY).map(|field| field.display_value().to_string())
}

/// Pixels per inch by the container's own field, or in a WebP by Exif, rounded.
fn density(file: &[u8], format: OutputFormat) -> Option<(u32, u32)> {
    match format {
        OutputFormat::Png => {
            let reader = png::Decoder::new(Cursor::new(file)).read_info().expect("a PNG");
            let inch = |meter: u32| (f64::from(meter) * 0.0254).round() as u32;
            reader.info().pixel_dims.map(|dims| (inch(dims.xppu), inch(dims.yppu)))
        }
        OutputFormat::Jpeg => match file[11..18] {
            // Version, unit, x and y after SOI, APP0, length and `JFIF\0`.
            [_, _, 1, x1, x0, y1, y0] => {
                Some((u32::from(u16::from_be_bytes([x1, x0])), u32::from(u16::from_be_bytes([y1, y0]))))
            }
            _ => None,
        },
        _ => {
            let exif = exif_of(file)?;
            let number = |tag| {
                exif.get_field(tag, In::PRIMARY).and_then(|field| match &field.value {
                    exif::Value::Rational(v) => v.first().map(|v| v.to_f64().round() as u32),
                    _ => None,
                })
            };
            Some((number(Tag::XResolution)?, number(Tag::YResolution)?))
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_density_and_rights_stay_and_places_and_makers_notes_go() {
    for sent in FILES {
        for format in FORMATS {
            let (file, plan) = answered(sent, format, Fidelity::default()).await;
            assert_eq!(decoded(&file).size(), Size::new(64, 32), "upright");
            let exif = exif_of(&file).expect("rights");
            let rights = field(&exif, Tag::Copyright).expect("a notice");
            assert!(rights.contains("2026 Ada") || rights.contains("2026 Bob"), "{rights}");
            assert_eq!(field(&exif, Tag::Artist).as_deref(), Some("\"Ada\""));
            assert_eq!(field(&exif, Tag::Orientation).as_deref(), Some("row 0 at top and column 0 at left"));
            assert_eq!(density(&file, format), Some((300, 600)), "{format:?}: as large on paper");
            for secret in [&b"maker's note"[..], b"GPS", b"52.5 N", b"a comment", b"Maker", b"rdf:RDF"] {
                assert!(!says(&file, secret), "{format:?} still says {}", String::from_utf8_lossy(secret));
            }
            let gps = exif.fields().any(|field| field.tag.context() == exif::Context::Gps);
            assert!(!gps && exif.get_field(Tag::MakerNote, In::PRIMARY).is_none());
            let done = [Conversion::OrientationApplied, Conversion::DensityScaled, Conversion::MetadataDropped];
            assert_eq!((&plan.conversions[..], &plan.warnings[..]), (&done[..], &[][..]), "{format:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_for_all_of_it_all_of_it_stays_and_tells_of_the_answer() {
    for sent in FILES {
        for format in FORMATS {
            let (file, plan) = answered(sent, format, wish(MetadataPolicy::All, DensityPolicy::Scale)).await;
            let exif = exif_of(&file).expect("Exif");
            assert!(exif.get_field(Tag::GPSLatitude, In::PRIMARY).is_some(), "{format:?}");
            assert!(exif.get_field(Tag::MakerNote, In::PRIMARY).is_some());
            assert_eq!(field(&exif, Tag::Make).as_deref(), Some("\"Maker\""));
            assert_eq!(field(&exif, Tag::PixelXDimension).as_deref(), Some("64"));
            assert_eq!(field(&exif, Tag::PixelYDimension).as_deref(), Some("32"));
            assert_eq!(field(&exif, Tag::XResolution).as_deref(), Some("300"));
            assert_eq!(field(&exif, Tag::YResolution).as_deref(), Some("600"));
            assert_eq!(field(&exif, Tag::Orientation).as_deref(), Some("row 0 at top and column 0 at left"));
            assert!(says(&file, b"exif:GPSLatitude=") && says(&file, b"tiff:Orientation=\"1\""), "{format:?}");
            let limits = InputLimits { input_pixels: 1 << 20, output_pixels: 1 };
            let header = images::open(file.clone().into(), &limits, None, &Interrupt::default()).expect("ours").probe;
            assert_eq!(
                (header.orientation, header.size),
                (Orientation::Upright, Size::new(64, 32)),
                "it is turned once"
            );
            // Texts have a place in a PNG alone, a comment of a JPEG has none.
            let png_to_png = sent == FILES[1] && format == OutputFormat::Png;
            assert_eq!(says(&file, b"52.5 N"), png_to_png, "{format:?}");
            let dropped = plan.conversions.contains(&Conversion::MetadataDropped);
            assert_eq!(dropped, sent == FILES[0] || (sent == FILES[1] && !png_to_png), "{format:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_for_none_of_it_only_pixels_come() {
    for sent in FILES {
        for format in FORMATS {
            let (file, plan) = answered(sent, format, wish(MetadataPolicy::None, DensityPolicy::Scale)).await;
            assert!(exif_of(&file).is_none() && density(&file, format).is_none(), "{format:?}");
            assert!(!says(&file, b"2026") && !says(&file, b"rdf:RDF"));
            assert_eq!(plan.conversions, [Conversion::OrientationApplied, Conversion::MetadataDropped]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn density_stays_if_asked_for() {
    for format in FORMATS {
        let (file, plan) = answered(FILES[0], format, wish(MetadataPolicy::Safe, DensityPolicy::Keep)).await;
        assert_eq!(density(&file, format), Some((150, 300)), "{format:?}: turned, but not scaled");
        assert!(!plan.conversions.contains(&Conversion::DensityScaled));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_says_nothing_is_answered_with_nothing_said() {
    for format in FORMATS {
        let answer = bicubic().upscale(png(&noise(Size::new(9, 9), Channels::Rgb)), options(format)).await;
        let answer = answer.expect("a good image");
        assert!(answer.plan.conversions.is_empty() && answer.plan.warnings.is_empty());
        let file = file(answer).await.expect("whole");
        assert!(exif_of(&file).is_none() && density(&file, format).is_none(), "{format:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_note_fails_no_image_and_is_reported() {
    let mut broken = FILES[0].to_vec();
    let at = broken.windows(6).position(|bytes| bytes == b"Exif\0\0").expect("it is there") + 6;
    broken[at..at + 4].copy_from_slice(b"oops");
    let sent: &'static [u8] = broken.leak();
    for (metadata, warned) in [(MetadataPolicy::Safe, true), (MetadataPolicy::All, true), (MetadataPolicy::None, false)]
    {
        let (file, plan) = answered(sent, OutputFormat::Jpeg, wish(metadata, DensityPolicy::Scale)).await;
        assert_eq!(plan.warnings.contains(&Warning::MetadataUnreadable), warned);
        assert_eq!(decoded(&file).size(), Size::new(32, 64), "as stored: nothing says that it lies on its side");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_counted_in_memory() {
    let (pipeline, text) = (bicubic(), vec![b'x'; 500_000]);
    let plain = png(&noise(Size::new(9, 9), Channels::Rgb));
    let chunk = chunk(*b"tEXt", &[&b"Comment\0"[..], &text].concat());
    let with = [&plain[..33], &chunk, &plain[33..]].concat();
    let held = async |sent: Vec<u8>, metadata| {
        let options = Options { fidelity: wish(metadata, DensityPolicy::Scale), ..options(OutputFormat::Png) };
        pipeline.plan(sent.into(), &options).await.expect("a good image").bytes
    };
    let (safe, all, none) = (
        held(with.clone(), MetadataPolicy::Safe),
        held(with, MetadataPolicy::All),
        held(plain.to_vec(), MetadataPolicy::Safe),
    );
    let (safe, all, none) = (safe.await, all.await, none.await);
    // The upload and what was read of it; then what an encoder makes of it besides.
    assert!(safe - none >= 1_000_000 && all - safe >= 1_000_000, "{none} {safe} {all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tiff_says_it_in_its_own_directory_and_is_read_there() {
    for sent in FILES {
        for (metadata, xmp) in [(MetadataPolicy::Safe, false), (MetadataPolicy::All, true)] {
            let (tiff, plan) = answered(sent, TIFF, wish(metadata, DensityPolicy::Scale)).await;
            let read = exif::Reader::new().read_raw(tiff.clone()).expect("a TIFF is a block");
            assert_eq!(field(&read, Tag::XResolution).as_deref(), Some("300"));
            assert_eq!(field(&read, Tag::YResolution).as_deref(), Some("600"));
            assert_eq!(field(&read, Tag::ResolutionUnit).as_deref(), Some("inch"));
            assert_eq!(field(&read, Tag::Artist).as_deref(), Some("\"Ada\""));
            assert!(field(&read, Tag::Copyright).expect("a notice").contains("2026"));
            assert_eq!(says(&tiff, b"rdf:RDF"), xmp);
            assert!(!says(&tiff, b"maker's note") && plan.conversions.contains(&Conversion::MetadataDropped));
            for tag in [Tag::GPSLatitude, Tag::Make, Tag::PixelXDimension] {
                assert_eq!(field(&read, tag), None, "a TIFF has no place for a block");
            }
            // And back into a PNG.
            let sent: &'static [u8] = tiff.leak();
            let (png, _) = answered(sent, OutputFormat::Png, wish(metadata, DensityPolicy::Keep)).await;
            assert_eq!(density(&png, OutputFormat::Png), Some((300, 600)));
            let exif = exif_of(&png).expect("rights");
            assert_eq!(field(&exif, Tag::Artist).as_deref(), Some("\"Ada\""));
            assert_eq!(says(&png, b"rdf:RDF"), xmp);
        }
    }
}

/// A TIFF of one gray pixel, the first byte of the file, with one entry more.
fn tiff_with([tag, kind, count, value]: [u32; 4]) -> Vec<u8> {
    let mut entries =
        [[256, 3, 1, 1], [257, 3, 1, 1], [258, 3, 1, 8], [262, 3, 1, 1], [273, 3, 1, 0], [279, 3, 1, 1]].to_vec();
    entries.push([tag, kind, count, value]);
    let mut file = [b"II*\0\x08\0\0\0", &(entries.len() as u16).to_le_bytes()[..]].concat();
    for [tag, kind, count, value] in entries {
        file.extend([(tag as u16).to_le_bytes(), (kind as u16).to_le_bytes()].concat());
        file.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    [file, vec![0; 4]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tiff_says_beside_density_and_rights_is_dropped_and_reported() {
    let text = |letters: &[u8; 4]| u32::from_le_bytes(*letters);
    for (entry, dropped) in [
        ([271, 2, 4, text(b"gnu\0")], true),
        ([34_665, 4, 1, 8], true),
        ([50_000, 3, 1, 1], true),
        ([315, 2, 4, text(b"Ada\0")], false),
        ([284, 3, 1, 1], false),
    ] {
        let sent: &'static [u8] = tiff_with(entry).leak();
        for format in [OutputFormat::Png, OutputFormat::Jpeg, OutputFormat::WebP, TIFF] {
            let (file, plan) = answered(sent, format, wish(MetadataPolicy::All, DensityPolicy::Scale)).await;
            let header = plan.conversions.contains(&Conversion::MetadataDropped);
            assert_eq!((header, says(&file, b"gnu")), (dropped, false), "{format:?} {entry:?}");
            assert_eq!(says(&file, b"Ada"), entry[0] == 315);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_is_as_large_on_paper_as_before() {
    let plain = png(&noise(Size::new(200, 100), Channels::Rgb));
    let meter = 11_811_u32.to_be_bytes();
    let chunk = chunk(*b"pHYs", &[&meter[..], &meter, &[1]].concat());
    let sent = [&plain[..33], &chunk, &plain[33..]].concat();
    let resize = Resize::To { width: Some(300), height: Some(300), fit: images::geometry::Fit::Cover };
    let options = Options { resize, ..options(OutputFormat::Png) };
    let answer = bicubic().upscale(sent.into(), options).await.expect("a good image");
    assert_eq!(
        density(&file(answer).await.expect("whole"), OutputFormat::Png),
        Some((900, 900)),
        "of 300, three times"
    );
}
