//! Test sets as they are passed around: `HR` holds the originals, `LR_bicubic/X4` a `NAMEx4` for each.

use std::path::{Path, PathBuf};

use images::raster::{Channels, Raster, Samples};
use images::units::Scale;
use images::{InputLimits, Interrupt, Opened};

use crate::quality::resize::shrink;

const IMAGES: [&str; 4] = ["png", "jpg", "jpeg", "webp"];
/// Test images are our own: no limit protects anybody.
const LIMITS: InputLimits = InputLimits { input_pixels: u64::MAX, output_pixels: u64::MAX };

/// A test set.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) images: Vec<Image>,
}

/// An image of a set.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) name: String,
    pub(super) original: PathBuf,
    /// `LR_bicubic` of the set, if it has one.
    low: Option<PathBuf>,
}

impl Image {
    /// The low-resolution image: the set's own, else made from the cropped original.
    pub(super) fn low(&self, original: &Raster, scale: Scale) -> Result<Raster, String> {
        let ready = self.low.as_ref().map(|low| low.join(format!("X{scale}/{}x{scale}.png", self.name)));
        match ready.filter(|path| path.is_file()) {
            Some(path) => rgb(&path),
            None => shrink(original, scale).ok_or_else(|| "a test image must have 8 bits".into()),
        }
    }
}

/// The set in a folder, or the sets in its folders.
pub(super) fn find(folder: &Path) -> Result<Vec<Set>, String> {
    if folder.join("HR").is_dir() {
        return Ok(vec![open(folder)?]);
    }
    let folders = entries(folder)?.into_iter().filter(|path| path.join("HR").is_dir());
    let sets = folders.map(|folder| open(&folder)).collect::<Result<Vec<_>, _>>()?;
    if sets.is_empty() {
        return Err(format!("{} is no test set: neither it nor a folder in it has a folder HR", folder.display()));
    }
    Ok(sets)
}

fn open(folder: &Path) -> Result<Set, String> {
    let low = Some(folder.join("LR_bicubic")).filter(|low| low.is_dir());
    let image = |original: PathBuf| Image { name: stem(&original), original, low: low.clone() };
    // A set that was named `.` is called after the folder that this is.
    let name = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Set { name, images: images(&folder.join("HR"))?.into_iter().map(image).collect() })
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error| format!("{} cannot be read: {error}", folder.display());
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

/// The images of a folder, by name.
pub(super) fn images(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let is_image = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        path.is_file() && IMAGES.iter().any(|image| image.eq_ignore_ascii_case(extension))
    };
    let images: Vec<PathBuf> = entries(folder)?.into_iter().filter(is_image).collect();
    if images.is_empty() {
        return Err(format!("{} holds no images ({})", folder.display(), IMAGES.join(", ")));
    }
    Ok(images)
}

/// A file as 8-bit RGB: gray three times over, as the papers feed it, and no alpha.
pub(super) fn rgb(path: &Path) -> Result<Raster, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string());
    bytes.and_then(decoded).map_err(|error| format!("{}: {error}", path.display()))
}

/// The same of a file's bytes.
pub(super) fn decoded(file: Vec<u8>) -> Result<Raster, String> {
    let opened = images::open(file.into(), &LIMITS, None, &Interrupt::default());
    let image = opened.and_then(Opened::decode).map_err(|error| error.to_string())?;
    let (size, step, colors) = (image.size(), image.channels().count(), image.channels().colors());
    let Samples::U8(samples) = image.into_samples() else {
        return Err("a test image must have 8 bits".into());
    };
    let pixel = |pixel: &[u8]| if colors == 3 { [pixel[0], pixel[1], pixel[2]] } else { [pixel[0]; 3] };
    Ok(Raster::new(size, Channels::Rgb, Samples::U8(samples.chunks_exact(step).flat_map(pixel).collect())))
}

#[cfg(test)]
pub(super) mod testing {

    /// A set of code-drawn originals in a folder of its own.
    pub(crate) fn set(images: &[(&str, u32, u32)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(dir.path().join("HR")).expect("a folder");
        for &(name, width, height) in images {
            let wave = |at: u32| (f64::from(at) / 3.0).sin() * 60.0 + 120.0;
            let image = image::RgbImage::from_fn(width, height, |x, y| {
                image::Rgb([wave(x) as u8, wave(y) as u8, wave(x + y) as u8])
            });
            image.save(dir.path().join(format!("HR/{name}.png"))).expect("written");
        }
        dir
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_a_set_or_holds_sets() {
        let (one, all) = (testing::set(&[("b", 20, 20), ("a", 20, 20)]), tempfile::tempdir().expect("a folder"));
        let names = |set: &Set| set.images.iter().map(|image| image.name.clone()).collect::<Vec<_>>();
        let found = find(one.path()).expect("a set");
        assert_eq!(found.iter().map(names).collect::<Vec<_>>(), [["a", "b"]]);
        for name in ["SetB", "SetA", "notes"] {
            std::fs::create_dir(all.path().join(name)).expect("a folder");
        }
        assert!(find(all.path()).expect_err("no set yet").contains("no test set"));
        for name in ["SetB", "SetA"] {
            std::fs::rename(testing::set(&[("a", 20, 20)]).path().join("HR"), all.path().join(name).join("HR"))
                .expect("moved");
        }
        let found = find(all.path()).expect("two sets");
        assert_eq!(found.iter().map(|set| set.name.as_str()).collect::<Vec<_>>(), ["SetA", "SetB"]);
    }

    #[test]
    fn low_resolution_is_taken_where_it_is_and_made_where_not() {
        let dir = testing::set(&[("a", 24, 24)]);
        let scale = Scale::new(2).expect("a scale");
        let low = |dir: &Path| {
            let image = &find(dir).expect("a set")[0].images[0];
            image.low(&rgb(&image.original).expect("an image"), scale).expect("an image")
        };
        let made = low(dir.path());
        assert_eq!((made.size().width, made.channels()), (12, Channels::Rgb));
        std::fs::create_dir_all(dir.path().join("LR_bicubic/X2")).expect("a folder");
        let black = image::GrayImage::new(12, 12);
        black.save(dir.path().join("LR_bicubic/X2/ax2.png")).expect("written");
        let taken = low(dir.path());
        assert_eq!(taken.channels(), Channels::Rgb, "gray three times over");
        assert!(taken != made && taken.samples() == &Samples::U8(vec![0; 3 * 144]));
    }
}
