//! The binary as an operator meets it: start, settings, health, logs, drain. The built-in bicubic serves, so that no
//! runtime and no model is needed.
#![cfg(unix)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tempfile::TempDir;

const PHOTO: &[u8] = include_bytes!("../docs/sample/astronaut.jpg");

/// The binary with no settings but the built-in model.
fn upscaler(command: &str) -> Command {
    by_command(&[], command)
}

/// The same, started by another command.
fn by_command(by: &[&str], command: &str) -> Command {
    let words: Vec<_> = by.iter().copied().chain([env!("CARGO_BIN_EXE_san-upscaler")]).collect();
    let mut upscaler = Command::new(words[0]);
    upscaler.args(&words[1..]).env_clear().arg(command);
    if command != "health" {
        upscaler.args(["--model", "bicubic", "--only", "bicubic"]);
    }
    upscaler
}

/// Exit code, standard output and standard error of a command that ends by itself.
fn ended(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A server on a free port; killed when dropped.
struct Server {
    child: Child,
    address: String,
    /// Kept open: a server whose output nobody reads is another test's subject.
    stdout: BufReader<ChildStdout>,
    log: PathBuf,
    _folder: TempDir,
}

impl Server {
    fn start(args: &[&str]) -> Self {
        Self::start_by(&[], args)
    }

    /// Started by another command, in front of it.
    fn start_by(by: &[&str], args: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder.path().join("log");
        let mut command = by_command(by, "serve");
        command.args(["--listen", "127.0.0.1:0", "--log-format", "json", "--log-level", "debug"]).args(args);
        command.stdout(Stdio::piped()).stderr(File::create(&log).expect("a new file"));
        let mut child = command.spawn().expect("the binary runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut first = String::new();
        stdout.read_line(&mut first).expect("text");
        let address = first.trim_end().strip_prefix("listening on http://").map(str::to_owned);
        let address =
            address.unwrap_or_else(|| panic!("'{first}', {}", std::fs::read_to_string(&log).unwrap_or_default()));
        Self { child, address, stdout, log, _folder: folder }
    }

    fn signal(&self) {
        self.send("TERM");
    }

    fn send(&self, signal: &str) {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill is there").success());
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it was not waited for before")
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).expect("the port is open")
    }

    /// Status and body of a GET on a connection of its own.
    fn get(&self, path: &str) -> (u16, String) {
        let (status, body) = get(&self.address, path).expect("an answer");
        (status, String::from_utf8(body).expect("UTF-8"))
    }

    /// A request of which all but the last byte was sent. When this returns, the server is at work on it.
    fn half_an_upload(&self) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(post().as_bytes()).expect("the server reads");
        stream.write_all(&PHOTO[..PHOTO.len() - 1]).expect("the server reads");
        until(|| self.get("/metrics").1.contains("\nupscaler_inflight_requests 1\n"));
        stream
    }

    /// The log's lines, each a JSON object.
    fn log(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&self.log).expect("the log is there");
        text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, as most tests want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for what another process does; the runner's time limit ends a wait for good.
fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}

fn post() -> String {
    format!(
        "POST /v1/upscale?scale=2 HTTP/1.1\r\nHost: x\r\nX-Request-Id: photo-1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        PHOTO.len()
    )
}

fn get(address: &str, path: &str) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    // HTTP/1.0: the answer has no chunks and ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n\r\n")?;
    answer(stream)
}

/// Sends the photo; status and body of the answer.
fn upscale(address: &str) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(post().as_bytes())?;
    stream.write_all(PHOTO)?;
    answer(stream)
}

/// Sends the last byte of half an upload, whose answer is whole.
fn finish(mut upload: TcpStream) {
    upload.write_all(&PHOTO[PHOTO.len() - 1..]).expect("the server still reads");
    let (status, body) = answer(upload).expect("an answer");
    assert!(status == 200 && is_whole_png(&body));
}

/// Status and body of an answer that ends with its connection.
fn answer(mut stream: TcpStream) -> std::io::Result<(u16, Vec<u8>)> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
    Ok((status, bytes[end + 4..].to_vec()))
}

/// Whether these are the bytes of a whole PNG, chunked or not.
fn is_whole_png(body: &[u8]) -> bool {
    let has = |needle: &[u8]| body.windows(needle.len()).any(|window| window == needle);
    has(b"\x89PNG\r\n\x1a\n") && has(b"IEND\xaeB\x60\x82")
}

#[test]
fn it_starts_says_where_and_ends_on_a_signal() {
    let mut server = Server::start(&[]);
    assert_eq!(server.get("/health/ready").0, 200);
    assert_eq!(server.get("/health/live").0, 200);

    let health = |address: &str| ended(upscaler("health").args(["--listen", address]));
    let (code, out, _) = health(&server.address);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.starts_with("200 "), "{out}");

    server.signal();
    assert_eq!(server.wait().code(), Some(0));
    let mut rest = String::new();
    server.stdout.read_to_string(&mut rest).expect("text");
    assert!(rest.contains("model bicubic") && rest.contains("on builtin, fp32"), "{rest}");
    assert!(rest.contains(&format!("'http://{}/v1/upscale?scale=4' -o large.png", server.address)), "{rest}");

    let (code, _, err) = health(&server.address);
    assert_eq!(code, Some(1));
    assert!(err.contains("is the server running there?"), "{err}");
}

#[test]
fn a_request_makes_one_line_of_log_with_its_id() {
    let mut server = Server::start(&[]);
    assert_eq!(upscale(&server.address).expect("an answer").0, 200);
    server.signal();
    server.wait();
    let lines: Vec<_> = server.log().into_iter().filter(|line| line["message"] == "request").collect();
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(
        (&line["request_id"], &line["status"], &line["level"]),
        (&"photo-1".into(), &200.into(), &"INFO".into())
    );
}

#[test]
fn metrics_move_to_their_own_port() {
    let server = Server::start(&["--metrics-listen", "127.0.0.1:0"]);
    let said = |line: &serde_json::Value| line["message"] == "metrics have a port of their own";
    // It is written by a thread of its own.
    until(|| server.log().iter().any(said));
    let log = server.log();
    let line = log.iter().find(|line| said(line)).expect("it is said");
    let scrape = line["address"].as_str().expect("an address");
    assert_eq!(server.get("/metrics").0, 404);
    let (status, text) = get(scrape, "/metrics").expect("an answer");
    assert_eq!(status, 200);
    assert!(String::from_utf8_lossy(&text).contains("\nupscaler_ready 1\n"));
    assert_eq!(get(scrape, "/v1/models").expect("an answer").0, 404, "and nothing else is there");
}

#[test]
fn a_wrong_setting_is_reported_before_anything_starts() {
    for (value, what) in [
        ("25 apples", "invalid value '25 apples' for '--max-body <SIZE>': not a number of bytes; write it like 25MB"),
        ("", "'--max-body <SIZE>'"),
        ("900TB", "--max-body (UPSCALER_MAX_BODY) is '900.0 TB': no such upload fits into the memory budget"),
    ] {
        let (code, out, err) = ended(upscaler("serve").env("UPSCALER_MAX_BODY", value));
        assert_eq!((code, out.as_str()), (Some(2), ""));
        assert!(err.contains(what), "{what} is not in: {err}");
    }
}

#[test]
fn a_taken_port_is_reported_with_the_remedy() {
    let server = Server::start(&[]);
    let (code, out, err) = ended(upscaler("serve").args(["--listen", &server.address]));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains(&server.address) && err.contains("UPSCALER_LISTEN"), "{err}");
}

#[test]
fn models_are_listed_for_people_and_for_programs() {
    let (code, out, _) = ended(&mut upscaler("models"));
    assert_eq!(code, Some(0));
    assert!(out.contains("bicubic (default)") && out.contains("builtin, fp32"), "{out}");
    let (code, out, _) = ended(upscaler("models").arg("--json"));
    let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &json["default"]), (Some(0), &"bicubic".into()));
}

#[test]
fn a_drain_finishes_what_is_under_way_and_refuses_the_rest() {
    let mut server = Server::start(&[]);
    let upload = server.half_an_upload();
    server.signal();
    until(|| server.get("/health/ready").0 == 503);
    assert_eq!(server.get("/health/live").0, 200);
    // Readiness falls a moment before refusing begins; until then a request is served.
    until(|| {
        let (status, body) = upscale(&server.address).expect("an answer");
        assert!(status == 200 || String::from_utf8_lossy(&body).contains(r#""code":"draining""#), "{status}");
        status == 503
    });

    finish(upload);
    assert_eq!(server.wait().code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_hangup_drains_too() {
    // Whatever the tests themselves were started by.
    let mut server = Server::start_by(&["env", "--default-signal=HUP"], &[]);
    let upload = server.half_an_upload();
    server.send("HUP");
    until(|| server.get("/health/ready").0 == 503);
    finish(upload);
    assert_eq!(server.wait().code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_hangup_that_is_ignored_stays_so() {
    let mut server = Server::start_by(&["nohup"], &[]);
    server.send("HUP");
    assert_eq!(server.get("/health/ready").0, 200);
    server.signal();
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.log().iter().all(|line| line["signal"] != "SIGHUP"));
}

#[cfg(target_os = "linux")]
#[test]
fn without_file_descriptors_it_logs_once_a_second_and_goes_on() {
    let server = Server::start_by(&["prlimit", "--nofile=40"], &[]);
    let began = Instant::now();
    let connections: Vec<_> = (0..60).map(|_| server.connect()).collect();
    let lines = || server.log().into_iter().filter(|line| line["message"] == "no connection can be accepted").count();
    // The second line covers all that came in the second before it.
    until(|| lines() >= 2);
    let (lines, seconds) = (lines() as u64, began.elapsed().as_secs());
    assert!(lines <= seconds + 1, "{lines} lines in {seconds} s");
    drop(connections);
    assert_eq!(server.get("/health/ready").0, 200);
}

#[test]
fn within_the_grace_it_still_serves() {
    let server = Server::start(&["--drain-grace", "1h", "--drain-cap", "2h"]);
    server.signal();
    until(|| server.get("/health/ready").0 == 503);
    assert_eq!(upscale(&server.address).expect("an answer").0, 200);
}

#[test]
fn a_second_signal_and_the_cap_end_it_at_once() {
    for flags in [&[][..], &["--drain-cap", "100ms"]] {
        let mut server = Server::start(flags);
        let _upload = server.half_an_upload();
        server.signal();
        if flags.is_empty() {
            until(|| server.get("/health/ready").0 == 503);
            server.signal();
        }
        assert_eq!(server.wait().code(), Some(1), "a request was cut off");
    }
}

#[test]
fn no_accepted_request_is_lost_under_load() {
    let mut server = Server::start(&[]);
    let ended = AtomicBool::new(false);
    let answered = std::thread::scope(|scope| {
        let client = || {
            let mut answered = 0;
            while !ended.load(Ordering::Relaxed) {
                match upscale(&server.address) {
                    Ok((200, body)) => {
                        assert!(is_whole_png(&body), "an answer was cut off");
                        answered += 1;
                    }
                    Ok((status, _)) => assert_eq!(status, 503, "refused, and not lost"),
                    // Nobody took the connection from the port's queue: its request was never read.
                    Err(_) => break,
                }
            }
            answered
        };
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(client)).collect();
        until(|| server.get("/metrics").1.contains(r#"upscaler_requests_total{route="/v1/upscale",status="200"}"#));
        server.signal();
        let answered = clients.into_iter().map(|client| client.join().expect("no answer was cut off")).sum::<usize>();
        ended.store(true, Ordering::Relaxed);
        answered
    });
    assert!(answered > 0);
    assert_eq!(server.wait().code(), Some(0));
    let cut = server.log().into_iter().filter(|line| line["outcome"] == "cut_off" || line["status"] == 499).count();
    assert_eq!(cut, 0);
}

#[test]
fn a_log_that_is_full_closed_or_not_read_harms_nobody() {
    for broken in ["full", "closed", "not read"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let reader = (broken == "not read").then_some(reader);
        let stderr = if broken == "full" {
            Stdio::from(File::options().write(true).open("/dev/full").expect("a device of Linux"))
        } else {
            Stdio::from(writer)
        };
        let mut command = upscaler("serve");
        command.args(["--listen", "127.0.0.1:0", "--log-level", "trace"]).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().expect("the binary runs");
        drop(command);
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("text");
        let address = first.trim_end().strip_prefix("listening on http://").expect("it starts").to_owned();
        // A pipe holds 64 KiB, and each of these makes a line.
        for _ in 0..1000 {
            assert_eq!(get(&address, "/health/live").expect("an answer").0, 200, "{broken}");
        }
        let (status, body) = get(&address, "/v1/models").expect("an answer");
        assert!(status == 200 && !body.is_empty(), "{broken}");
        if broken != "not read" {
            until(|| {
                let (_, text) = get(&address, "/metrics").expect("an answer");
                !String::from_utf8_lossy(&text).contains("\nupscaler_log_lines_dropped_total 0\n")
            });
        }
        let sent = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status();
        assert!(sent.expect("kill is there").success());
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{broken}");
        drop(reader);
    }
}
