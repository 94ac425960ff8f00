//! One network after the other, and then the rows of the answer.
//!
//! What a network gives to the next is held whole, in 16 bits so that it is as good as unrounded; at x8 that is a
//! quarter of the answer's pixels, counted in what the request is admitted with. It could be handed on in bands
//! instead, but then both networks would run at once, and the request would have two turns where others have one.

use std::sync::Arc;

use images::encode::EncodeError;
use images::geometry::passes::product;
use images::raster::{Channels, Depth, Raster, Samples};
use images::resample::reduce::Line;
use images::units::Size;
use scheduler::Ticket;

use super::alpha::Alpha;
use super::context::Pipeline;
use super::downscaler::Downscaler;
use super::error::PipelineError;
use super::fidelity::OutputPlan;
use super::finisher::RowFinisher;
use super::pass::{Pass, PassContext, PassSpec, Rows};
use super::stage_timings::StageTimings;
use crate::telemetry::traces::Trace;

/// Bytes of a pixel between two networks.
pub(super) const fn pixel_bytes(channels: Channels) -> usize {
    channels.colors() * Depth::Sixteen.bytes()
}

/// An admitted and decoded request.
pub(super) struct PassSequence {
    pub(super) pipeline: Arc<Pipeline>,
    /// What is upscaled: the upload, or the part of it that is kept.
    pub(super) image: Arc<Raster>,
    pub(super) alpha: Alpha,
    pub(super) specs: Vec<PassSpec>,
    pub(super) reduction: Option<(Line, Line)>,
    /// What the rows that come out are.
    pub(super) output_plan: OutputPlan,
    /// One for each step, and one if there is none.
    pub(super) tickets: Vec<Ticket>,
    pub(super) model: String,
    pub(super) stage_timings: Arc<StageTimings>,
    pub(super) trace: Trace,
}

impl PassSequence {
    /// Runs every pass and gives the finished rows of the answer to `sink`, on a blocking thread. Dropping the future
    /// cancels: queued tiles at once, the thread at its next wait.
    pub(super) async fn run<T, S>(mut self, sink: S) -> Result<T, PipelineError>
    where
        T: Send + 'static,
        S: FnOnce(Rows) -> Result<T, EncodeError> + Send + 'static,
    {
        let times = product(&self.specs.iter().map(|spec| spec.scale).collect::<Vec<_>>());
        let ticket = self.tickets.pop().expect("a request has at least one ticket");
        let last = self.specs.pop();
        let context =
            PassContext { model: self.model, stage_timings: self.stage_timings, trace: self.trace, last: false };
        let mut seen = Arc::clone(&self.image);
        let channels = self.image.channels();
        let colors = if channels.colors() == 1 { Channels::Gray } else { Channels::Rgb };
        let mut transform = self.output_plan.transform.clone();
        for (spec, pass_ticket) in self.specs.into_iter().zip(self.tickets) {
            let size = spec.output();
            let pass = Pass {
                pipeline: Arc::clone(&self.pipeline),
                image: seen,
                // What a network gave is what the next one may see.
                transform: std::mem::take(&mut transform),
                spec: Some(spec),
                finisher: RowFinisher::between(colors, size.width),
                ticket: pass_ticket,
                context: context.clone(),
            };
            let samples =
                pass.run(ticket.reservation(), move |rows| Ok(gathered(rows, size, colors, Depth::Sixteen))).await?;
            seen = Arc::new(Raster::new(size, colors, samples));
        }
        let downscaler = self.reduction.map(|lines| Downscaler::new(lines, channels, self.alpha));
        let reservation = ticket.reservation();
        let pass = Pass {
            pipeline: self.pipeline,
            image: seen,
            transform,
            spec: last,
            finisher: RowFinisher::new(self.image, self.alpha, times, downscaler, self.output_plan),
            ticket,
            context: PassContext { last: true, ..context },
        };
        pass.run(reservation, sink).await
    }
}

/// All rows in one.
pub(super) fn gathered(rows: Rows, size: Size, channels: Channels, depth: Depth) -> Samples {
    let count = size.pixels() as usize * channels.count();
    let mut all = match depth {
        Depth::Eight => Samples::U8(Vec::with_capacity(count)),
        Depth::Sixteen => Samples::U16(Vec::with_capacity(count)),
    };
    for band in rows {
        match (&mut all, band.into_samples()) {
            (Samples::U8(all), Samples::U8(more)) => all.extend(more),
            (Samples::U16(all), Samples::U16(more)) => all.extend(more),
            _ => unreachable!("rows have the depth that was asked for"),
        }
    }
    all
}
