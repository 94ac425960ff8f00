//! Just enough of ONNX's file format to cut and change a network: lists of nodes, and every other byte copied as it is.
//!
//! A network file is a protocol buffer. What is done to it here touches a handful of fields whose numbers never change, so
//! no library for the format is needed, nor its version tied to ours.

/// The file is no protocol buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file is no ONNX network: it breaks off or has a field that the format does not know")]
pub struct Malformed;

/// Field numbers of the format (onnx.proto), by message.
pub(super) mod number {
    /// `ModelProto`.
    pub(in crate::engine) const GRAPH: u64 = 7;

    /// `GraphProto`.
    pub(in crate::engine) const NODE: u64 = 1;
    pub(in crate::engine) const WEIGHTS: u64 = 5;
    pub(in crate::engine) const GRAPH_INPUT: u64 = 11;
    pub(in crate::engine) const GRAPH_OUTPUT: u64 = 12;
    pub(in crate::engine) const INTERMEDIATE: u64 = 13;

    /// `NodeProto`.
    pub(in crate::engine) const INPUT: u64 = 1;
    pub(in crate::engine) const OUTPUT: u64 = 2;
    pub(in crate::engine) const NAME: u64 = 3;
    pub(in crate::engine) const OPERATOR: u64 = 4;
    pub(in crate::engine) const ATTRIBUTE: u64 = 5;
    pub(in crate::engine) const DOMAIN: u64 = 7;

    /// `TensorProto`.
    pub(in crate::engine) const WEIGHTS_NAME: u64 = 8;

    /// `ValueInfoProto`.
    pub(in crate::engine) const VALUE_NAME: u64 = 1;
    pub(in crate::engine) const VALUE_TYPE: u64 = 2;
    /// `TypeProto`.
    pub(in crate::engine) const TENSOR: u64 = 1;
    /// `TypeProto.Tensor`.
    pub(in crate::engine) const ELEMENT: u64 = 1;
    pub(in crate::engine) const SHAPE: u64 = 2;
    /// `TensorShapeProto`.
    pub(in crate::engine) const DIMENSION: u64 = 1;
}

/// Element types of ONNX.
pub(super) const FLOAT: u64 = 1;
pub(super) const FLOAT16: u64 = 10;

/// Wire types.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// A node of a network, names as bytes.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) operator: &'a [u8],
    /// Of ONNX itself, not of somebody's extension.
    pub(super) standard: bool,
    /// Inputs that are left out have an empty name.
    pub(super) inputs: Vec<&'a [u8]>,
    pub(super) outputs: Vec<&'a [u8]>,
}

impl<'a> Node<'a> {
    fn read(node: &'a [u8]) -> Result<Self, Malformed> {
        let mut read = Self { operator: b"", standard: true, inputs: Vec::new(), outputs: Vec::new() };
        for field in Fields(node) {
            let field = field?;
            match (field.number, field.payload) {
                (number::INPUT, Some(name)) => read.inputs.push(name),
                (number::OUTPUT, Some(name)) => read.outputs.push(name),
                (number::OPERATOR, Some(operator)) => read.operator = operator,
                (number::DOMAIN, Some(domain)) => read.standard = domain.is_empty() || domain == b"ai.onnx",
                _ => {}
            }
        }
        Ok(read)
    }

    /// Whether it is among those that nearly all of a network's time goes to.
    fn heavy(&self) -> bool {
        [b"Conv".as_slice(), b"ConvTranspose", b"MatMul", b"Gemm"].contains(&self.operator)
    }

    /// Has networks of its own inside, which may use any name of ours.
    fn nested(&self) -> bool {
        [b"If".as_slice(), b"Loop", b"Scan"].contains(&self.operator)
    }
}

/// The nodes of a graph, in its order: none before what it needs.
pub(super) fn nodes(graph: &[u8]) -> Result<Vec<Node<'_>>, Malformed> {
    let fields = Fields(graph).filter(|field| field.as_ref().map_or(true, |field| field.number == number::NODE));
    fields.map(|field| Node::read(field?.payload.unwrap_or_default())).collect()
}

/// The convolutions that carry the image itself past a network: with no other costly node before them or behind them,
/// so upscaled images that the network only adds detail to. None where they are all there is.
pub(super) fn carriers(nodes: &[Node]) -> Vec<usize> {
    if nodes.iter().any(Node::nested) {
        return Vec::new();
    }
    let mut behind: Vec<&[u8]> = Vec::new();
    let mut first = vec![false; nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        first[at] = !node.inputs.iter().any(|name| behind.contains(name));
        if node.heavy() || !first[at] {
            behind.extend(&node.outputs);
        }
    }
    let mut before: Vec<&[u8]> = Vec::new();
    let mut last = vec![false; nodes.len()];
    for (at, node) in nodes.iter().enumerate().rev() {
        last[at] = !node.outputs.iter().any(|name| before.contains(name));
        if node.heavy() || !last[at] {
            before.extend(&node.inputs);
        }
    }
    let heavy = nodes.iter().filter(|node| node.heavy()).count();
    let carries = |at: &usize| nodes[*at].standard && nodes[*at].operator == b"Conv" && first[*at] && last[*at];
    let found: Vec<usize> = (0..nodes.len()).filter(carries).collect();
    if found.len() < heavy { found } else { Vec::new() }
}

/// A message whose fields of a number are written anew; all others are copied.
pub(super) fn map_field(
    message: &[u8],
    number: u64,
    mut write: impl FnMut(&[u8], &mut Vec<u8>) -> Result<(), Malformed>,
) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(message.len());
    for field in Fields(message) {
        let field = field?;
        match field.payload {
            Some(payload) if field.number == number => write(payload, &mut out)?,
            _ => out.extend_from_slice(field.whole),
        }
    }
    Ok(out)
}

/// The first field of a number, if that is bytes: a text or a message.
pub(super) fn bytes_of(message: &[u8], number: u64) -> Result<&[u8], Malformed> {
    let mut found: &[u8] = b"";
    for field in Fields(message) {
        let field = field?;
        if let Some(payload) = field.payload
            && field.number == number
            && found.is_empty()
        {
            found = payload;
        }
    }
    Ok(found)
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn put_number(out: &mut Vec<u8>, number: u64, value: u64) {
    put_varint(out, number << 3 | VARINT);
    put_varint(out, value);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_varint(out, number << 3 | BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A field of a message.
pub(super) struct Field<'a> {
    pub(super) number: u64,
    /// Key and value, as they stand in the message.
    pub(super) whole: &'a [u8],
    /// What stands in it, if that is bytes.
    pub(super) payload: Option<&'a [u8]>,
}

/// The fields of a message; ends after the first that cannot be read.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(Malformed))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<Field<'a>> {
        let all = self.0;
        let key = self.varint()?;
        let payload = match key & 7 {
            VARINT => self.varint().map(|_| None)?,
            FIXED64 => self.take(8).map(|_| None)?,
            FIXED32 => self.take(4).map(|_| None)?,
            BYTES => {
                let len = usize::try_from(self.varint()?).ok()?;
                Some(self.take(len)?)
            }
            _ => return None,
        };
        Some(Field { number: key >> 3, whole: &all[..all.len() - self.0.len()], payload })
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Small networks as bytes.

    use super::*;

    /// A node with these ends.
    pub(in crate::engine) fn node(operator: &[u8], domain: &[u8], inputs: &[&[u8]], output: &[u8]) -> Vec<u8> {
        let mut node = Vec::new();
        for input in inputs {
            put_bytes(&mut node, number::INPUT, input);
        }
        put_bytes(&mut node, number::OUTPUT, output);
        put_bytes(&mut node, number::OPERATOR, operator);
        if !domain.is_empty() {
            put_bytes(&mut node, number::DOMAIN, domain);
        }
        node
    }

    fn named(number: u64, name: &[u8]) -> Vec<u8> {
        let mut named = Vec::new();
        put_bytes(&mut named, number, name);
        named
    }

    /// A model from `lr` to `sr` with these nodes and weights.
    pub(in crate::engine) fn model(nodes: &[Vec<u8>], weights: &[&[u8]]) -> Vec<u8> {
        let mut graph = Vec::new();
        for node in nodes {
            put_bytes(&mut graph, number::NODE, node);
        }
        for name in weights {
            put_bytes(&mut graph, number::WEIGHTS, &named(number::WEIGHTS_NAME, name));
        }
        put_bytes(&mut graph, number::GRAPH_INPUT, &named(number::VALUE_NAME, b"lr"));
        put_bytes(&mut graph, number::GRAPH_OUTPUT, &named(number::VALUE_NAME, b"sr"));
        let mut model = Vec::new();
        put_number(&mut model, 1, 8);
        put_bytes(&mut model, number::GRAPH, &graph);
        put_bytes(&mut model, 8, b"opset");
        model
    }

    /// A network of two convolutions, beside which a third carries the image.
    pub(in crate::engine) fn residual() -> Vec<u8> {
        let nodes = [
            node(b"Pad", b"", &[b"lr", b"edge"], b"wide"),
            node(b"Conv", b"", &[b"lr", b"w1"], b"a"),
            node(b"Relu", b"", &[b"a"], b"b"),
            node(b"Conv", b"", &[b"b", b"w2", b"b2"], b"detail"),
            node(b"Conv", b"", &[b"wide", b"kernel"], b"large"),
            node(b"Add", b"", &[b"large", b"detail"], b"sr"),
        ];
        model(&nodes, &[b"edge", b"w1", b"w2", b"b2", b"kernel"])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::testing::{model, node, residual};
    use super::*;

    fn carried(model: &[u8]) -> Vec<usize> {
        carriers(&nodes(bytes_of(model, number::GRAPH).expect("a model")).expect("nodes"))
    }

    #[test]
    fn what_carries_the_image_is_found() {
        assert_eq!(carried(&residual()), [4]);
    }

    #[test]
    fn what_a_network_computes_is_no_carrier() {
        let chain = [node(b"Conv", b"", &[b"lr", b"k"], b"large"), node(b"Conv", b"", &[b"large", b"w"], b"sr")];
        assert!(carried(&model(&chain, &[b"k", b"w"])).is_empty(), "an upscaled image that is the network's input");
        let alone = [node(b"Conv", b"", &[b"lr", b"k"], b"sr")];
        assert!(carried(&model(&alone, &[b"k"])).is_empty(), "all there is");
    }

    #[test]
    fn networks_within_networks_are_left_alone() {
        let mut all = vec![
            node(b"Conv", b"", &[b"lr", b"w1"], b"a"),
            node(b"Conv", b"", &[b"a", b"w2"], b"detail"),
            node(b"Conv", b"", &[b"lr", b"kernel"], b"large"),
            node(b"Add", b"", &[b"large", b"detail"], b"sr"),
        ];
        assert_eq!(carried(&model(&all, &[])), [2]);
        all.push(node(b"If", b"", &[b"a"], b"more"));
        assert!(carried(&model(&all, &[])).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = nodes(&bytes).map(|nodes| carriers(&nodes));
        }

        #[test]
        fn varints_come_back(value: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            prop_assert_eq!(Fields(&bytes).varint(), Some(value));
        }
    }
}
