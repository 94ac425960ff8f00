//! Files in, and results out under a temporary name until they are whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::pipeline::PipelineError;

/// A whole file.
pub(super) async fn read(path: PathBuf) -> Result<Bytes, String> {
    let read = spawn_blocking(move || fs::read(path)).await.map_err(|error| error.to_string())?;
    read.map(Bytes::from).map_err(|error| format!("cannot be read: {error}"))
}

/// Writes an answer into `path` as its bytes come; folders are made. On any failure, or a stop, nothing is there that
/// was not there before.
pub(super) async fn write(
    body: mpsc::Receiver<Result<Bytes, PipelineError>>,
    path: PathBuf,
    stop: CancellationToken,
) -> Result<(), String> {
    spawn_blocking(move || drain(body, &path, &stop)).await.map_err(|error| error.to_string())?
}

fn drain(
    mut body: mpsc::Receiver<Result<Bytes, PipelineError>>,
    path: &Path,
    stop: &CancellationToken,
) -> Result<(), String> {
    let unwritable = |error: io::Error| format!("{} cannot be written: {error}", path.display());
    let mut partial = Partial::beside(path).map_err(unwritable)?;
    while let Some(chunk) = body.blocking_recv() {
        if stop.is_cancelled() {
            return Err("stopped".into());
        }
        partial.file.write_all(&chunk.map_err(|error| error.to_string())?).map_err(unwritable)?;
    }
    partial.becomes(path).map_err(unwritable)
}

/// A file that vanishes unless it is finished.
struct Partial {
    file: File,
    path: Option<PathBuf>,
}

impl Partial {
    /// In the same folder, since only there a rename is one step.
    fn beside(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.partial", std::process::id()));
        let path = path.with_file_name(name);
        Ok(Self { file: File::create(&path)?, path: Some(path) })
    }

    fn becomes(mut self, path: &Path) -> io::Result<()> {
        // A full disk is sometimes reported only now.
        self.file.sync_all()?;
        if let Some(partial) = &self.path {
            fs::rename(partial, path)?;
        }
        self.path = None;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // Nothing better can be done with a file that cannot be removed.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
    }

    async fn written(chunks: Vec<Result<Bytes, PipelineError>>, path: &Path, stop: bool) -> Result<(), String> {
        let (send, body) = mpsc::channel(8);
        for chunk in chunks {
            send.send(chunk).await.expect("room");
        }
        drop(send);
        let token = CancellationToken::new();
        if stop {
            token.cancel();
        }
        write(body, path.to_owned(), token).await
    }

    #[tokio::test]
    async fn a_result_appears_whole_and_replaces_an_older_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("new/a.png");
        for text in ["one", "other"] {
            let (a, b) = text.split_at(2);
            let chunks = [a, b].map(|part| Ok(Bytes::copy_from_slice(part.as_bytes())));
            written(chunks.into(), &path, false).await.expect("written");
            assert_eq!(fs::read_to_string(&path).expect("there"), text);
        }
        assert_eq!(names(&dir.path().join("new")), ["a.png"]);
    }

    #[tokio::test]
    async fn a_result_that_breaks_off_or_is_stopped_leaves_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.png");
        let broken = vec![Ok(Bytes::from_static(b"half")), Err(PipelineError::Internal("for the test".into()))];
        assert_eq!(written(broken, &path, false).await, Err("for the test".into()));
        assert_eq!(written(vec![Ok(Bytes::from_static(b"half"))], &path, true).await, Err("stopped".into()));
        assert!(names(dir.path()).is_empty());
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("file"), b"").expect("a file");
        let path = dir.path().join("file/a.png");
        let error = written(vec![], &path, false).await.expect_err("a file is no folder");
        assert!(error.contains("a.png cannot be written"), "{error}");
    }

    #[tokio::test]
    async fn a_missing_input_says_so() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(read(dir.path().join("gone")).await.expect_err("not there").contains("cannot be read"));
    }
}
