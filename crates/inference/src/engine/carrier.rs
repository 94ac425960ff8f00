//! The image itself in fp32, where the network beside it is in bf16.
//!
//! A residual network adds detail to a plain upscaled image, which as a convolution of the graph would be in bf16 too: eight
//! bits for what the image is made of. OpenVINO takes one precision for all, so such a graph is cut in two: one session
//! on the CPU provider makes the upscaled image, and the network has it as a second input. san-light in bf16 is then below
//! its fp32 by 0.0013 dB on Set5 at x2 instead of 0.0205, and on a slope between levels 120 and 150 it is 0.03 levels RMS
//! off instead of 0.27; a tile takes 1 to 3 % longer. benches/README.md has what further convolutions would bring.

use super::graph::{
    FLOAT, Fields, Malformed, Node, bytes_of, carriers, map_field, nodes, number, put_bytes, put_number,
};

/// A network in two parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// From the input to `between`: the upscaled image.
    pub(super) carrier: Vec<u8>,
    /// From the input and `between` to the output.
    pub(super) network: Vec<u8>,
    /// The tensor between them, with four dimensions.
    pub(super) between: String,
}

/// Cuts a network, if one convolution carries the image past it.
pub(super) fn cut(model: &[u8]) -> Result<Option<Cut>, Malformed> {
    let graph = bytes_of(model, number::GRAPH)?;
    let nodes = nodes(graph)?;
    let [at] = carriers(&nodes)[..] else { return Ok(None) };
    let [between] = nodes[at].outputs[..] else { return Ok(None) };
    let Ok(name) = std::str::from_utf8(between) else { return Ok(None) };

    let mut outputs = Vec::new();
    for field in Fields(graph) {
        let field = field?;
        if let (number::GRAPH_OUTPUT, Some(value)) = (field.number, field.payload) {
            outputs.push(bytes_of(value, number::VALUE_NAME)?);
        }
    }
    let carrier =
        Part { names: needed(&nodes, vec![between], None), ends: (number::GRAPH_OUTPUT, between), left_out: None };
    let network = Part {
        names: needed(&nodes, outputs, Some(at)),
        ends: (number::GRAPH_INPUT, between),
        left_out: Some(between),
    };
    Ok(Some(Cut { carrier: carrier.of(model)?, network: network.of(model)?, between: name.to_owned() }))
}

/// All names that `names` are made of, without the node `but`.
fn needed<'a>(nodes: &[Node<'a>], mut names: Vec<&'a [u8]>, but: Option<usize>) -> Vec<&'a [u8]> {
    for (at, node) in nodes.iter().enumerate().rev() {
        if Some(at) != but && node.outputs.iter().any(|name| names.contains(name)) {
            names.extend(&node.inputs);
        }
    }
    names
}

/// What of a model belongs to one part.
struct Part<'a> {
    /// Names that it needs.
    names: Vec<&'a [u8]>,
    /// What the tensor between the parts is to it: its output instead of the model's, or an input more.
    ends: (u64, &'a [u8]),
    /// Made by the other part.
    left_out: Option<&'a [u8]>,
}

impl Part<'_> {
    fn of(&self, model: &[u8]) -> Result<Vec<u8>, Malformed> {
        map_field(model, number::GRAPH, |graph, out| {
            put_bytes(out, number::GRAPH, &self.graph(graph)?);
            Ok(())
        })
    }

    fn graph(&self, graph: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::with_capacity(graph.len());
        for field in Fields(graph) {
            let field = field?;
            let payload = field.payload.unwrap_or_default();
            let keep = match field.number {
                number::NODE => {
                    let mut outputs = nodes(field.whole)?.into_iter().flat_map(|node| node.outputs);
                    outputs.any(|name| self.names.contains(&name) && Some(name) != self.left_out)
                }
                // ONNX Runtime complains of weights that nobody uses.
                number::WEIGHTS => self.names.contains(&bytes_of(payload, number::WEIGHTS_NAME)?),
                // Shapes between nodes are found anew.
                number::INTERMEDIATE => false,
                number::GRAPH_OUTPUT => self.ends.0 != number::GRAPH_OUTPUT,
                _ => true,
            };
            if keep {
                out.extend_from_slice(field.whole);
            }
        }
        put_bytes(&mut out, self.ends.0, &value(self.ends.1));
        Ok(out)
    }
}

/// A tensor of floats with four dimensions of any size.
fn value(name: &[u8]) -> Vec<u8> {
    let mut shape = Vec::new();
    for _ in 0..4 {
        put_bytes(&mut shape, number::DIMENSION, &[]);
    }
    let mut tensor = Vec::new();
    put_number(&mut tensor, number::ELEMENT, FLOAT);
    put_bytes(&mut tensor, number::SHAPE, &shape);
    let mut of_tensor = Vec::new();
    put_bytes(&mut of_tensor, number::TENSOR, &tensor);
    let mut value = Vec::new();
    put_bytes(&mut value, number::VALUE_NAME, name);
    put_bytes(&mut value, number::VALUE_TYPE, &of_tensor);
    value
}

#[cfg(test)]
mod tests {
    use super::super::graph::testing::{model, node, residual};
    use super::*;
    use crate::engine::runtime::testing;

    /// Operators, weights, inputs and outputs of a model.
    fn read(model: &[u8]) -> [Vec<String>; 4] {
        let graph = bytes_of(model, number::GRAPH).expect("a model");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let named = |number: u64, name: u64| -> Vec<String> {
            let fields = Fields(graph).map(|field| field.expect("whole")).filter(|field| field.number == number);
            fields.map(|field| text(bytes_of(field.payload.expect("bytes"), name).expect("a name"))).collect()
        };
        [
            named(number::NODE, number::OPERATOR),
            named(number::WEIGHTS, number::WEIGHTS_NAME),
            named(number::GRAPH_INPUT, number::VALUE_NAME),
            named(number::GRAPH_OUTPUT, number::VALUE_NAME),
        ]
    }

    fn owned(parts: [&[&str]; 4]) -> [Vec<String>; 4] {
        parts.map(|part| part.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn each_part_has_what_it_needs_and_no_more() {
        let cut = cut(&residual()).expect("a model").expect("a carrier");
        assert_eq!(cut.between, "large");
        let carrier: [&[&str]; 4] = [&["Pad", "Conv"], &["edge", "kernel"], &["lr"], &["large"]];
        assert_eq!(read(&cut.carrier), owned(carrier));
        let network: [&[&str]; 4] = [&["Conv", "Relu", "Conv", "Add"], &["w1", "w2", "b2"], &["lr", "large"], &["sr"]];
        assert_eq!(read(&cut.network), owned(network));
    }

    #[test]
    fn without_a_carrier_there_is_nothing_to_cut() {
        let chain = [node(b"Conv", b"", &[b"lr", b"k"], b"large"), node(b"Conv", b"", &[b"large", b"w"], b"sr")];
        assert_eq!(cut(&model(&chain, &[])), Ok(None));
        let srcnn = std::fs::read(testing::root().join("models/srcnn/x4.onnx")).expect("it is committed");
        assert_eq!(cut(&srcnn), Ok(None));
    }

    #[test]
    fn the_default_model_is_cut_at_every_scale() {
        for scale in [2, 3, 4] {
            let file = testing::root().join(format!("models/san-light/x{scale}.onnx"));
            let file = std::fs::read(file).expect("it is committed");
            let cut = cut(&file).expect("a network").expect("it adds detail to a bicubic upscaled image");
            assert!(cut.carrier.len() < 20_000 && cut.network.len() < file.len(), "x{scale}");
        }
    }

    #[test]
    fn what_breaks_off_is_refused() {
        let whole = residual();
        assert_eq!(cut(&whole[..whole.len() - 9]), Err(Malformed));
    }
}
