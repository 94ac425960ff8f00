//! Finds and loads the ONNX Runtime library once, and says which providers it has.
