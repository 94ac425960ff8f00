//! The real binary on a free port, and images to send it.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod collector;

use std::io::{BufRead, BufReader, Cursor};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use image::{ImageFormat, RgbImage};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// How long a test waits for what must come: far more than it takes, so that only a defect meets it.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A server, of bicubic alone if nothing else is said: that needs no ONNX Runtime.
pub struct Server {
    child: Child,
    /// `127.0.0.1:<port>`.
    pub address: String,
    /// Keeps connections apart: each request has its own.
    pub client: Client,
    /// An empty folder of models, and the log.
    folder: TempDir,
}

impl Server {
    /// Starts it and waits until it takes work.
    pub fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let models = folder.path().join("models");
        std::fs::create_dir(&models).expect("a folder for models");
        Self::launch(folder, &models, "bicubic", flags)
            .unwrap_or_else(|log| panic!("it should say where it listens:\n{log}"))
    }

    /// Starts one of a network that is shipped and waits until it takes work; its log if it ends before.
    pub async fn of_network(model: &str) -> Result<Self, String> {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        Self::of_models(&models, model, &["--only", model]).await
    }

    /// Starts one of the models in a folder and waits until it takes work; its log if it ends before.
    pub async fn of_models(models: &Path, model: &str, flags: &[&str]) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = Self::launch(folder, models, model, flags)?;
        let poll = async {
            while server.child.try_wait().expect("it is our child").is_none() {
                let answer = server.client.get(server.url("/health/ready")).send().await;
                if answer.is_ok_and(|answer| answer.status() == 200) {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            false
        };
        let ready = tokio::time::timeout(PATIENCE, poll).await.expect("it is ready or ends");
        if ready { Ok(server) } else { Err(server.log_text()) }
    }

    fn launch(folder: TempDir, models: &Path, model: &str, flags: &[&str]) -> Result<Self, String> {
        let log = std::fs::File::create(folder.path().join("log")).expect("a file for the log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_san-upscaler"))
            .args(["serve", "--listen", "127.0.0.1:0", "--model", model, "--log-format", "json", "--models"])
            .arg(models)
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("its output is text");
        // The rest is read by nobody, and short enough for the pipe.
        let address = line.trim().strip_prefix("listening on http://").map(str::to_owned);
        let Some(address) = address else {
            // It has ended, or prints what it should not.
            let _ = child.kill();
            let _ = child.wait();
            return Err(line + &std::fs::read_to_string(folder.path().join("log")).unwrap_or_default());
        };
        let client = Client::builder().pool_max_idle_per_host(0).timeout(PATIENCE).no_proxy().build();
        Ok(Self { child, address, client: client.expect("a client"), folder })
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.expect("an answer")
    }

    pub fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.client.post(self.url(path)).body(body)
    }

    /// Sends an image and gives its answer.
    pub async fn upscale(&self, query: &str, body: impl Into<reqwest::Body>) -> Response {
        self.post(&format!("/v1/upscale?{query}"), body).send().await.expect("an answer")
    }

    /// A bare connection, for what a well-behaved client would not do.
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.expect("the port is open")
    }

    /// Sends a head with this request line and these headers, and nothing else.
    pub async fn send_head(&self, line: &str, headers: &str) -> TcpStream {
        let mut stream = self.connect().await;
        let head = format!("{line} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.expect("the server reads");
        stream
    }

    /// The value of a metric, all its series summed whose labels contain `labels`.
    pub async fn metric(&self, name: &str, labels: &str) -> f64 {
        let text = self.get("/metrics").await.text().await.expect("text");
        let series = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(labels)
        });
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until a metric is what it should become.
    pub async fn until_metric(&self, name: &str, labels: &str, is: impl Fn(f64) -> bool) -> f64 {
        let poll = async {
            loop {
                let value = self.metric(name, labels).await;
                if is(value) {
                    return value;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, poll).await.unwrap_or_else(|_| panic!("{name}{{{labels}}} never came about"))
    }

    /// Sends a signal, e.g. `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill is there").success(), "kill -{name}");
    }

    /// A figure of `/proc/<pid>/status` in bytes, e.g. `VmHWM`, the peak of resident memory.
    pub fn memory(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).expect("a figure");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let poll = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("it is our child") {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, poll).await.expect("it ends")
    }

    /// Its log so far, as it was written.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("a log")
    }

    /// The lines of its log so far.
    pub fn log(&self) -> Vec<Value> {
        self.log_text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for a line of the log, and gives all so far: a thread of its own writes them, after the answers.
    pub async fn log_until(&self, is: impl Fn(&Value) -> bool) -> Vec<Value> {
        let poll = async {
            loop {
                let lines = self.log();
                if lines.iter().any(&is) {
                    return lines;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, poll).await.unwrap_or_else(|_| panic!("no such line in {:?}", self.log()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Either fails only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Noise that no encoder makes small, the same for the same size.
pub fn noise(width: u32, height: u32) -> RgbImage {
    let mut state = 0x2545_f491_u32 ^ (width << 16) ^ height;
    RgbImage::from_fn(width, height, |_, _| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        image::Rgb(state.to_le_bytes()[..3].try_into().expect("three bytes"))
    })
}

/// An image with edges and a gradient.
pub fn drawing(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let inside = (x * 2).abs_diff(width) + (y * 2).abs_diff(height) < width.min(height);
        image::Rgb([if inside { 220 } else { 30 }, (x * 255 / width) as u8, (y * 255 / height) as u8])
    })
}

/// As the bytes of a file.
pub fn file(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("memory takes it");
    bytes.into_inner()
}

/// As a PNG.
pub fn png(image: &RgbImage) -> Vec<u8> {
    file(image, ImageFormat::Png)
}

/// Reads an answer that must be an image.
pub async fn image(response: Response) -> RgbImage {
    let status = response.status();
    let bytes = response.bytes().await.expect("a whole body");
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
    image::load_from_memory(&bytes).expect("an image").into_rgb8()
}

/// Reads an answer that must be a problem document, and holds it to what every one of them has.
pub async fn problem(response: Response) -> Value {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let bytes = response.bytes().await.expect("a whole body");
    let text = String::from_utf8_lossy(&bytes);
    assert_eq!(headers["content-type"], "application/problem+json", "{status} {text}");
    let document: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(document["status"], status, "{document}");
    assert_eq!(document["request_id"], headers["x-request-id"].to_str().expect("text"), "{document}");
    assert_eq!(document["type"], format!("/docs#{}", document["code"].as_str().expect("a code")));
    assert!(document["title"].is_string() && document["detail"].is_string(), "{document}");
    if matches!(status, 429 | 503) {
        let after: u64 = headers["retry-after"].to_str().expect("text").parse().expect("whole seconds");
        assert!(after >= 1, "{document}");
    }
    if matches!(status, 413 | 429) {
        let number = |field: &str| document[field].as_f64().unwrap_or_else(|| panic!("{field}: {document}"));
        let (actual, limit) = (number("actual"), number("limit"));
        assert!(actual >= limit && limit > 0.0 && document["limit_name"].is_string(), "{document}");
    }
    for inside in ["/work", "/home", "src/", ".rs", "onnx", "panick"] {
        assert!(!text.contains(inside), "'{inside}' in {document}");
    }
    document
}

/// Reads an answer that must be this problem.
pub async fn refused(response: Response, status: u16, code: &str) -> Value {
    let document = problem(response).await;
    assert_eq!(
        (document["status"].as_u64(), document["code"].as_str()),
        (Some(status.into()), Some(code)),
        "{document}"
    );
    document
}
