//! Finding an ONNX Runtime library, and telling which providers are in it.
//!
//! There are three builds of the one library, each a Python wheel: the plain one, one with OpenVINO, one with CUDA.
//! Every build has the CPU provider. A build has another provider if the library of that provider lies beside it:
//! ONNX Runtime itself looks for it there and nowhere else.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::RuntimeError;
use crate::engine::backend::Device;

/// The pinned versions, as `runtime/fetch.sh` reads them.
const LOCK: &str = include_str!("../../../../../runtime/versions.lock");

/// Where `make runtime` puts what it fetched, from the root of the repository.
pub(super) const FOLDER: &str = ".runtime";

/// The wheels that are pinned, in the order in which they are looked for: the plain one is the newest, so it serves the
/// CPU where it is there.
pub(super) const BUILDS: [&str; 3] = ["onnxruntime", "onnxruntime-openvino", "onnxruntime-gpu"];

/// Folders above the executable that are searched for [`FOLDER`]: enough for `target/<profile>/deps/`.
const ANCESTORS: usize = 5;

/// What is pinned of a build.
///
/// # Panics
/// If it is none of [`BUILDS`].
pub(super) fn pinned_version(build: &str) -> &'static str {
    LOCK.lines()
        .find_map(|line| line.strip_prefix(build)?.strip_prefix("=="))
        .and_then(|rest| rest.split([' ', '\\', ';']).next())
        .expect("runtime/versions.lock pins every build (a test reads it)")
}

/// What a library is called on this system.
pub(super) fn library_name(stem: &str) -> String {
    format!("{}{stem}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// ONNX Runtime's own.
pub(super) fn name() -> String {
    library_name("onnxruntime")
}

/// Whether the ONNX Runtime at `library` can have sessions on `device`. One that the system's loader found by its bare
/// name is taken for a plain one.
pub(super) fn offers(library: &Path, device: Device) -> bool {
    let provider = match device {
        Device::Cpu => return true,
        Device::OpenVino => "onnxruntime_providers_openvino",
        Device::Cuda => "onnxruntime_providers_cuda",
    };
    library.parent().is_some_and(|folder| folder.is_absolute() && folder.join(library_name(provider)).is_file())
}

/// The library that the settings name: a file, or a folder that holds it.
pub(super) fn explicit(path: &Path) -> Result<PathBuf, RuntimeError> {
    let library = if path.is_dir() { path.join(name()) } else { path.to_path_buf() };
    // Made absolute, because `ort` would look for a relative path beside the executable.
    match library.canonicalize() {
        Ok(library) if library.is_file() => Ok(library),
        _ => Err(RuntimeError::NotThere { path: path.to_path_buf(), name: name() }),
    }
}

/// The folders to search, in order.
pub(super) fn places() -> Vec<PathBuf> {
    let fetched = |root: &Path| {
        let root = root.join(FOLDER);
        BUILDS.map(|build| root.join(format!("{build}-{}", pinned_version(build))))
    };
    let executable = std::env::current_exe().and_then(|e| e.canonicalize()).unwrap_or_default();
    let mut places = Vec::new();
    if let Some(folder) = executable.parent() {
        places.push(folder.to_path_buf());
        places.extend(folder.parent().map(|above| above.join("lib")));
        places.extend(folder.ancestors().take(ANCESTORS).flat_map(fetched));
    }
    places.extend(std::env::current_dir().into_iter().flat_map(|working| fetched(&working)));
    let mut seen = HashSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

/// For each device that no library before has, the first library that has it.
pub(super) fn by_device(places: &[PathBuf], devices: &[Device]) -> Vec<(Device, PathBuf)> {
    let libraries = libraries(places);
    let mut chosen: Vec<(Device, PathBuf)> = Vec::new();
    for device in devices {
        let here = libraries.iter().find(|library| offers(library, *device));
        if let Some(library) = here.filter(|_| !chosen.iter().any(|(_, before)| offers(before, *device))) {
            chosen.push((*device, library.clone()));
        }
    }
    chosen
}

fn libraries(places: &[PathBuf]) -> Vec<PathBuf> {
    let name = name();
    places.iter().map(|place| place.join(&name)).filter(|library| library.is_file()).collect()
}

/// The first library with the first of these devices that any library has; else, if the CPU will do, what the system's
/// loader finds under the library's name.
pub(super) fn search(places: &[PathBuf], devices: &[Device]) -> Result<PathBuf, RuntimeError> {
    let name = name();
    if let Some((_, library)) = by_device(places, devices).into_iter().next() {
        return Ok(library);
    }
    let libraries = libraries(places);
    let looked = |more: Option<PathBuf>| places.iter().map(|p| p.join(&name)).chain(more).collect();
    if !devices.contains(&Device::Cpu) && !libraries.is_empty() {
        let device = *devices.first().expect("something is wanted");
        return Err(RuntimeError::Lacking { device, looked: libraries });
    }
    let system = PathBuf::from(&name);
    match ort::init_from(&system) {
        Ok(_) => Ok(system),
        Err(ort::LoadDynamicError::Dlopen { .. }) => Err(RuntimeError::NotFound { looked: looked(Some(system)) }),
        Err(error) => Err(RuntimeError::Unusable { path: system, reason: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_lock_file_pins_each_build_with_hashes() {
        for build in BUILDS {
            let version = pinned_version(build);
            assert_eq!(version.split('.').filter(|part| part.parse::<u32>().is_ok()).count(), 3, "{version}");
            let minor: u32 = version.split('.').nth(1).and_then(|m| m.parse().ok()).expect("a minor version");
            assert!(minor >= ort::MINOR_VERSION, "{build} {version} is too old for the API this binary asks for");
        }
        let hashes = LOCK.matches("--hash=sha256:").count();
        assert_eq!(hashes, 5, "three systems for the plain one, Linux x86-64 for OpenVINO and CUDA");
    }

    #[test]
    fn a_named_library_must_be_there() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let error = explicit(&dir.path().join("nowhere.so")).expect_err("nothing is there");
        assert!(error.to_string().contains("--runtime (UPSCALER_RUNTIME)"), "{error}");
        let error = explicit(dir.path()).expect_err("the folder is empty");
        assert!(error.to_string().contains(&name()), "{error}");
    }

    #[test]
    fn a_named_folder_may_hold_the_library() {
        let dir = folder(&[]);
        let library = dir.path().join(name()).canonicalize().expect("the file is there");
        assert_eq!(explicit(dir.path()), Ok(library.clone()));
        assert_eq!(explicit(&library), Ok(library));
    }

    /// A folder with a library and those of these providers beside it.
    fn folder(providers: &[&str]) -> TempDir {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(dir.path().join(name()), "").expect("a new file");
        for provider in providers {
            let name = library_name(&format!("onnxruntime_providers_{provider}"));
            fs::write(dir.path().join(name), "").expect("a new file");
        }
        dir
    }

    #[test]
    fn the_first_place_with_the_fastest_device_wins() {
        let empty = tempfile::tempdir().expect("a temporary folder");
        let dirs = [empty, folder(&[]), folder(&["openvino"]), folder(&["cuda"])];
        let places: Vec<_> = dirs.iter().map(|d| d.path().to_path_buf()).collect();
        let found = |devices: &[Device]| search(&places, devices);
        assert_eq!(found(&[Device::Cpu]), Ok(places[1].join(name())));
        assert_eq!(found(&[Device::OpenVino, Device::Cpu]), Ok(places[2].join(name())));
        assert_eq!(found(&[Device::Cuda, Device::OpenVino, Device::Cpu]), Ok(places[3].join(name())));
        assert_eq!(search(&places[..3], &[Device::Cuda, Device::OpenVino, Device::Cpu]), Ok(places[2].join(name())));
        assert_eq!(search(&places[..2], &[Device::Cuda, Device::Cpu]), Ok(places[1].join(name())));
    }

    #[test]
    fn the_next_library_is_the_first_with_what_the_others_lack() {
        use Device::{Cpu, Cuda, OpenVino};
        let dirs = [folder(&[]), folder(&["openvino"]), folder(&["cuda"]), folder(&["cuda", "openvino"])];
        let places: Vec<_> = dirs.iter().map(|d| d.path().to_path_buf()).collect();
        let library = |at: usize| places[at].join(name());
        let two = vec![(Cuda, library(2)), (OpenVino, library(1))];
        assert_eq!(by_device(&places, &[Cuda, OpenVino, Cpu]), two, "and either has the CPU");
        assert_eq!(by_device(&places[3..], &[Cuda, OpenVino, Cpu]), [(Cuda, library(3))]);
        assert_eq!(by_device(&places, &[Cpu]), [(Cpu, library(0))]);
        assert!(by_device(&places[..1], &[Cuda]).is_empty());
    }

    #[test]
    fn a_device_that_no_library_has_is_reported_with_what_fetches_it() {
        let dirs = [folder(&[]), folder(&["openvino"])];
        let places: Vec<_> = dirs.iter().map(|d| d.path().to_path_buf()).collect();
        let error = search(&places, &[Device::Cuda]).expect_err("none has CUDA").to_string();
        assert!(error.contains("runtime/fetch.sh cuda") && error.contains("--provider"), "{error}");
        let error = search(&places[..1], &[Device::OpenVino]).expect_err("none has OpenVINO").to_string();
        assert!(error.contains("runtime/fetch.sh openvino"), "{error}");
    }

    #[test]
    fn a_library_has_what_lies_beside_it() {
        let dir = folder(&["cuda"]);
        let library = dir.path().join(name());
        assert!(offers(&library, Device::Cpu) && offers(&library, Device::Cuda));
        assert!(!offers(&library, Device::OpenVino));
        assert!(!offers(Path::new(&name()), Device::Cuda), "found by the system's loader");
    }

    #[test]
    fn places_end_with_the_fetched_versions() {
        let places = places();
        for build in BUILDS {
            let fetched = format!("{FOLDER}/{build}-{}", pinned_version(build));
            assert!(places.iter().any(|p| p.ends_with(&fetched)));
        }
    }
}
