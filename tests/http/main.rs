//! The service through its port: the real binary, real connections, and bicubic, so that no ONNX Runtime is needed, but
//! for tests that ask for it.

#[path = "../support/mod.rs"]
mod support;

mod any;
mod attacks;
mod auto;
mod contract;
mod drain;
mod fidelity;
mod images;
mod keys;
mod limits;
#[cfg(target_os = "linux")]
mod memory;
mod observed;
mod parameters;
mod protocol;
mod queue;
mod repeat;
mod traces;
mod unread;
mod uploads;
