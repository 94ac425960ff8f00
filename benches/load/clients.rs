//! Clients that send one photograph after the other, and what became of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use images::units::{Scale, Size};
use reqwest::Client;
use tiling::TileBounds;

use crate::Failure;
use crate::photos::Photo;

/// A load on a server.
pub struct Load {
    /// Where images are upscaled.
    pub url: String,
    /// At once.
    pub clients: usize,
    /// Before what counts.
    pub lead: Duration,
    /// What counts.
    pub window: Duration,
    /// Asked for.
    pub scale: Scale,
}

/// One answer with a whole image.
pub struct Answer {
    /// Index of the photograph.
    pub photo: usize,
    began: Instant,
    ended: Instant,
}

impl Answer {
    /// From the first byte sent to the last received.
    pub fn took(&self) -> Duration {
        self.ended - self.began
    }
}

/// What became of a load.
pub struct Outcome {
    /// Those that touch the window.
    pub answers: Vec<Answer>,
    /// Why the others are none.
    pub failures: Vec<String>,
    window: (Instant, Instant),
}

impl Outcome {
    /// Each answer's photograph and the part of its time that lies in the window: so many of its pixels count. No
    /// client is idle in the window, and no answer at its edge is counted whole or left out.
    pub fn shares<'a>(&'a self, photos: &'a [Photo]) -> impl Iterator<Item = (&'a Photo, f64)> {
        let (from, to) = self.window;
        self.answers.iter().map(move |answer| {
            let inside = answer.ended.min(to).saturating_duration_since(answer.began.max(from));
            (&photos[answer.photo], inside.as_secs_f64() / answer.took().as_secs_f64())
        })
    }
}

impl Load {
    /// Runs it.
    pub async fn run(&self, photos: Arc<Vec<Photo>>) -> Result<Outcome, Failure> {
        let (next, client) = (Arc::new(AtomicUsize::new(0)), Client::new());
        let from = Instant::now() + self.lead;
        let to = from + self.window;
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..self.clients {
            let (photos, next, client) = (Arc::clone(&photos), Arc::clone(&next), client.clone());
            let (url, scale) = (self.url.clone(), self.scale);
            running.spawn(async move {
                let (mut answers, mut failures) = (Vec::new(), Vec::new());
                while Instant::now() < to {
                    let photo = next.fetch_add(1, Ordering::Relaxed) % photos.len();
                    let began = Instant::now();
                    match send(&client, &url, photos[photo].file.clone(), photos[photo].size.scaled(scale)).await {
                        Ok(()) => answers.push(Answer { photo, began, ended: Instant::now() }),
                        Err(failure) => failures.push(failure.to_string()),
                    }
                }
                (answers, failures)
            });
        }
        let mut outcome = Outcome { answers: Vec::new(), failures: Vec::new(), window: (from, to) };
        while let Some(ended) = running.join_next().await {
            let (answers, failures) = ended?;
            outcome.answers.extend(answers.into_iter().filter(|answer| answer.ended > from));
            outcome.failures.extend(failures);
        }
        Ok(outcome)
    }
}

/// Sends one image and reads the whole answer.
async fn send(client: &Client, url: &str, file: Bytes, expected: Size) -> Result<(), Failure> {
    let response = client.post(url).body(file).send().await?;
    let status = response.status();
    let body = response.bytes().await?;
    if !status.is_success() {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
    }
    let side = |at: usize| body.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes);
    // Width and height of a PNG; its last chunk is IEND.
    let (size, whole) = (Size::new(side(16), side(20)), body.ends_with(b"IEND\xaeB\x60\x82"));
    if size == expected && whole { Ok(()) } else { Err(format!("an answer of {size}, whole: {whole}").into()) }
}

/// Median times of a 64x64 upload.
pub struct Small {
    /// Nothing else is done.
    pub idle: Duration,
    /// A 2000x2000 image is worked on.
    pub busy: Duration,
}

/// Times small uploads, first alone, then beside a large one that is given up at the end.
pub async fn small_beside_large(load: &Load, count: usize) -> Result<Small, Failure> {
    // Which tiles the server cuts does not matter here.
    let any = TileBounds::square(64, 4);
    let small = Photo::new(Size::new(64, 64), &any)?;
    let large = Photo::new(Size::new(2000, 2000), &any)?;
    let client = Client::new();
    let idle = median(&client, load, &small, count).await?;

    let (url, file, expected) = (load.url.clone(), large.file.clone(), large.size.scaled(load.scale));
    let work = tokio::spawn({
        let client = client.clone();
        async move { send(&client, &url, file, expected).await.map_err(|failure| failure.to_string()) }
    });
    // Until it is decoded and its tiles run.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let busy = median(&client, load, &small, count).await?;
    if work.is_finished() {
        return Err(format!("the 2000x2000 image ended too early: {:?}", work.await?).into());
    }
    work.abort();
    Ok(Small { idle, busy })
}

async fn median(client: &Client, load: &Load, photo: &Photo, count: usize) -> Result<Duration, Failure> {
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        send(client, &load.url, photo.file.clone(), photo.size.scaled(load.scale)).await?;
        took.push(began.elapsed().as_secs_f64());
    }
    took.sort_by(f64::total_cmp);
    quantile(&took, 0.5).map(Duration::from_secs_f64).ok_or_else(|| "--small must be at least 1".into())
}

/// Of sorted values, the smallest that `q` of them do not exceed.
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}
