//! Whether the server gives its memory back: a mixed load of large images, then rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use images::units::Size;
use reqwest::Client;
use tiling::TileBounds;

use crate::Failure;
use crate::photos::Photo;
use crate::server::Server;

/// What the server may still hold above its start after [`REST`].
const KEPT: u64 = 150_000_000;
const REST: Duration = Duration::from_secs(30);
/// Sides of the images, and what becomes of each: decoders and encoders by themselves, and tiles of the network.
const SIDES: [u32; 3] = [3000, 1500, 300];
const QUERIES: [&str; 5] =
    ["scale=1&format=png", "scale=1&format=jpeg", "scale=1&format=webp", "scale=1&format=tiff", "scale=2&deadline=5"];

/// Bytes of memory of the server's process.
pub struct Memory {
    idle: u64,
    loaded: u64,
    rested: u64,
    peak: u64,
}

impl Memory {
    /// Puts a mixed load on a server that has done nothing yet, then waits. `None` where the system reports no memory.
    pub async fn measure(server: &Server, clients: usize, time: Duration) -> Result<Option<Self>, Failure> {
        let Some(idle) = server.memory("VmRSS") else { return Ok(None) };
        load(server, clients, time).await?;
        let loaded = server.memory("VmRSS").ok_or("the server ended under load")?;
        tokio::time::sleep(REST).await;
        let value = |field| server.memory(field).ok_or("the server ended while idle");
        Ok(Some(Self { idle, loaded, rested: value("VmRSS")?, peak: value("VmHWM")? }))
    }

    /// Prints it; fails if too much was kept.
    pub fn report(&self) -> Result<(), Failure> {
        let [idle, loaded, rested, peak] = [self.idle, self.loaded, self.rested, self.peak].map(|bytes| bytes >> 20);
        println!(
            "memory: {idle} MiB idle, {loaded} after a mixed load, {rested} after {} s of rest, {peak} at the peak",
            REST.as_secs()
        );
        let kept = self.rested.saturating_sub(self.idle);
        if kept <= KEPT {
            return Ok(());
        }
        Err(format!("{kept} bytes were kept; at most {KEPT} should be").into())
    }
}

/// Clients that send one image after the other. Refusals count as answers: a full memory budget is part of the load.
async fn load(server: &Server, clients: usize, time: Duration) -> Result<(), Failure> {
    let any = TileBounds::square(64, 4);
    let images = SIDES.map(|side| Photo::new(Size::new(side, side), &any));
    let images: Vec<_> = images.into_iter().collect::<Result<_, _>>()?;
    let (images, next) = (Arc::new(images), Arc::new(AtomicUsize::new(0)));
    let until = Instant::now() + time;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..clients {
        let (images, next, url) = (Arc::clone(&images), Arc::clone(&next), server.upscale_url());
        running.spawn(async move {
            let client = Client::new();
            while Instant::now() < until {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                let (image, query) = (&images[turn % images.len()], QUERIES[turn % QUERIES.len()]);
                let answer = client.post(format!("{url}?{query}")).body(image.file.clone()).send().await?;
                answer.bytes().await?;
            }
            Ok::<_, reqwest::Error>(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}
