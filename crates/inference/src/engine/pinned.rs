//! Batches through page-locked memory: what a card copies from and to without a detour, and while it computes.
//!
//! A batch is filled up to a power of two, so that few shapes are ever seen: for each the convolutions' algorithms are
//! chosen once. What fills it up is whatever was there before, and is not looked at. Of the shapes, those used last keep
//! their buffers: locked pages are lost to everything else on the machine.

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, Session};
use ort::value::Tensor;

/// Shapes that keep their buffers: with tiles of 120x108 at x4 in batches of 16, 42 MB each.
const SHAPES_KEPT: usize = 16;

/// Where a batch waits for the card.
#[derive(Debug)]
pub(super) struct Pinned {
    memory: AllocationDevice<'static>,
    /// The one used last at the end.
    shapes: Vec<Bound>,
}

/// Buffers of one shape.
#[derive(Debug)]
struct Bound {
    input_shape: [usize; 4],
    input: Tensor<f32>,
    binding: IoBinding,
}

impl Pinned {
    /// Nothing is allocated yet. `memory` is page-locked for a card; a test takes the CPU's.
    pub(super) fn new(memory: AllocationDevice<'static>) -> Self {
        Self { memory, shapes: Vec::new() }
    }

    /// Runs `values` of this shape, which the network upscales `factor` times, and gives its result to `take`.
    pub(super) fn run<T>(
        &mut self,
        session: &mut Session,
        (input, output): (&str, &str),
        shape: [usize; 4],
        factor: usize,
        values: &[f32],
        take: impl FnOnce(&[f32]) -> T,
    ) -> Result<T, ort::Error> {
        let [batch, planes, height, width] = shape;
        let padded = [batch.next_power_of_two(), planes, height, width];
        let bound = match self.shapes.iter().position(|bound| bound.input_shape == padded) {
            Some(at) => self.shapes.remove(at),
            None => self.bound(session, output, padded, factor)?,
        };
        if self.shapes.len() == SHAPES_KEPT {
            self.shapes.remove(0);
        }
        let bound = self.shapes.push_mut(bound);
        bound.input.extract_tensor_mut().1[..values.len()].copy_from_slice(values);
        // The copy to the card begins here, so it is bound anew for every batch.
        bound.binding.bind_input(input, &bound.input)?;
        let outputs = session.run_binding(&bound.binding)?;
        let (_, upscaled) = outputs[output].try_extract_tensor::<f32>()?;
        Ok(take(&upscaled[..values.len() * factor * factor]))
    }

    fn bound(&self, session: &Session, output: &str, shape: [usize; 4], factor: usize) -> Result<Bound, ort::Error> {
        let [batch, planes, height, width] = shape;
        let allocator =
            |kind| Allocator::new(session, MemoryInfo::new(self.memory.clone(), 0, AllocatorType::Device, kind)?);
        let mut input = Tensor::<f32>::new(&allocator(MemoryType::CPUInput)?, shape)?;
        // What fills up a batch must be numbers: a NaN would slow some kernels down.
        input.extract_tensor_mut().1.fill(0.0);
        let upscaled =
            Tensor::<f32>::new(&allocator(MemoryType::CPUOutput)?, [batch, planes, height * factor, width * factor])?;
        let mut binding = session.create_binding()?;
        binding.bind_output(output, upscaled)?;
        Ok(Bound { input_shape: shape, input, binding })
    }
}
