//! How long a decode goes on after its request has ended: `cargo bench -p images --bench interrupt -- FILE...`
//!
//! Decodes each file once to its end, then interrupts it at evenly spaced times and prints the longest it went on, in
//! CPU time of its thread, so that a busy machine does not matter. Linux alone.

use std::error::Error;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use images::{InputLimits, Interrupt, open};

/// Those of a server that was given no others.
const LIMITS: InputLimits = InputLimits { input_pixels: 16 << 20, output_pixels: 256 << 20 };
/// Interruptions of each file.
const TIMES: u32 = 20;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    println!("{:<32} {:>10} {:>14} {:>14}", "file", "megapixels", "decodes for ms", "goes on for ms");
    for path in std::env::args().skip(1).filter(|argument| argument != "--bench") {
        let file = Bytes::from(std::fs::read(&path)?);
        let size = open(file.clone(), &LIMITS, None, &Interrupt::default())?.probe.size;
        let decode = |interrupt: &Interrupt| open(file.clone(), &LIMITS, None, interrupt)?.decode();
        let (begun, began) = (cpu_time(&own_task()?)?, Instant::now());
        decode(&Interrupt::default())?;
        let (whole, took) = (cpu_time(&own_task()?)?.saturating_sub(begun), began.elapsed());
        let mut longest = Duration::ZERO;
        for time in 0..TIMES {
            let (interrupt, (send, receive)) = (Interrupt::default(), mpsc::channel());
            let went_on = thread::scope(|scope| {
                let decoding = scope.spawn(|| {
                    let task = own_task()?;
                    send.send(task.clone())?;
                    let _ = decode(&interrupt);
                    cpu_time(&task)
                });
                let task = receive.recv()?;
                thread::sleep(took * time / TIMES);
                // It may have ended before.
                let before = cpu_time(&task).ok();
                interrupt.set();
                let after = decoding.join().map_err(|_| "the decode panicked")??;
                Ok::<_, Failure>(before.map(|before| after.saturating_sub(before)))
            });
            longest = longest.max(went_on?.unwrap_or_default());
        }
        let megapixels = size.pixels() as f64 / f64::from(1 << 20);
        let (whole, longest) = (whole.as_secs_f64() * 1e3, longest.as_secs_f64() * 1e3);
        println!("{path:<32} {megapixels:>10.1} {whole:>14.0} {longest:>14.0}");
    }
    Ok(())
}

/// Of the calling thread.
fn own_task() -> Result<PathBuf, Failure> {
    Ok(std::path::absolute("/proc")?.join(std::fs::read_link("/proc/thread-self")?))
}

/// Time on a processor.
fn cpu_time(task: &std::path::Path) -> Result<Duration, Failure> {
    let statistics = std::fs::read_to_string(task.join("schedstat"))?;
    Ok(Duration::from_nanos(statistics.split(' ').next().unwrap_or_default().parse()?))
}
