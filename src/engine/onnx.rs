//! One ONNX Runtime session a network and worker.
