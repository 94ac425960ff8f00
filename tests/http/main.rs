//! The service through its port: the real binary, real connections, bicubic so that no ONNX Runtime is needed.

#[path = "../support/mod.rs"]
mod support;

mod any;
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
mod traces;
mod uploads;
