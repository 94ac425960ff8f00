//! The one place that sees the whole way: probe, admit, decode, tiles, queue, blend, encode.
//!
//! [`Pipeline::plan`] answers from the header alone; [`Pipeline::upscale`] walks the way for HTTP and the command
//! line alike; [`Pipeline::upscale_raster`] walks its middle for `eval`.

mod alpha;
mod blocking;
mod body;
mod color;
mod context;
mod downscaler;
pub(crate) mod ensemble;
mod error;
mod etag;
pub mod fidelity;
mod finisher;
mod flat;
mod memory;
mod options;
pub mod pass;
mod permit;
pub mod plan;
mod queue_timer;
mod reorder;
pub mod selection;
mod sequence;
mod stage_timings;
#[cfg(test)]
mod tests;
mod unread;

use std::sync::Arc;

use bytes::Bytes;
use images::encode::Target;
use images::raster::Raster;
use images::{CodecError, Interrupt, Opened, OutputFormat, Probe};
use prometheus::IntGauge;
use scheduler::{MemoryReservation, Ticket};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

pub use context::Pipeline;
pub use error::PipelineError;
pub use fidelity::Fidelity;
pub use options::Options;
pub use plan::Plan;
pub use stage_timings::Timings;
pub use unread::UnreadBytes;

use crate::telemetry::Metrics;
use crate::telemetry::metrics::Stage;
use crate::telemetry::traces::{Fact, Trace};
use blocking::spawn_blocking_cancellable;
use permit::{ComputePermit, Stopped};
use plan::{Prepared, depth_of};
use sequence::PassSequence;
use stage_timings::StageTimings;

/// An upscaled image on its way out.
#[derive(Debug)]
pub struct Answer {
    /// What was done.
    pub plan: Plan,
    /// Strong entity tag without quotes: input, options, model and arithmetic determine the bytes.
    pub etag: String,
    /// As far as known when the first bytes left.
    pub timings: Timings,
    /// Length in bytes, if the whole file was ready before the first byte left.
    pub length: Option<u64>,
    /// When the request's time is over.
    pub deadline: Instant,
    /// What of the file waits for the client; in the memory budget.
    pub unread: Arc<UnreadBytes>,
    /// The file. Dropping the receiver cancels the rest of the work. An error cuts the file off.
    pub body: mpsc::Receiver<Result<Bytes, PipelineError>>,
}

impl Pipeline {
    /// What `upscale` would do with a file that begins with `bytes`, or the error it would give.
    pub async fn plan(&self, bytes: Bytes, options: &Options) -> Result<Plan, PipelineError> {
        let deadline = Instant::now() + options.deadline;
        let interrupt = Interrupt::default();
        let _set_on_drop = interrupt.clone().set_on_drop();
        let examined = timeout_at(deadline, self.examine(bytes, options, deadline, interrupt)).await;
        let (_, prepared) = examined.unwrap_or(Err(PipelineError::Deadline(options.deadline)))?;
        match self.scheduler.estimate(&prepared.admission_requests).1 {
            Some(rejection) => Err(rejection.into()),
            None => Ok(prepared.plan),
        }
    }

    /// Upscales one file. Returns when the whole answer is ready or its first [`pass::THRESHOLD`] bytes are; until
    /// then a failure is an error, after it the body breaks off. Dropping the future cancels the work.
    pub async fn upscale(self: &Arc<Self>, bytes: Bytes, options: Options) -> Result<Answer, PipelineError> {
        self.upscale_as_planned(bytes, options, |_| ()).await
    }

    /// As [`Self::upscale`]; `planned` sees the plan before it is admitted, so also where the work then fails.
    pub async fn upscale_as_planned(
        self: &Arc<Self>,
        bytes: Bytes,
        options: Options,
        planned: impl FnOnce(&Plan),
    ) -> Result<Answer, PipelineError> {
        let deadline = Instant::now() + options.deadline;
        // Its request may end before a decode does.
        let interrupt = Interrupt::default();
        let _set_on_drop = interrupt.clone().set_on_drop();
        let work = async {
            let (opened, prepared) = self.examine(bytes.clone(), &options, deadline, interrupt.clone()).await?;
            planned(&prepared.plan);
            let tickets = self.scheduler.admit_all(&prepared.admission_requests)?;
            self.answer((bytes, opened, interrupt), prepared, tickets, &options, deadline).await
        };
        timeout_at(deadline, work).await.unwrap_or(Err(PipelineError::Deadline(options.deadline)))
    }

    /// Upscales decoded pixels, whole in memory and in their own depth: for measuring. The format does not matter.
    /// Dropping the future cancels the work.
    pub async fn upscale_raster(self: &Arc<Self>, image: Raster, options: Options) -> Result<Raster, PipelineError> {
        let deadline = Instant::now() + options.deadline;
        let probe = Probe::of_pixels(image.size(), image.channels(), image.depth());
        let options = Options { format: OutputFormat::Png, ..options };
        let prepared = self.prepare(probe, 0, &options, image.depth(), deadline)?;
        let tickets = self.scheduler.admit_all(&prepared.admission_requests)?;
        let work = async {
            let (reservation, window, stays) =
                (reservation_of(&tickets), prepared.plan.view.window(), prepared.plan.stays());
            let interrupt = Interrupt::default();
            let _set_on_drop = interrupt.clone().set_on_drop();
            let survey =
                move || (alpha::survey(image.cut(window.x, window.y, window.size), stays, &interrupt), reservation);
            let (surveyed, _) = self.compute(survey).await?;
            let Target { size, channels, depth, .. } = prepared.target;
            let sequence = self.pass_sequence(&prepared, surveyed?, tickets, Arc::default());
            let samples = sequence.run(move |rows| Ok(sequence::gathered(rows, size, channels, depth))).await?;
            Ok(Raster::new(size, channels, samples))
        };
        timeout_at(deadline, work).await.unwrap_or(Err(PipelineError::Deadline(options.deadline)))
    }

    /// Reads the header on a blocking thread, since a profile may have to be inflated; but out of turn, since it is
    /// short and a refusal should not wait for images.
    async fn examine(
        &self,
        bytes: Bytes,
        options: &Options,
        deadline: Instant,
        interrupt: Interrupt,
    ) -> Result<(Opened, Prepared), PipelineError> {
        // A wrong parameter is reported before a wrong image: it is the cheaper one to put right.
        options.model.name().map(|name| self.registry.model(name)).transpose()?;
        let (limits, upload, frame) = (self.limits, bytes.len(), options.frame);
        let open = move || images::open(bytes, &limits, frame, &interrupt);
        let opened = spawn_blocking_cancellable(&self.metrics, open).await??;
        let options = options.fitting(opened.probe.size)?;
        let depth = depth_of(&opened.probe, options.format);
        let prepared = self.prepare(opened.probe.clone(), upload, &options, depth, deadline)?;
        Ok((opened, prepared))
    }

    /// Decodes, then starts the task that outlives this call, and waits for its first bytes.
    async fn answer(
        self: &Arc<Self>,
        (bytes, opened, interrupt): (Bytes, Opened, Interrupt),
        prepared: Prepared,
        tickets: Vec<Ticket>,
        options: &Options,
        deadline: Instant,
    ) -> Result<Answer, PipelineError> {
        let stage_timings = Arc::new(StageTimings::default());
        let plan = prepared.plan.clone();
        // The budget is not given back while a decoder that nobody waits for runs, nor before its image is freed.
        let decode = {
            let (plan, stage_timings, reservation, trace) =
                (plan.clone(), Arc::clone(&stage_timings), reservation_of(&tickets), Trace::current());
            let metrics = Arc::clone(&self.metrics);
            move || {
                let _counted = Decoding::new(&metrics);
                let began = Instant::now();
                let mut stage = trace.stage("decode");
                stage.knows(&[
                    Fact::Number("upscaler.bytes", bytes.len() as u64),
                    Fact::Number("upscaler.pixels", plan.input.pixels()),
                ]);
                let image = opened.decode().inspect_err(|_| stage.failed("decode"))?;
                drop(stage);
                stage_timings.decoded(began.elapsed());
                let etag = etag::etag(&bytes, &plan);
                drop(bytes);
                let window = plan.view.window();
                let image = image.cut(window.x, window.y, window.size);
                Ok::<_, CodecError>((etag, alpha::survey(image, plan.stays(), &interrupt)?, reservation))
            }
        };
        let (etag, surveyed, _) = self.compute(decode).await??;
        self.observe(Stage::Decode, &plan.model, stage_timings.timings().decode);

        let target = prepared.target.clone();
        let unread = UnreadBytes::new(tickets.last().map(|ticket| ticket.split_off(body::HELD_BYTES as u64)));
        let sequence = self.pass_sequence(&prepared, surveyed, tickets, Arc::clone(&stage_timings));
        let body::Answering { writer, completion, start, body } = body::answering(Arc::clone(&unread));
        let (pipeline, counted, allowed) = (Arc::clone(self), plan.clone(), options.deadline);
        let run = async move {
            let encoded = sequence.run(move |mut rows| {
                let mut out = writer.on(rows.permit.clone(), stage_timings);
                let idle_permits = rows.permit.idle_permits();
                images::encode::encode_with(&target, &mut rows, &mut out, &idle_permits)?;
                Ok(out.finish()?)
            });
            let result = tokio::select! {
                result = timeout_at(deadline, encoded) => result.unwrap_or(Err(PipelineError::Deadline(allowed))),
                () = completion.abandoned() => Err(PipelineError::Internal("the client left".into())),
            };
            if result.is_ok() {
                pipeline.count(&counted);
            }
            completion.set(result);
        };
        tokio::spawn(run.in_current_span());

        let start = start.await.map_err(|_| PipelineError::Internal("the work ended without a word".into()))??;
        Ok(Answer { plan, etag, timings: start.timings, length: start.length, deadline, unread, body })
    }

    fn pass_sequence(
        self: &Arc<Self>,
        prepared: &Prepared,
        (image, alpha): (Raster, alpha::Alpha),
        tickets: Vec<Ticket>,
        stage_timings: Arc<StageTimings>,
    ) -> PassSequence {
        PassSequence {
            pipeline: Arc::clone(self),
            image: Arc::new(image),
            alpha,
            model: prepared.plan.model.clone(),
            specs: prepared.specs.clone(),
            reduction: prepared.reduction,
            output_plan: prepared.output_plan.clone(),
            tickets,
            stage_timings,
            trace: Trace::current(),
        }
    }

    /// Runs `job` on a blocking thread, in its turn. The turn is waited for there: had it been taken before, it would
    /// be idle while the job waits for a thread, and those that have all the threads might wait for it.
    async fn compute<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, PipelineError> {
        let (pool, runtime, stop) = (Arc::clone(&self.compute), Handle::current(), CancellationToken::new());
        let _stopped_on_drop = stop.clone().drop_guard();
        let in_turn = move || {
            let _permit = ComputePermit::take(pool, runtime, stop)
                .map_err(|Stopped| PipelineError::Internal("the request ended before its turn".into()))?;
            Ok(job())
        };
        spawn_blocking_cancellable(&self.metrics, in_turn).await?
    }

    /// Counts an image that was answered in full.
    fn count(&self, plan: &Plan) {
        for (direction, size) in [("input", plan.input), ("output", plan.output)] {
            self.metrics.pixels.with_label_values(&[direction, &plan.model]).inc_by(size.pixels());
        }
    }
}

/// Counts a decode while it runs.
struct Decoding(IntGauge);

impl Decoding {
    fn new(metrics: &Metrics) -> Self {
        metrics.decoding_requests.inc();
        Self(metrics.decoding_requests.clone())
    }
}

impl Drop for Decoding {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The memory of a request: the last of its tickets has it.
fn reservation_of(tickets: &[Ticket]) -> Option<MemoryReservation> {
    tickets.last().map(Ticket::reservation)
}
