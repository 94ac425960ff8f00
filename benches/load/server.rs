//! The server under load: this build's binary on a free port, ended with the bench.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use images::units::Scale;
use san_upscaler::config::EngineSettings;

use crate::Failure;

/// A running server.
pub struct Server {
    child: Child,
    address: String,
    model: String,
    /// Kept open, so that the server's words have somewhere to go.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Starts one with these settings and waits until it takes work. Its log goes where the bench's errors go.
    pub fn start(settings: &EngineSettings) -> Result<Self, Failure> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_san-upscaler"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--log-level", "warn", "--deadline", "24h", "--only"])
            .arg(settings.only.join(","));
        command.arg("--models").arg(&settings.models).args(["--model", &settings.model.to_string()]);
        command.args(["--workers", &settings.workers.to_string(), "--threads", &settings.threads.to_string()]);
        command.args(["--max-batch", &settings.scheduler.batch_max.to_string()]);
        command.arg("--max-batch-delay").arg(format!("{}us", settings.scheduler.batch_delay.as_micros()));
        command.args(["--provider", &name(&settings.provider), "--precision", &name(&settings.precision)]);
        command.arg("--gpu-memory").arg(settings.gpu_memory.to_string());
        command.arg("--queue-tiles").arg(settings.scheduler.queue_tiles.to_string());
        command.arg("--memory").arg(settings.scheduler.queue_bytes.to_string());
        if let Some(runtime) = &settings.runtime {
            command.arg("--runtime").arg(runtime);
        }
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("the server's output is piped")?);
        let (mut first, mut second) = (String::new(), String::new());
        stdout.read_line(&mut first)?;
        stdout.read_line(&mut second)?;
        let address = first.trim_end().strip_prefix("listening on ").ok_or("the server did not start; see above")?;
        Ok(Self { child, address: address.to_owned(), model: second.trim_end().to_owned(), _stdout: stdout })
    }

    /// Where images are upscaled.
    pub fn url(&self, scale: Scale) -> String {
        format!("{}?scale={scale}", self.upscale_url())
    }

    /// The same, without a query.
    pub fn upscale_url(&self) -> String {
        format!("{}/v1/upscale", self.address)
    }

    /// Bytes by a field of Linux's `/proc/PID/status`.
    pub fn memory(&self, field: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    }

    /// What the server reports of its model.
    pub fn runs_on(&self) -> &str {
        self.model.rsplit_once(") ").map_or(&self.model, |(_, runs_on)| runs_on)
    }

    /// Tiles in a batch so far.
    pub async fn mean_batch(&self) -> Result<f64, Failure> {
        let text = reqwest::get(format!("{}/metrics", self.address)).await?.text().await?;
        let value =
            |name: &str| -> Option<f64> { text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()) };
        let sums = value("upscaler_batch_tiles_sum ").zip(value("upscaler_batch_tiles_count "));
        Ok(sums.map(|(tiles, batches)| tiles / batches).ok_or("/metrics has no upscaler_batch_tiles")?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing is lost: no request is under way. It may have ended by itself, which the clients report.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn name(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
