//! Which files there are to upscale, and where each result goes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use images::OutputFormat;

/// Extensions of files that a folder is searched for; whether a file is an image is decided by its bytes later.
const IMAGES: [&str; 9] = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "gif", "jxl"];

/// One file.
#[derive(Debug, PartialEq)]
pub(super) struct Job {
    pub(super) input: PathBuf,
    /// Or why it can go nowhere.
    pub(super) output: Result<PathBuf, String>,
}

/// The jobs of a run, and the format of their results.
pub(super) fn plan(
    inputs: &[PathBuf],
    output: &Path,
    format: Option<OutputFormat>,
) -> Result<(OutputFormat, Vec<Job>), String> {
    if let [input] = inputs
        && input.is_file()
        && !output.is_dir()
        && let Some(named) = format_of(output)
    {
        if format.is_some_and(|format| format != named) {
            let wanted = format.unwrap_or(named).extension();
            return Err(format!(
                "--format {wanted} and the name {} contradict each other; leave one out",
                output.display()
            ));
        }
        let result = if same_file(input, output) { Err(overwrites()) } else { Ok(output.to_owned()) };
        return Ok((named, vec![Job { input: input.clone(), output: result }]));
    }
    if output.is_file() {
        return Err(format!("{} is a file, but the results need a folder; name another", output.display()));
    }

    let format = format.unwrap_or(OutputFormat::Png);
    let mut found = Vec::new();
    for input in inputs {
        let before = found.len();
        if input.is_dir() {
            search(input, Path::new(""), output, &mut found)?;
            if found.len() == before {
                return Err(format!("{} holds no images ({})", input.display(), IMAGES.join(", ")));
            }
        } else {
            // A file that is not there fails by itself, and the others go on.
            found.push((input.clone(), PathBuf::from(input.file_name().unwrap_or_default())));
        }
    }
    let sources: HashSet<PathBuf> = found.iter().filter_map(|(input, _)| input.canonicalize().ok()).collect();
    let mut taken = HashSet::new();
    let job = |(input, name): (PathBuf, PathBuf)| {
        let target = output.join(name.with_extension(format.extension()));
        let output = if real(&target).is_some_and(|target| sources.contains(&target)) {
            Err(overwrites())
        } else if taken.insert(target.clone()) {
            Ok(target)
        } else {
            Err(format!("another input gives {} already; rename one, or upscale them apart", target.display()))
        };
        Job { input, output }
    };
    Ok((format, found.into_iter().map(job).collect()))
}

fn overwrites() -> String {
    "the result would overwrite an input; choose another folder or format".into()
}

fn format_of(path: &Path) -> Option<OutputFormat> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "png" => Some(OutputFormat::Png),
        "jpg" | "jpeg" => Some(OutputFormat::Jpeg),
        "webp" => Some(OutputFormat::WebP),
        "tif" | "tiff" => Some(OutputFormat::Tiff),
        _ => None,
    }
}

/// The path without links, if the file is there.
fn real(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}

fn same_file(a: &Path, b: &Path) -> bool {
    real(a).is_some_and(|a| real(b) == Some(a))
}

/// Every image under `folder`, by name, with its path from there. Results of an earlier run are not taken for inputs;
/// links to folders are not followed, since they may lead in circles.
fn search(folder: &Path, inside: &Path, output: &Path, found: &mut Vec<(PathBuf, PathBuf)>) -> Result<(), String> {
    if same_file(folder, output) && !inside.as_os_str().is_empty() {
        return Ok(());
    }
    let unreadable = |error| format!("{} cannot be read: {error}", folder.display());
    let mut entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(unreadable)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), inside.join(entry.file_name()));
        if entry.file_type().map_err(unreadable)?.is_dir() {
            search(&path, &name, output, found)?;
        } else if path.is_file() && has_image_extension(&path) {
            found.push((path, name));
        }
    }
    Ok(())
}

fn has_image_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    IMAGES.iter().any(|image| image.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().expect("inside")).expect("a folder");
            fs::write(path, b"image").expect("a file");
        }
        dir
    }

    /// Result names from the folder, `!` for a job that cannot be done.
    fn planned(dir: &Path, inputs: &[&str], output: &str, format: Option<OutputFormat>) -> Vec<String> {
        let inputs: Vec<PathBuf> = inputs.iter().map(|input| dir.join(input)).collect();
        let (_, jobs) = plan(&inputs, &dir.join(output), format).expect("a plan");
        let name = |job: Job| match job.output {
            Ok(path) => path.strip_prefix(dir).expect("inside").to_str().expect("a name").to_owned(),
            Err(_) => format!("!{}", job.input.strip_prefix(dir).expect("inside").display()),
        };
        jobs.into_iter().map(name).collect()
    }

    #[test]
    fn one_file_goes_to_the_file_that_is_named() {
        let dir = folder(&["a.jpg"]);
        assert_eq!(planned(dir.path(), &["a.jpg"], "b.WEBP", None), ["b.WEBP"]);
        assert_eq!(planned(dir.path(), &["a.jpg"], "b", None), ["b/a.png"]);
        assert_eq!(planned(dir.path(), &["a.jpg"], "b", Some(OutputFormat::Jpeg)), ["b/a.jpg"]);
        // A folder may have a name like an image.
        fs::create_dir(dir.path().join("c.png")).expect("a folder");
        assert_eq!(planned(dir.path(), &["a.jpg"], "c.png", None), ["c.png/a.png"]);
        assert_eq!(plan(&[dir.path().join("a.jpg")], Path::new("x.webp"), None).expect("a plan").0, OutputFormat::WebP);
    }

    #[test]
    fn folders_are_searched_through_and_keep_their_shape() {
        let dir = folder(&["in/b.png", "in/a.JPG", "in/sub/c.webp", "in/notes.txt", "single.jpeg"]);
        assert_eq!(
            planned(dir.path(), &["in", "single.jpeg"], "out", None),
            ["out/a.png", "out/b.png", "out/sub/c.png", "out/single.png"]
        );
    }

    #[test]
    fn results_of_an_earlier_run_are_no_inputs() {
        let dir = folder(&["in/a.png", "in/large/a.png"]);
        assert_eq!(planned(dir.path(), &["in"], "in/large", None), ["in/large/a.png"]);
    }

    #[test]
    fn no_input_is_overwritten() {
        let dir = folder(&["in/a.png", "in/b.jpg"]);
        assert_eq!(planned(dir.path(), &["in"], "in", None), ["!in/a.png", "in/b.png"]);
        assert_eq!(planned(dir.path(), &["in/a.png"], "in/a.png", None), ["!in/a.png"]);
    }

    #[test]
    fn two_inputs_do_not_share_a_result() {
        let dir = folder(&["x/a.png", "y/a.jpg"]);
        assert_eq!(planned(dir.path(), &["x", "y"], "out", None), ["out/a.png", "!y/a.jpg"]);
    }

    #[test]
    fn what_contradicts_itself_is_reported_before_any_work() {
        let dir = folder(&["a.png", "b.png", "empty/notes.txt"]);
        let path = |name: &str| dir.path().join(name);
        let refused = |inputs: &[&str], output: &str, format| {
            plan(&inputs.iter().map(|i| path(i)).collect::<Vec<_>>(), &path(output), format).expect_err("refused")
        };
        assert!(refused(&["a.png"], "out.jpg", Some(OutputFormat::Png)).contains("contradict"));
        assert!(refused(&["a.png", "b.png"], "b.png", None).contains("need a folder"));
        assert!(refused(&["empty"], "out", None).contains("no images"));
    }

    #[test]
    fn a_file_that_is_missing_is_left_to_fail_by_itself() {
        let dir = folder(&["a.png"]);
        assert_eq!(planned(dir.path(), &["a.png", "gone.png"], "out", None), ["out/a.png", "out/gone.png"]);
    }
}
