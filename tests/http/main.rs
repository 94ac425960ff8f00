//! The service through its port: the real binary, real connections, and bicubic, so that no ONNX Runtime is needed, but
//! for one test that says so.

#[path = "../support/mod.rs"]
mod support;

mod any;
mod attacks;
mod contract;
mod drain;
mod fidelity;
mod keys;
mod limits;
#[cfg(target_os = "linux")]
mod memory;
mod observed;
mod parameters;
mod pictures;
mod queue;
mod repeat;
mod traces;
mod uploads;
