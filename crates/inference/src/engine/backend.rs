//! Which provider and arithmetic a session is built with: from what is wanted and what this machine has to the pairs
//! to try, fastest first. Pure, but for [`Hardware::here`].
//!
//! Pairs that do not exist have no variant. bf16 is OpenVINO's alone: ONNX Runtime's CPU provider computes in fp32, and
//! its CUDA provider has fp16 on every card that has bf16. fp16 is CUDA's alone: on a CPU it is emulated, and slow.

use std::fmt;
use std::path::Path;

/// Which execution provider is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Provider {
    /// The fastest that is really there.
    Auto,
    /// ONNX Runtime's CPU provider.
    Cpu,
    /// OpenVINO, on the CPU.
    #[cfg_attr(feature = "clap", value(name = "openvino"))]
    OpenVino,
    /// An NVIDIA card.
    Cuda,
}

impl Provider {
    /// As it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::OpenVino => "openvino",
            Self::Cuda => "cuda",
        }
    }

    /// Whether it has this arithmetic on any machine, or else what to take instead.
    pub const fn has(self, precision: Precision) -> Result<(), &'static str> {
        match (self, precision) {
            (Self::Cpu, Precision::Bf16) => Err("it computes in fp32 only; take --provider openvino or auto for bf16"),
            (Self::Cpu, Precision::Fp16) => Err("it computes in fp32 only; take --provider cuda or auto for fp16"),
            (Self::OpenVino, Precision::Fp16) => Err("it has fp32 and bf16; take one of them, or auto"),
            (Self::Cuda, Precision::Bf16) => Err("it has fp32 and fp16; take one of them, or auto"),
            _ => Ok(()),
        }
    }
}

/// Which arithmetic is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Precision {
    /// The fastest that costs nothing visible.
    Auto,
    /// 32-bit floating point.
    Fp32,
    /// 16 bits with the exponent of fp32; OpenVINO.
    Bf16,
    /// 16 bits with a finer mantissa; CUDA.
    Fp16,
}

impl Precision {
    /// As it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
            Self::Fp16 => "fp16",
        }
    }
}

/// Where sessions run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// ONNX Runtime's own CPU provider; in every library.
    Cpu,
    /// Intel's OpenVINO on the CPU, AMD's included.
    OpenVino,
    /// An NVIDIA card.
    Cuda,
}

impl Device {
    /// As in `--provider`, `/v1/models`, the answer's header and the metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::OpenVino => "openvino",
            Self::Cuda => "cuda",
        }
    }

    /// What ONNX Runtime calls its execution provider.
    pub const fn execution_provider(self) -> &'static str {
        match self {
            Self::Cpu => "CPUExecutionProvider",
            Self::OpenVino => "OpenVINOExecutionProvider",
            Self::Cuda => "CUDAExecutionProvider",
        }
    }

    /// The command that fetches a library with it.
    pub const fn fetched_by(self) -> &'static str {
        match self {
            Self::Cpu => "make runtime",
            Self::OpenVino => "runtime/fetch.sh openvino",
            Self::Cuda => "runtime/fetch.sh cuda",
        }
    }
}

/// A provider with its arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// The baseline, and the last word on a tile that is non-finite elsewhere.
    CpuFp32,
    /// No faster than [`Backend::CpuFp32`] (measured); for comparison, and what runs where OpenVINO was named and takes no
    /// bf16. Asked for by name alone.
    OpenVinoFp32,
    /// Convolutions and matrix products on bf16 numbers with fp32 sums.
    OpenVinoBf16,
    /// TensorFloat-32 stays off: fp32 means fp32.
    CudaFp32,
    /// Convolutions in fp16 with fp32 sums, everything else in fp32; models/training/sr/export.py makes the file.
    CudaFp16,
}

/// All of them, in the order in which `auto` prefers them.
const ALL: [Backend; 5] =
    [Backend::CudaFp16, Backend::CudaFp32, Backend::OpenVinoBf16, Backend::CpuFp32, Backend::OpenVinoFp32];

impl Backend {
    /// Where it runs.
    pub const fn device(self) -> Device {
        match self {
            Self::CpuFp32 => Device::Cpu,
            Self::OpenVinoFp32 | Self::OpenVinoBf16 => Device::OpenVino,
            Self::CudaFp32 | Self::CudaFp16 => Device::Cuda,
        }
    }

    /// Its arithmetic, never `auto`.
    pub const fn precision(self) -> Precision {
        match self {
            Self::CpuFp32 | Self::OpenVinoFp32 | Self::CudaFp32 => Precision::Fp32,
            Self::OpenVinoBf16 => Precision::Bf16,
            Self::CudaFp16 => Precision::Fp16,
        }
    }

    /// Whether it computes in less than fp32.
    pub fn is_reduced(self) -> bool {
        self.precision() != Precision::Fp32
    }

    /// As in `--precision` and everywhere that it is reported.
    pub const fn precision_name(self) -> &'static str {
        match self.precision() {
            Precision::Bf16 => "bf16",
            Precision::Fp16 => "fp16",
            Precision::Fp32 | Precision::Auto => "fp32",
        }
    }

    fn answers(self, provider: Provider) -> bool {
        match provider {
            Provider::Auto => true,
            Provider::Cpu => self.device() == Device::Cpu,
            Provider::OpenVino => self.device() == Device::OpenVino,
            Provider::Cuda => self.device() == Device::Cuda,
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.device().name(), self.precision_name())
    }
}

/// What decides between the pairs, before any library is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// The CPU multiplies bf16 numbers: AMX-BF16 or AVX512-BF16.
    pub bf16: bool,
    /// The system shows an NVIDIA device. Whether it answers is known when a session is made.
    pub gpu: bool,
}

impl Hardware {
    /// What there is here. Both are read from Linux's files, since only there a library with the provider is pinned.
    pub fn here() -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self { bf16: multiplies_bf16(&cpuinfo), gpu: shows_gpu(Path::new("/dev")) }
    }
}

/// Whether the first processor of this /proc/cpuinfo has it; `runtime/fetch.sh` looks for the same two words.
fn multiplies_bf16(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find_map(|line| line.strip_prefix("flags")?.trim_start().strip_prefix(':'));
    flags.is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "amx_bf16" || flag == "avx512_bf16"))
}

/// `nvidia0` and on; `dxg` where Windows lends its card to Linux; `nvhost-gpu` on boards with a card of their own.
fn shows_gpu(devices: &Path) -> bool {
    let numbered = |name: &str| name.strip_prefix("nvidia").is_some_and(|n| !n.is_empty() && n.parse::<u16>().is_ok());
    std::fs::read_dir(devices).is_ok_and(|entries| {
        let mut names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        names.any(|name| numbered(&name) || name == "dxg" || name == "nvhost-gpu")
    })
}

/// Why what is wanted is not available on this machine, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No such pair anywhere.
    #[error("--precision (UPSCALER_PRECISION) {precision} cannot be had of --provider {provider}; {remedy}")]
    Pair {
        /// Wanted.
        provider: &'static str,
        /// Wanted.
        precision: &'static str,
        /// Pairs that exist.
        remedy: &'static str,
    },
    /// The CPU would emulate it, more slowly than fp32.
    #[error(
        "--precision (UPSCALER_PRECISION) bf16 needs a CPU with AMX-BF16 or AVX512-BF16, and this one has neither; take \
         fp32 or auto"
    )]
    Bf16,
    /// fp16, and no card to run it.
    #[error(
        "--precision (UPSCALER_PRECISION) fp16 needs an NVIDIA device, and none is shown here (/dev/nvidia0); take fp32 \
         or auto, or give this container a device"
    )]
    Fp16,
}

/// The pairs to try, fastest first. One that is named is the only one; `auto` has [`Backend::CpuFp32`] at its end, but
/// for a precision that only one provider has.
pub fn wishes(provider: Provider, precision: Precision, hardware: Hardware) -> Result<Vec<Backend>, Unavailable> {
    if let Err(remedy) = provider.has(precision) {
        return Err(Unavailable::Pair { provider: provider.name(), precision: precision.name(), remedy });
    }
    let fits = |backend: &Backend| {
        backend.answers(provider) && (precision == Precision::Auto || backend.precision() == precision)
    };
    let runs = |backend: &Backend| match backend.device() {
        Device::Cpu => true,
        Device::OpenVino => backend.precision() != Precision::Bf16 || hardware.bf16,
        // By name it is tried, whatever the system shows: the session reports what it lacks.
        Device::Cuda => provider == Provider::Cuda || hardware.gpu,
    };
    let mut wishes: Vec<Backend> = ALL.into_iter().filter(fits).filter(runs).collect();
    if provider == Provider::Auto {
        // Nothing behind the baseline is faster than it, and of one device the first is the fastest.
        let end = wishes.iter().position(|backend| *backend == Backend::CpuFp32).map_or(wishes.len(), |at| at + 1);
        wishes.truncate(end);
        wishes.dedup_by_key(|backend| backend.device());
    } else {
        wishes.truncate(1);
    }
    match (wishes.is_empty(), precision) {
        (false, _) => Ok(wishes),
        (true, Precision::Fp16) => Err(Unavailable::Fp16),
        // Every provider has fp32, and fp32 needs nothing of the CPU.
        (true, _) => Err(Unavailable::Bf16),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Hardware = Hardware { bf16: false, gpu: false };
    const BF16: Hardware = Hardware { bf16: true, gpu: false };
    const GPU: Hardware = Hardware { bf16: false, gpu: true };
    const BOTH: Hardware = Hardware { bf16: true, gpu: true };

    #[test]
    fn auto_takes_the_fastest_and_ends_with_the_baseline() {
        use Backend::{CpuFp32, CudaFp16, OpenVinoBf16};
        for (hardware, wanted) in [
            (NOTHING, &[CpuFp32] as &[_]),
            (BF16, &[OpenVinoBf16, CpuFp32]),
            (GPU, &[CudaFp16, CpuFp32]),
            (BOTH, &[CudaFp16, OpenVinoBf16, CpuFp32]),
        ] {
            assert_eq!(wishes(Provider::Auto, Precision::Auto, hardware).as_deref(), Ok(wanted));
        }
    }

    #[test]
    fn a_precision_by_itself_names_what_has_it() {
        let auto = |precision, hardware| wishes(Provider::Auto, precision, hardware);
        assert_eq!(auto(Precision::Fp32, BF16), Ok(vec![Backend::CpuFp32]));
        assert_eq!(auto(Precision::Fp32, BOTH), Ok(vec![Backend::CudaFp32, Backend::CpuFp32]));
        assert_eq!(auto(Precision::Bf16, BOTH), Ok(vec![Backend::OpenVinoBf16]), "never a silent fp32");
        assert_eq!(auto(Precision::Bf16, GPU), Err(Unavailable::Bf16));
        assert_eq!(auto(Precision::Fp16, GPU), Ok(vec![Backend::CudaFp16]));
        assert_eq!(auto(Precision::Fp16, BF16), Err(Unavailable::Fp16));
    }

    #[test]
    fn what_is_named_is_the_only_one() {
        for (provider, hardware, wanted) in [
            (Provider::Cpu, BOTH, Backend::CpuFp32),
            (Provider::OpenVino, BOTH, Backend::OpenVinoBf16),
            (Provider::OpenVino, NOTHING, Backend::OpenVinoFp32),
            (Provider::Cuda, NOTHING, Backend::CudaFp16),
        ] {
            assert_eq!(wishes(provider, Precision::Auto, hardware), Ok(vec![wanted]));
        }
        assert_eq!(wishes(Provider::OpenVino, Precision::Bf16, NOTHING), Err(Unavailable::Bf16));
    }

    #[test]
    fn every_answer_is_what_was_asked_for_and_every_refusal_has_a_remedy() {
        for provider in [Provider::Auto, Provider::Cpu, Provider::OpenVino, Provider::Cuda] {
            for precision in [Precision::Auto, Precision::Fp32, Precision::Bf16, Precision::Fp16] {
                for hardware in [NOTHING, BF16, GPU, BOTH] {
                    match wishes(provider, precision, hardware) {
                        Ok(wishes) => {
                            assert!(!wishes.is_empty());
                            for backend in wishes {
                                assert!(provider == Provider::Auto || backend.answers(provider));
                                assert!(precision == Precision::Auto || backend.precision() == precision);
                                assert!(backend.precision() != Precision::Bf16 || hardware.bf16);
                            }
                        }
                        Err(error) => assert!(error.to_string().contains("; "), "{error}"),
                    }
                }
            }
        }
    }

    #[test]
    fn names_are_those_of_the_settings() {
        for backend in ALL {
            assert_eq!(backend.precision_name(), backend.precision().name());
        }
    }

    #[test]
    fn the_flags_of_a_cpu_are_whole_words() {
        let cpu =
            |flags: &str| multiplies_bf16(&format!("processor\t: 0\nflags\t\t: fpu {flags} sse\nbugs\t: amx_bf16"));
        assert!(cpu("avx512_bf16") && cpu("amx_bf16 amx_tile"));
        assert!(!cpu("avx512bw avx512_bf16x") && !multiplies_bf16(""));
    }

    #[test]
    fn a_card_is_a_numbered_device() {
        let dev = tempfile::tempdir().expect("a temporary folder");
        for name in ["nvidiactl", "nvidia-uvm", "nvidia", "null"] {
            std::fs::write(dev.path().join(name), "").expect("a new file");
        }
        assert!(!shows_gpu(dev.path()), "a driver without a card");
        assert!(!shows_gpu(&dev.path().join("nowhere")));
        std::fs::write(dev.path().join("nvidia0"), "").expect("a new file");
        assert!(shows_gpu(dev.path()));
    }
}
