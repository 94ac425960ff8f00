//! API keys: `Authorization: Bearer KEY`, asked for under `/v1/` and checked before an upload is read.
//!
//! Health, metrics, pages and the contract are for all: probes and scrapes carry no key, and a page must be loaded
//! before one can be typed into it. None of them tells anything about a picture.
//!
//! A file of keys is read again every few seconds, whatever happened to it. That sees what neither a signal nor a watch
//! on the file does: Kubernetes changes a mounted secret by turning a symbolic link two levels up, and nobody can send a
//! signal into a container without a shell. A file is taken once two readings agree, since one may be half
//! written; one that is wrong or gone leaves the keys as they were, and says so.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::observe::Record;
use super::problem::{Code, Problem};
use super::upload;
use crate::config::{ApiKeys, Settings};

/// How often a file of keys is read.
const REREAD: Duration = Duration::from_secs(2);
/// Bytes of a file of keys at most.
const FILE_BYTES: u64 = 1 << 20;

/// Who is let in; cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate(Option<Arc<Lock>>);

#[derive(Debug)]
struct Lock {
    fixed: Option<ApiKeys>,
    file: Option<PathBuf>,
    current: RwLock<Arc<ApiKeys>>,
    /// What the last reading found, if it was new: a file that is being written is taken once it stands still.
    seen: Mutex<Option<ApiKeys>>,
}

/// What comes of reading the file once more.
#[derive(Debug, PartialEq, Eq)]
enum Reread {
    Same,
    Changing,
    Changed,
    Wrong(String),
}

impl Gate {
    /// By the keys of the settings and of their file; with neither, all are let in.
    ///
    /// # Errors
    /// If the file cannot be read or has no keys in it; the text names it and the remedy.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let (fixed, file) = (settings.api_keys.clone(), settings.api_keys_file.clone());
        let read = file.as_deref().map(|file| read(file).map_err(|what| format!("{}: {what}", file.display())));
        Ok(Self(
            join(fixed.clone(), read.transpose()?).map(|keys| {
                Arc::new(Lock { fixed, file, current: RwLock::new(Arc::new(keys)), seen: Mutex::default() })
            }),
        ))
    }

    /// How many keys there are; `None` if none is asked for.
    pub fn keys(&self) -> Option<usize> {
        self.0.as_ref().map(|lock| lock.keys().count())
    }

    /// Follows the file of keys, if there is one, for as long as the server lives.
    pub async fn follow(self) {
        let Some(lock) = self.0.filter(|lock| lock.file.is_some()) else { return };
        let mut turns = interval(REREAD);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut complaint = None;
        loop {
            turns.tick().await;
            let reader = Arc::clone(&lock);
            // Fails only where the runtime ends.
            let Ok(outcome) = spawn_blocking(move || reader.reread()).await else { return };
            match outcome {
                Reread::Same | Reread::Changing => complaint = None,
                Reread::Changed => {
                    info!(keys = lock.keys().count(), "the API keys changed");
                    complaint = None;
                }
                // Once for each thing that is wrong, and not every few seconds.
                Reread::Wrong(what) if complaint.as_ref() != Some(&what) => {
                    warn!(what, "the file of API keys is not used; those read before hold on");
                    complaint = Some(what);
                }
                Reread::Wrong(_) => {}
            }
        }
    }

    /// The name of the key that the headers carry, if it has one.
    fn admit(&self, headers: &HeaderMap) -> Result<Option<String>, Refused> {
        let Some(lock) = &self.0 else { return Ok(None) };
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let header = given.next().ok_or(Refused::Absent)?;
        let (scheme, key) = header.as_bytes().split_at_checked("Bearer ".len()).ok_or(Refused::Wrong)?;
        if !scheme.eq_ignore_ascii_case(b"Bearer ") || given.next().is_some() {
            return Err(Refused::Wrong);
        }
        lock.keys().find(key.trim_ascii()).map(|name| name.map(ToOwned::to_owned)).ok_or(Refused::Wrong)
    }
}

impl Lock {
    fn keys(&self) -> Arc<ApiKeys> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn reread(&self) -> Reread {
        let read = match self.file.as_deref().map(read).transpose() {
            Ok(read) => read,
            Err(what) => return Reread::Wrong(what),
        };
        let found = join(self.fixed.clone(), read).filter(|keys| *keys != *self.keys());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stands = *seen == found;
        seen.clone_from(&found);
        match found {
            Some(keys) if stands => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                *seen = None;
                Reread::Changed
            }
            Some(_) => Reread::Changing,
            None => Reread::Same,
        }
    }
}

fn join(one: Option<ApiKeys>, other: Option<ApiKeys>) -> Option<ApiKeys> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.joined(other)),
        (one, other) => one.or(other),
    }
}

fn read(file: &Path) -> Result<ApiKeys, String> {
    let mut text = String::new();
    let read = File::open(file).and_then(|file| file.take(FILE_BYTES + 1).read_to_string(&mut text));
    match read {
        Ok(bytes) if bytes as u64 > FILE_BYTES => {
            Err(format!("it has more than {FILE_BYTES} bytes; is it the right file?"))
        }
        Ok(_) => ApiKeys::parse(&text),
        Err(error) => Err(format!("it cannot be read: {error}; name a file that this process may read")),
    }
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Absent,
    Wrong,
}

impl Refused {
    fn problem(self) -> Problem {
        let detail = match self {
            Self::Absent => "this server asks for an API key; send it as Authorization: Bearer KEY",
            Self::Wrong => {
                "the Authorization header holds none of this server's API keys; send one as Authorization: Bearer KEY"
            }
        };
        Problem::new(Code::Unauthorized, detail)
    }

    /// RFC 6750: whoever sent nothing is not told that it was wrong.
    const fn challenge(self) -> &'static str {
        match self {
            Self::Absent => r#"Bearer realm="san-upscaler""#,
            Self::Wrong => r#"Bearer realm="san-upscaler", error="invalid_token""#,
        }
    }
}

/// Surrounds every route that asks for a key.
pub async fn check(
    State(gate): State<Gate>,
    Extension(record): Extension<Arc<Record>>,
    mut request: Request,
    next: Next,
) -> Response {
    match gate.admit(request.headers()) {
        Ok(name) => {
            record.comes_from(name);
            // Nothing further in needs it, so nothing further in can show it.
            request.headers_mut().remove(header::AUTHORIZATION);
            next.run(request).await
        }
        Err(refused) => {
            upload::drain_body(request);
            let mut response = refused.problem().into_response();
            let challenge = HeaderValue::from_static(refused.challenge());
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef";
    const OTHER: &str = "fedcba9876543210";

    fn gate(fixed: Option<&str>, file: Option<PathBuf>) -> Gate {
        let fixed = fixed.map(|text| ApiKeys::parse(text).expect("keys"));
        let read = file.as_deref().map(|file| read(file).expect("keys"));
        let keys = join(fixed.clone(), read).expect("some keys");
        Gate(Some(Arc::new(Lock { fixed, file, current: RwLock::new(Arc::new(keys)), seen: Mutex::default() })))
    }

    fn ask(gate: &Gate, values: &[&str]) -> Result<Option<String>, Refused> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).expect("a header value"));
        }
        gate.admit(&headers)
    }

    fn bearer(gate: &Gate, key: &str) -> bool {
        ask(gate, &[&format!("Bearer {key}")]).is_ok()
    }

    #[test]
    fn only_one_bearer_key_of_the_set_is_let_in() {
        let gate = gate(Some(&format!("shop {KEY},{OTHER}")), None);
        assert_eq!(ask(&gate, &[&format!("Bearer {KEY}")]), Ok(Some("shop".into())));
        assert_eq!(ask(&gate, &[&format!("bEARER  {OTHER} ")]), Ok(None));
        assert_eq!(ask(&gate, &[]), Err(Refused::Absent));
        for wrong in ["", "Bearer", "Bearer ", KEY, "Basic 0123456789abcdef", "Bearer 0123456789abcdeg", "Bearer shop"]
        {
            assert_eq!(ask(&gate, &[wrong]), Err(Refused::Wrong), "{wrong}");
        }
        let twice = format!("Bearer {KEY}");
        assert_eq!(ask(&gate, &[&twice, &twice]), Err(Refused::Wrong), "which of them?");
        assert_eq!(ask(&Gate(None), &[]), Ok(None), "no keys are set");
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_that_kubernetes_changes_is_seen() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        for (version, key) in [("1", KEY), ("2", OTHER)] {
            std::fs::create_dir(at(version)).expect("a folder");
            std::fs::write(at(version).join("keys"), key).expect("a file");
        }
        // keys -> ..data/keys, ..data -> 1: as the kubelet lays it out.
        std::os::unix::fs::symlink("1", at("..data")).expect("a link");
        std::os::unix::fs::symlink("..data/keys", at("keys")).expect("a link");
        let gate = gate(None, Some(at("keys")));
        assert!(bearer(&gate, KEY) && !bearer(&gate, OTHER));
        let lock = gate.0.clone().expect("keys are set");
        assert_eq!(lock.reread(), Reread::Same);
        std::os::unix::fs::symlink("2", at("..new")).expect("a link");
        std::fs::rename(at("..new"), at("..data")).expect("one system call");
        assert_eq!(lock.reread(), Reread::Changing);
        assert_eq!(lock.reread(), Reread::Changed);
        assert!(bearer(&gate, OTHER) && !bearer(&gate, KEY), "the old key is out of use");
    }

    #[test]
    fn a_file_that_is_being_written_is_taken_once_it_stands() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("keys");
        std::fs::write(&file, KEY).expect("a file");
        let gate = gate(None, Some(file.clone()));
        let lock = gate.0.clone().expect("keys are set");
        let whole = [OTHER, "0"].concat();
        let cut = OTHER;
        std::fs::write(&file, cut).expect("a file");
        assert_eq!(lock.reread(), Reread::Changing);
        std::fs::write(&file, &whole).expect("a file");
        assert_eq!(lock.reread(), Reread::Changing, "another one than before");
        assert!(bearer(&gate, KEY) && !bearer(&gate, cut), "as it was");
        assert_eq!(lock.reread(), Reread::Changed);
        assert!(bearer(&gate, &whole) && !bearer(&gate, KEY));
        assert_eq!(lock.reread(), Reread::Same);
    }

    #[test]
    fn a_file_that_is_wrong_or_gone_changes_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("keys");
        std::fs::write(&file, KEY).expect("a file");
        let gate = gate(Some(OTHER), Some(file.clone()));
        let lock = gate.0.clone().expect("keys are set");
        let over = "#".repeat(FILE_BYTES as usize + 1);
        for (content, said) in [("", "no key"), ("short", "5 characters"), (over.as_str(), "bytes")] {
            std::fs::write(&file, content).expect("a file");
            assert!(matches!(lock.reread(), Reread::Wrong(what) if what.contains(said)), "{said}");
            assert!(bearer(&gate, KEY) && bearer(&gate, OTHER));
        }
        std::fs::remove_file(&file).expect("it is there");
        assert!(matches!(lock.reread(), Reread::Wrong(what) if what.contains("read")));
        assert!(bearer(&gate, KEY) && bearer(&gate, OTHER));
    }
}
