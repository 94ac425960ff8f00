//! Loads the ONNX Runtime library once, and makes the process's one environment.
//!
//! The library is loaded at run time and not linked, because one binary then serves every execution provider: which of
//! its builds is loaded depends on the provider ([`library`]). Where it is looked for, in this order:
//! 1. the path in the settings (`--runtime`, `UPSCALER_RUNTIME`): a file, or a folder that holds the library; nothing
//!    else is tried then, since who names a library wants that one;
//! 2. beside the executable, and in `../lib` of its folder, as packages and images lay it;
//! 3. `.runtime/`, where `make runtime` puts the pinned versions: of the folders above the executable, then of the
//!    working folder;
//! 4. whatever the system's loader finds under the library's name.

pub(in crate::engine) mod placement;

mod library;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ort::AsPointer;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};

use crate::engine::backend::Device;

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
    #[error(
        "ONNX Runtime at {} cannot be used: {reason}; run `make runtime` for version {}",
        path.display(), library::pinned_version(library::BUILDS[0])
    )]
    Unusable {
        /// The library.
        path: PathBuf,
        /// What the loader or the library said.
        reason: String,
    },
    /// There are libraries, but none with the provider that was named.
    #[error(
        "{} (--provider, UPSCALER_PROVIDER) is in none of the ONNX Runtime libraries here ({}); run `{}`, or leave --provider \
         and --precision at auto",
        device.name(), looked.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "), device.fetched_by()
    )]
    Lacking {
        /// What was named.
        device: Device,
        /// The libraries.
        looked: Vec<PathBuf>,
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

    /// Whether it can have sessions on `device`, as far as can be known without making one.
    pub fn offers(&self, device: Device) -> bool {
        library::offers(&self.library, device)
    }
}

/// Loads the library with the first of `devices` that any has, or returns what was loaded before: the first call of a
/// process decides. It may lack the device that a later call asks for, and then reports it.
pub fn load(explicit: Option<&Path>, devices: &[Device]) -> Result<&'static Runtime, RuntimeError> {
    // Two first calls at once would both build an environment, and the second of them fail.
    static LOADING: Mutex<()> = Mutex::new(());
    let _guard = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = if let Some(runtime) = RUNTIME.get() {
        runtime
    } else {
        let library = match explicit {
            Some(path) => library::explicit(path)?,
            None => library::search(&library::places(), devices)?,
        };
        let runtime = open(&library)?;
        tracing::info!(library = %library.display(), build = ort::info(), "loaded ONNX Runtime");
        if let Some(faster) =
            devices.first().filter(|device| explicit.is_none() && !library::offers(&library, **device))
        {
            let (provider, fetch) = (faster.name(), faster.fetched_by());
            tracing::info!(provider, fetch, "this machine could run a faster provider, but the library has it not");
        }
        RUNTIME.get_or_init(|| runtime)
    };
    match devices {
        [first, ..] if !devices.iter().any(|device| runtime.offers(*device)) => {
            Err(RuntimeError::Lacking { device: *first, looked: vec![runtime.library.clone()] })
        }
        _ => Ok(runtime),
    }
}

/// The libraries that are here for these devices, in the order of the devices: for each device that no library before
/// has, the first that has it.
pub fn libraries(devices: &[Device]) -> Vec<(Device, PathBuf)> {
    library::by_device(&library::places(), devices)
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

/// What ONNX Runtime logs goes where everything else goes.
fn log(level: LogLevel, category: &str, _id: &str, _code_location: &str, message: &str) {
    match level {
        LogLevel::Verbose => tracing::trace!(target: "onnxruntime", category, "{message}"),
        LogLevel::Info => tracing::debug!(target: "onnxruntime", category, "{message}"),
        LogLevel::Warning => tracing::warn!(target: "onnxruntime", category, "{message}"),
        LogLevel::Error | LogLevel::Fatal => tracing::error!(target: "onnxruntime", category, "{message}"),
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! What tests need that run networks for real.

    use std::path::{Path, PathBuf};

    use super::{Runtime, load};
    use crate::engine::backend::Device;

    /// Set by `make test`, which fetches the library: then a test that cannot run has failed.
    const REQUIRE: &str = "UPSCALER_TEST_REQUIRE_RUNTIME";

    /// The library, or a word about why the test ends here.
    #[expect(clippy::disallowed_methods, reason = "a test has no settings to read it from")]
    pub(crate) fn runtime() -> Option<&'static Runtime> {
        // Cargo runs tests in the folder of their crate, and `.runtime/` is the repository's.
        std::env::set_current_dir(root()).expect("the repository is there");
        // One with OpenVINO serves the tests of both; a process has but one.
        match load(None, &[Device::OpenVino, Device::Cpu]) {
            Ok(runtime) => Some(runtime),
            Err(error) => {
                assert!(std::env::var_os(REQUIRE).is_none(), "{REQUIRE} is set, but {error}");
                println!("skipped: no ONNX Runtime; run `make runtime`");
                None
            }
        }
    }

    /// Of the repository.
    pub(crate) fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    /// The networks of `tests/fixtures/make.py`.
    pub(crate) fn fixtures() -> PathBuf {
        root().join("tests/fixtures")
    }
}
