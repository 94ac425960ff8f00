//! Which ONNX Runtime library is loaded where there is a choice: the fastest whose provider answers.
//!
//! A process can load one library, and the builds for CUDA and OpenVINO are two. Whether a card answers is known once a
//! session has run on it, and then that library is the process's. So where `auto` has a further choice behind a card, a
//! process of its own is asked to run a network on it first; a driver that crashes or hangs takes no server with it.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use inference::engine::backend::{self, Device, Hardware};
use inference::engine::fallback::first_that_opens;
use inference::engine::runtime;
use inference::registry::{Kind, ModelChoice, Network, Registry};
use tracing::warn;

use crate::config::{EngineSettings, Provider};
use crate::pipeline::selection::candidates;

/// A card that answers does so within a few seconds, the first use of a driver included.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The library to load, if `auto` must not load the first that it would find.
pub(super) fn chosen(settings: &EngineSettings, registry: &Registry) -> Option<PathBuf> {
    if settings.provider != Provider::Auto || settings.runtime.is_some() {
        return settings.runtime.clone();
    }
    let network = any_network(registry, &settings.model)?;
    // What cannot be had is told by anyone who loads.
    let wishes = backend::wishes(settings.provider, settings.precision, Hardware::here()).ok()?;
    let devices: Vec<_> = wishes.iter().map(|backend| backend.device()).collect();
    first_answering(runtime::libraries(&devices), |library, device| ask(settings, network, library, device))
}

/// A network that needs ONNX Runtime, of the default model if that has one.
pub(super) fn any_network<'a>(registry: &'a Registry, model: &ModelChoice) -> Option<&'a Network> {
    let by_file = || candidates(registry).first().map(|info| info.name.as_str());
    let model = model.name().or_else(by_file);
    let mut networks = registry.networks().iter().filter(|network| matches!(network.kind, Kind::Onnx { .. }));
    let first = networks.clone().next();
    networks.find(|network| Some(network.model.as_str()) == model).or(first)
}

/// The first of the libraries whose device answers; the last without being asked, since nothing is left behind it.
/// `None`: no choice, or it is the first.
fn first_answering(
    libraries: Vec<(Device, PathBuf)>,
    ask: impl Fn(&Path, Device) -> Result<(), String>,
) -> Option<PathBuf> {
    let (first, last) = (libraries.first()?.1.clone(), libraries.last()?.1.clone());
    let answers = |(device, library): &(Device, PathBuf)| if *library == last { Ok(()) } else { ask(library, *device) };
    let passed = |(device, library): &(Device, PathBuf), reason: &String, (next, _): &(Device, PathBuf)| {
        warn!(
            provider = device.name(),
            library = %library.display(),
            reason,
            next = next.name(),
            "the faster provider cannot be had; taking the library of the next"
        );
    };
    let ((_, library), ()) = first_that_opens(libraries, answers, passed).ok()?;
    (library != first).then_some(library)
}

/// Has a process of its own run `network` on `device` of `library`.
fn ask(settings: &EngineSettings, network: &Network, library: &Path, device: Device) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| format!("this program is not to be found: {error}"))?;
    let mut asked = Command::new(program);
    asked.args(["--log-level", "error", "probe", "--workers", "1", "--threads", "1"]);
    let gpu_memory = settings.gpu_memory.to_string();
    for (flag, value) in [
        ("--models", settings.models.as_os_str().to_owned()),
        ("--model", OsString::from(&network.model)),
        ("--only", OsString::from(&network.model)),
        ("--provider", device.name().into()),
        ("--precision", settings.precision.name().into()),
        ("--gpu-memory", gpu_memory.into()),
        ("--runtime", library.as_os_str().to_owned()),
    ] {
        asked.arg(flag).arg(value);
    }
    answer(&mut asked, PATIENCE)
}

/// Runs a process that answers by its exit code, and with its last words if that is not 0.
fn answer(asked: &mut Command, patience: Duration) -> Result<(), String> {
    let begun = Instant::now();
    let none = |error| format!("a process to try it in cannot be started: {error}");
    let mut child = asked.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(none)?;
    let stderr = child.stderr.take();
    let words = thread::spawn(move || {
        let mut words = Vec::new();
        // What was said before the pipe broke is all there is.
        let _ = stderr.map(|mut pipe| pipe.read_to_end(&mut words));
        String::from_utf8_lossy(&words).into_owned()
    });
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < patience => thread::sleep(LOOK_EVERY),
            late => {
                // It may have ended by itself since; a driver may also hold it, and then it is left behind.
                let _ = child.kill();
                let seconds = patience.as_secs();
                return Err(late.map_or_else(|error| error.to_string(), |_| format!("no answer within {seconds} s")));
            }
        }
    };
    if status.success() {
        return Ok(());
    }
    let words = words.join().unwrap_or_default();
    let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("without a word");
    Err(format!("{} ({status})", last.strip_prefix("error: ").unwrap_or(last)))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn libraries(devices: &[Device]) -> Vec<(Device, PathBuf)> {
        devices.iter().map(|device| (*device, PathBuf::from(device.name()))).collect()
    }

    /// What is chosen, and who was asked, where these devices answer.
    fn choice(devices: &[Device], answering: &[Device]) -> (Option<PathBuf>, Vec<Device>) {
        let asked = RefCell::new(Vec::new());
        let chosen = first_answering(libraries(devices), |library, device| {
            assert_eq!(library, Path::new(device.name()));
            asked.borrow_mut().push(device);
            if answering.contains(&device) { Ok(()) } else { Err("it is dead".into()) }
        });
        (chosen, asked.into_inner())
    }

    #[test]
    fn behind_a_card_that_does_not_answer_the_next_library_is_loaded() {
        use Device::{Cpu, Cuda, OpenVino};
        assert_eq!(choice(&[Cuda, OpenVino], &[]), (Some("openvino".into()), vec![Cuda]));
        assert_eq!(choice(&[Cuda, OpenVino, Cpu], &[]), (Some("cpu".into()), vec![Cuda, OpenVino]));
        assert_eq!(choice(&[Cuda, OpenVino], &[Cuda]), (None, vec![Cuda]), "the first, as if nobody had asked");
    }

    #[test]
    fn without_a_choice_nobody_is_asked() {
        assert_eq!(choice(&[Device::Cuda], &[]), (None, vec![]));
        assert_eq!(choice(&[], &[]), (None, vec![]));
    }

    #[cfg(unix)]
    #[test]
    fn a_process_answers_by_its_code_and_last_words() {
        let shell = |script: &str, patience| answer(Command::new("sh").args(["-c", script]), patience);
        assert_eq!(shell("echo hello >&2", PATIENCE), Ok(()));
        let error = shell("echo one >&2; echo 'error: no such card' >&2; echo >&2; exit 3", PATIENCE).expect_err("3");
        assert_eq!(error, "no such card (exit status: 3)");
        let error = shell("kill -11 $$", PATIENCE).expect_err("it crashed");
        assert!(error.contains("without a word") && error.contains("signal: 11"), "{error}");
        let error = shell("exec sleep 60", Duration::ZERO).expect_err("it hangs");
        assert_eq!(error, "no answer within 0 s");
        let nothing = answer(&mut Command::new("/nowhere/at/all"), PATIENCE).expect_err("no program");
        assert!(nothing.contains("cannot be started"), "{nothing}");
    }

    #[test]
    fn the_default_model_is_asked_for_first() {
        let network = |model: &str, kind| Network {
            id: inference::registry::NetworkId(0),
            model: model.into(),
            scale: images::units::Scale::new(2).expect("2 is a scale"),
            tile: tiling::TileBounds::square(16, 2),
            kind,
            parameters: 0,
        };
        let onnx = || Kind::Onnx { path: "x".into(), sha256: String::new(), range: 1.0 };
        let registry =
            Registry::new(vec![network("a", onnx()), network("b", onnx()), network("bicubic", Kind::Bicubic)]);
        let found = |model: &str| any_network(&registry, &model.into()).map(|network| network.model.as_str());
        assert_eq!([found("b"), found("bicubic"), found("auto")], [Some("b"), Some("a"), Some("a")]);
        assert!(any_network(&Registry::new(registry.networks()[2..].to_vec()), &"bicubic".into()).is_none());
    }
}
