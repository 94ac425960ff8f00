//! Asks a running server whether it is ready; for containers without curl.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use axum::http::Uri;
use clap::Args as ClapArgs;

use super::failure::Failure;
use crate::config::parse;

/// Bytes of an answer that are read at most; a health document has a few hundred.
const ANSWER_MAX: u64 = 64 << 10;

/// What `health` takes.
#[derive(ClapArgs, Clone, Debug)]
pub struct Args {
    /// What to ask [default: the readiness of the server at --listen]
    #[arg(long, env = "UPSCALER_URL", value_name = "URL", value_parser = url)]
    pub url: Option<Uri>,
    /// Where the server listens; the same variable as of `serve`, so that both agree in a container
    #[arg(
        long,
        env = "UPSCALER_LISTEN",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:8080",
        value_parser = parse::address
    )]
    pub listen: SocketAddr,
    /// How long to wait for the answer
    #[arg(long, env = "UPSCALER_TIMEOUT", value_name = "TIME", default_value = "5s", value_parser = parse::timeout)]
    pub timeout: Duration,
}

/// Prints the server's answer; success if it answers with 2xx.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let url = match &args.url {
        Some(url) => url.clone(),
        None => ready_url(args.listen)?,
    };
    match get(&url, args.timeout) {
        Ok((status, body)) => {
            println!("{status} {}", body.trim());
            Ok(if (200..300).contains(&status) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(error) => Err(Failure::Other(format!("{url} gives no answer: {error}; is the server running there?"))),
    }
}

fn url(text: &str) -> Result<Uri, String> {
    let uri: Uri =
        text.parse().map_err(|_| "not a URL; write it like http://127.0.0.1:8080/health/ready".to_owned())?;
    if uri.scheme_str() == Some("http") && uri.host().is_some() {
        Ok(uri)
    } else {
        Err("only plain http:// can be asked; name the server itself, not the proxy before it".into())
    }
}

/// Readiness at a listening address. One for all interfaces is asked on the loopback.
fn ready_url(listen: SocketAddr) -> Result<Uri, Failure> {
    url(&format!("http://{}/health/ready", reachable(listen))).map_err(Failure::Other)
}

/// Where the server can be asked from this machine: an address for all interfaces is none to connect to.
pub(super) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    address
}

/// Status and body of a GET. HTTP/1.0, so that the answer has no chunks to undo and ends with the connection.
fn get(url: &Uri, timeout: Duration) -> std::io::Result<(u16, String)> {
    let began = Instant::now();
    let left = || match timeout.checked_sub(began.elapsed()) {
        Some(left) if !left.is_zero() => Ok(left),
        _ => Err(std::io::Error::from(std::io::ErrorKind::TimedOut)),
    };
    let host = url.host().unwrap_or_default();
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let address = (name, url.port_u16().unwrap_or(80)).to_socket_addrs()?.next();
    let address = address.ok_or_else(|| std::io::Error::other(format!("'{host}' has no address")))?;

    let mut stream = TcpStream::connect_timeout(&address, left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    // In one piece: a server may answer and close on the first that it reads.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: san-upscaler-health\r\n\r\n");
    stream.write_all(request.as_bytes())?;

    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while (answer.len() as u64) < ANSWER_MAX {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut buffer)? {
            0 => break,
            n => answer.extend_from_slice(&buffer[..n]),
        }
    }
    parse_answer(&String::from_utf8_lossy(&answer)).ok_or_else(|| std::io::Error::other("the answer is not HTTP"))
}

/// Status and body of an answer.
fn parse_answer(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut words = head.split(' ');
    let status = words.next().filter(|version| version.starts_with("HTTP/1.")).and(words.next())?;
    Some((status.trim().parse().ok()?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_listening_address_is_asked_where_it_can_be_reached() {
        for (listen, asked) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080/health/ready"),
            ("0.0.0.0:80", "http://127.0.0.1:80/health/ready"),
            ("[::]:80", "http://[::1]:80/health/ready"),
        ] {
            let url = ready_url(listen.parse().expect("an address")).expect(listen);
            assert_eq!(url.to_string(), asked);
        }
    }

    #[test]
    fn only_plain_http_is_asked() {
        assert!(url("http://upscaler:8080/health/live").is_ok());
        for wrong in ["https://upscaler/health/live", "/health/live", "upscaler:8080", "http://"] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(parse_answer("HTTP/1.1 200 OK\r\na: b\r\n\r\nready"), Some((200, "ready".into())));
        assert_eq!(parse_answer("HTTP/1.0 503\r\n\r\n"), Some((503, String::new())));
        for wrong in ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0\r\n\r\n", "HTTP/1.1 fine\r\n\r\n"] {
            assert_eq!(parse_answer(wrong), None, "{wrong}");
        }
    }

    /// A server that answers one request with this, then ends.
    fn answering(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/health/ready?x=1", listener.local_addr().expect("bound"));
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut asked = vec![0; 1024];
            let n = stream.read(&mut asked).expect("a request");
            stream.write_all(answer.as_bytes()).expect("the client reads");
            String::from_utf8_lossy(&asked[..n]).into_owned()
        });
        (url, server)
    }

    #[test]
    fn a_server_is_asked() {
        let (url, server) = answering("HTTP/1.1 503 Service Unavailable\r\n\r\nloading");
        let got = get(&url.parse().expect("a URL"), Duration::from_secs(30)).expect("an answer");
        assert_eq!(got, (503, "loading".into()));
        let asked = server.join().expect("the server ends");
        assert!(asked.starts_with("GET /health/ready?x=1 HTTP/1.0\r\nHost: 127.0.0.1"), "{asked}");
    }

    #[test]
    fn nobody_there_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("bound"));
        // Bound but never accepted: the connection is open, and no answer comes.
        let error = get(&url.parse().expect("a URL"), Duration::from_millis(50)).expect_err("no answer");
        assert!(matches!(error.kind(), std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock), "{error}");
        drop(listener);
        assert!(get(&url.parse().expect("a URL"), Duration::from_secs(30)).is_err());
    }
}
