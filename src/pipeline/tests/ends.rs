//! How a walk ends before the image does: nobody waits, time is up, an engine misbehaves.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use super::*;

/// Holds engines back.
#[derive(Default)]
struct Door {
    open: Mutex<bool>,
    moved: Condvar,
}

impl Door {
    fn open(&self) {
        *self.open.lock().expect("nobody panics with it") = true;
        self.moved.notify_all();
    }

    fn pass(&self) {
        let shut = self.open.lock().expect("nobody panics with it");
        drop(self.moved.wait_while(shut, |open| !*open).expect("nobody panics with it"));
    }
}

/// A pipeline whose engines do nothing until the door opens.
fn behind(door: &Arc<Door>) -> Arc<Pipeline> {
    pipeline(|| {
        let door = Arc::clone(door);
        Box::new(Faulty(move |tiles| {
            door.pass();
            Ok(tiles)
        }))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_request_frees_everything() {
    let door = Arc::new(Door::default());
    let pipeline = behind(&door);
    let image = png(&noise(Size::new(400, 400), Channels::Rgb));
    let request = {
        let pipeline = Arc::clone(&pipeline);
        tokio::spawn(async move { pipeline.upscale(image, options(OutputFormat::Png)).await })
    };
    while pipeline.metrics.queued_tiles.get() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(pipeline.metrics.inflight_bytes.get() > 0);
    request.abort();
    // What waits is dropped while the engines still hold the two batches that run.
    while pipeline.metrics.queued_tiles.get() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(pipeline.scheduler.admitted_tiles() <= 8);
    door.open();
    idle(&pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_that_nobody_waits_for_holds_its_memory_and_no_tile() {
    let (door, began) = (Arc::new(Door::default()), CancellationToken::new());
    let pipeline = bicubic();
    let image = noise(Size::new(400, 400), Channels::Rgb);
    let options = options(OutputFormat::Png);
    let deadline = Instant::now() + options.deadline;
    let probe = images::Probe::of_pixels(image.size(), image.channels(), image.depth());
    let prepared = pipeline.prepare(probe, 0, &options, image.depth(), deadline).expect("a good image");
    let tickets = pipeline.scheduler.admit_all(&prepared.admission_requests).expect("nothing else is there");
    let sequence = pipeline.pass_sequence(&prepared, (image, alpha::Alpha::None), tickets, Arc::default());
    let request = {
        let (door, began) = (Arc::clone(&door), began.clone());
        tokio::spawn(sequence.run(move |rows| {
            began.cancel();
            door.pass();
            drop(rows);
            Ok(())
        }))
    };
    began.cancelled().await;
    request.abort();
    assert!(request.await.is_err_and(|ended| ended.is_cancelled()));
    while pipeline.scheduler.admitted_tiles() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let held = u64::try_from(pipeline.metrics.inflight_bytes.get()).expect("not negative");
    assert_eq!(held, prepared.plan.bytes);
    door.open();
    idle(&pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_body_frees_everything() {
    let pipeline = bicubic();
    let image = png(&noise(Size::new(1000, 1000), Channels::Rgb));
    let mut answer = pipeline.upscale(image, options(OutputFormat::Png)).await.expect("a good image");
    assert!(answer.body.recv().await.expect("a first chunk").is_ok());
    drop(answer);
    idle(&pipeline).await;
    assert_eq!(pipeline.metrics.pixels.with_label_values(&["output", MODEL]).get(), 0, "not answered in full");
}

/// A turn that is taken before there is a thread keeps those that have the threads from ending.
#[test]
fn more_requests_than_threads_and_turns_all_end() {
    let runtime = tokio::runtime::Builder::new_multi_thread().max_blocking_threads(2).enable_all().build();
    runtime.expect("threads can be had").block_on(async {
        let mut pipeline = Arc::into_inner(bicubic()).expect("nobody else has it yet");
        pipeline.compute = Arc::new(tokio::sync::Semaphore::new(1));
        let pipeline = Arc::new(pipeline);
        let image = png(&noise(Size::new(100, 100), Channels::Rgb));
        let requests = (0..4).map(async |_| {
            let answer = pipeline.upscale(image.clone(), options(OutputFormat::Png)).await?;
            file(answer).await
        });
        for done in futures::future::join_all(requests).await {
            assert!(done.is_ok(), "{done:?}");
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_the_wait() {
    let door = Arc::new(Door::default());
    let pipeline = behind(&door);
    let allowed = Duration::from_millis(50);
    let image = noise(Size::new(100, 100), Channels::Rgb);
    let late = Options { deadline: allowed, ..options(OutputFormat::Png) };
    let error = pipeline.upscale(png(&image), late.clone()).await.expect_err("the engine is shut");
    assert!(matches!(error, PipelineError::Deadline(d) if d == allowed), "{error}");
    let error = pipeline.upscale_raster(image, late).await.expect_err("the engine is shut");
    assert!(matches!(error, PipelineError::Deadline(d) if d == allowed), "{error}");
    door.open();
    idle(&pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_passes_later_breaks_the_body_off() {
    let pipeline = bicubic();
    let image = png(&noise(Size::new(1000, 1000), Channels::Rgb));
    let allowed = Duration::from_millis(1500);
    let options = Options { deadline: allowed, ..options(OutputFormat::Png) };
    let answer = match pipeline.upscale(image, options).await {
        Ok(answer) => answer,
        // A machine too slow for the first bytes in time shows nothing about the later ones.
        Err(error) => return assert!(matches!(error, PipelineError::Deadline(_)), "{error}"),
    };
    // A client that does not read: the work waits for it, until it may not any more.
    tokio::time::sleep(allowed).await;
    let error = file(answer).await.expect_err("cut off");
    assert!(matches!(error, PipelineError::Deadline(_)), "{error}");
    idle(&pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_engines_do_wrong_is_an_internal_error_and_leaves_nothing_behind() {
    type Fault = fn(Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, EngineError>;
    let faults: [(&str, Fault); 4] = [
        ("fails", |_| Err(EngineError::Runtime("for the test".into()))),
        ("gives too few tiles", |mut tiles| {
            tiles.pop();
            Ok(tiles)
        }),
        ("gives short tiles", |mut tiles| {
            for tile in &mut tiles {
                tile.truncate(100);
            }
            Ok(tiles)
        }),
        ("panics", |tiles| std::panic::resume_unwind(Box::new(tiles.len()))),
    ];
    for (what, fault) in faults {
        let pipeline = pipeline(|| Box::new(Faulty(fault)));
        let image = noise(Size::new(100, 100), Channels::Rgb);
        let error = pipeline.upscale(png(&image), options(OutputFormat::Png)).await.expect_err(what);
        assert!(matches!(error, PipelineError::Internal(_)), "an engine that {what}: {error}");
        let error = pipeline.upscale_raster(image, options(OutputFormat::Png)).await.expect_err(what);
        assert!(matches!(error, PipelineError::Internal(_)), "an engine that {what}: {error}");
        idle(&pipeline).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_after_the_first_bytes_is_reported_at_their_end() {
    let count = Arc::new(AtomicUsize::new(0));
    let pipeline = pipeline(|| {
        let count = Arc::clone(&count);
        Box::new(Faulty(move |tiles: Vec<Vec<f32>>| {
            let late = count.fetch_add(tiles.len(), Ordering::AcqRel) > 1600;
            if late { Err(EngineError::Runtime("for the test".into())) } else { Ok(tiles) }
        }))
    });
    // 42 x 42 tiles; the first 38 rows of them make some 9 MB.
    let image = png(&noise(Size::new(1000, 1000), Channels::Rgb));
    let answer = pipeline.upscale(image, options(OutputFormat::Png)).await.expect("the first bytes come");
    let error = file(answer).await.expect_err("cut off");
    assert!(matches!(&error, PipelineError::Internal(text) if text.contains("for the test")), "{error}");
    idle(&pipeline).await;
}
