//! Finds the ONNX Runtime library, loads it once, and makes the process's one environment.
//!
//! The library is loaded at run time and not linked, because one binary then serves every execution provider. Where it
//! is looked for, in this order:
//! 1. the path in the settings (`--runtime`, `UPSCALER_RUNTIME`): a file, or a folder that holds the library; nothing
//!    else is tried then, since who names a library wants that one;
//! 2. beside the executable, and in `../lib` of its folder, as packages and images lay it;
//! 3. `.runtime/`, where `make runtime` puts the pinned version: of the folders above the executable, then of the
//!    working folder;
//! 4. whatever the system's loader finds under the library's name.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ort::AsPointer;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};

/// The pinned versions, as `runtime/fetch.sh` reads them.
const LOCK: &str = include_str!("../../runtime/versions.lock");

/// Where `make runtime` puts what it fetched, from the root of the repository.
const FOLDER: &str = ".runtime";

/// Folders above the executable that are searched for [`FOLDER`]: enough for `target/<profile>/deps/`.
const ANCESTORS: usize = 5;

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// The loaded library and its environment; there is one in a process.
#[derive(Debug)]
pub struct Runtime {
    environment: Environment,
    library: PathBuf,
}

/// Why there is no ONNX Runtime.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// Nowhere.
    #[error(
        "ONNX Runtime was not found; run `make runtime`, or name the library with --runtime (UPSCALER_RUNTIME); looked \
         for {}", looked.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    NotFound {
        /// In this order.
        looked: Vec<PathBuf>,
    },
    /// The settings name something that is no library.
    #[error("--runtime (UPSCALER_RUNTIME) names {}, where there is no {name}; name the library or its folder", path.display())]
    NotThere {
        /// What they name.
        path: PathBuf,
        /// What the library is called here.
        name: String,
    },
    /// It is there and cannot be used.
    #[error("ONNX Runtime at {} cannot be used: {reason}; run `make runtime` for version {}", path.display(), pinned_version())]
    Unusable {
        /// The library.
        path: PathBuf,
        /// What the loader or the library said.
        reason: String,
    },
}

impl Runtime {
    /// The environment that sessions are made in.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Where the library was found; a bare name if the system's loader found it.
    pub fn library(&self) -> &Path {
        &self.library
    }
}

/// The version that `make runtime` fetches.
pub fn pinned_version() -> &'static str {
    LOCK.lines()
        .find_map(|line| line.strip_prefix("onnxruntime=="))
        .and_then(|rest| rest.split([' ', '\\', ';']).next())
        .expect("runtime/versions.lock pins onnxruntime (a test reads it)")
}

/// Loads the library, or returns it if it was loaded before: the first call of a process decides which.
pub fn load(explicit: Option<&Path>) -> Result<&'static Runtime, RuntimeError> {
    // Two first calls at once would both build an environment, and the second of them fail.
    static LOADING: Mutex<()> = Mutex::new(());
    let _guard = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let library = match explicit {
        Some(path) => explicit_library(path)?,
        None => search(&places())?,
    };
    let runtime = open(&library)?;
    tracing::info!(library = %library.display(), build = ort::info(), "loaded ONNX Runtime");
    Ok(RUNTIME.get_or_init(|| runtime))
}

fn open(library: &Path) -> Result<Runtime, RuntimeError> {
    let unusable = |reason: String| RuntimeError::Unusable { path: library.to_path_buf(), reason };
    let environment = ort::init_from(library)
        .map_err(|error| unusable(error.to_string()))?
        .with_name("san-upscaler")
        .with_telemetry(false)
        .with_logger(Arc::new(log))
        .build()
        .map_err(|error| unusable(error.message().to_owned()))?;
    // The environment is made at its most talkative; each message would cross into Rust only to be dropped.
    environment.set_log_level(LogLevel::Warning);
    share_memory(&environment).map_err(|error| unusable(error.message().to_owned()))?;
    Ok(Runtime { environment, library: library.to_path_buf() })
}

/// Gives the environment one arena that all sessions take their working memory from (they ask for it by
/// `use_env_allocators`). With an arena each, three sessions of san-light that had run four 64x64 tiles held 154 MB of
/// activations; with this one 55 MB, at the same speed.
#[expect(unsafe_code, reason = "`ort` has no safe call for it")]
fn share_memory(environment: &Environment) -> Result<(), ort::Error> {
    let memory = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Arena, MemoryType::Default)?;
    // SAFETY: both pointers come from live objects of `ort`; the environment, which takes a lock of its own here,
    // copies the description of the memory; no arena configuration means ONNX Runtime's defaults.
    unsafe {
        let create = ort::api().CreateAndRegisterAllocator;
        ort::Error::result_from_status(create(environment.ptr().cast_mut(), memory.ptr(), std::ptr::null()))
    }
}

/// What ONNX Runtime says goes where everything else goes.
fn log(level: LogLevel, category: &str, _id: &str, _code_location: &str, message: &str) {
    match level {
        LogLevel::Verbose => tracing::trace!(target: "onnxruntime", category, "{message}"),
        LogLevel::Info => tracing::debug!(target: "onnxruntime", category, "{message}"),
        LogLevel::Warning => tracing::warn!(target: "onnxruntime", category, "{message}"),
        LogLevel::Error | LogLevel::Fatal => tracing::error!(target: "onnxruntime", category, "{message}"),
    }
}

/// What the library is called on this system.
fn library_name() -> String {
    format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

fn explicit_library(path: &Path) -> Result<PathBuf, RuntimeError> {
    let library = if path.is_dir() { path.join(library_name()) } else { path.to_path_buf() };
    // Made absolute, because `ort` would look for a relative path beside the executable.
    match library.canonicalize() {
        Ok(library) if library.is_file() => Ok(library),
        _ => Err(RuntimeError::NotThere { path: path.to_path_buf(), name: library_name() }),
    }
}

/// The folders to search, in order.
fn places() -> Vec<PathBuf> {
    let fetched = |root: &Path| root.join(FOLDER).join(format!("onnxruntime-{}", pinned_version()));
    let executable = std::env::current_exe().and_then(|e| e.canonicalize()).unwrap_or_default();
    let mut places = Vec::new();
    if let Some(folder) = executable.parent() {
        places.push(folder.to_path_buf());
        places.extend(folder.parent().map(|above| above.join("lib")));
        places.extend(folder.ancestors().take(ANCESTORS).map(fetched));
    }
    places.extend(std::env::current_dir().map(|working| fetched(&working)));
    places
}

fn search(places: &[PathBuf]) -> Result<PathBuf, RuntimeError> {
    let name = library_name();
    if let Some(found) = places.iter().map(|place| place.join(&name)).find(|library| library.is_file()) {
        return Ok(found);
    }
    let system = PathBuf::from(&name);
    match ort::init_from(&system) {
        Ok(_) => Ok(system),
        Err(ort::LoadDynamicError::Dlopen { .. }) => {
            Err(RuntimeError::NotFound { looked: places.iter().map(|p| p.join(&name)).chain([system]).collect() })
        }
        Err(error) => Err(RuntimeError::Unusable { path: system, reason: error.to_string() }),
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! What tests need that run networks for real.

    use std::path::{Path, PathBuf};

    use super::{Runtime, load};

    /// Set by `make test`, which fetches the library: then a test that cannot run has failed.
    const REQUIRE: &str = "UPSCALER_TEST_REQUIRE_RUNTIME";

    /// The library, or a word about why the test ends here.
    #[expect(clippy::disallowed_methods, reason = "a test has no settings to read it from")]
    pub(crate) fn runtime() -> Option<&'static Runtime> {
        match load(None) {
            Ok(runtime) => Some(runtime),
            Err(error) => {
                assert!(std::env::var_os(REQUIRE).is_none(), "{REQUIRE} is set, but {error}");
                println!("skipped: no ONNX Runtime; run `make runtime`");
                None
            }
        }
    }

    /// The networks of `tests/fixtures/make.py`.
    pub(crate) fn fixtures() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_pins_a_version_with_hashes_for_each_platform() {
        let version = pinned_version();
        assert_eq!(version.split('.').filter(|part| part.parse::<u32>().is_ok()).count(), 3, "{version}");
        let minor: u32 = version.split('.').nth(1).and_then(|m| m.parse().ok()).expect("a minor version");
        assert!(minor >= ort::MINOR_VERSION, "the pinned library is too old for the API this binary asks for");
        assert_eq!(LOCK.matches("--hash=sha256:").count(), 3, "Linux x86-64, Linux aarch64, macOS arm64");
    }

    #[test]
    fn a_named_library_must_be_there() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let error = explicit_library(&dir.path().join("nowhere.so")).expect_err("nothing is there");
        assert!(error.to_string().contains("--runtime (UPSCALER_RUNTIME)"), "{error}");
        let error = explicit_library(dir.path()).expect_err("the folder is empty");
        assert!(error.to_string().contains(&library_name()), "{error}");
    }

    #[test]
    fn a_named_folder_may_hold_the_library() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let library = dir.path().join(library_name());
        std::fs::write(&library, "").expect("a new file");
        let library = library.canonicalize().expect("the file is there");
        assert_eq!(explicit_library(dir.path()), Ok(library.clone()));
        assert_eq!(explicit_library(&library), Ok(library));
    }

    #[test]
    fn the_first_place_wins() {
        let dirs = [tempfile::tempdir().expect("a temporary folder"), tempfile::tempdir().expect("a temporary folder")];
        let places: Vec<_> = dirs.iter().map(|d| d.path().to_path_buf()).collect();
        std::fs::write(places[1].join(library_name()), "").expect("a new file");
        assert_eq!(search(&places), Ok(places[1].join(library_name())));
        std::fs::write(places[0].join(library_name()), "").expect("a new file");
        assert_eq!(search(&places), Ok(places[0].join(library_name())));
    }

    #[test]
    fn places_end_with_the_fetched_version() {
        let fetched = format!("{FOLDER}/onnxruntime-{}", pinned_version());
        assert!(places().iter().any(|p| p.ends_with(&fetched)));
    }
}
