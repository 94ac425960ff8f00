//! Convolutions in fp16, for a provider that computes in whatever the graph says: CUDA.
//!
//! The trained networks are in fp32. Before each convolution and rectifier this puts a `Cast` to fp16, and after it one
//! back; ONNX Runtime casts the weights once, when the session is made, and drops pairs of casts that undo each other.
//! Convolutions are nearly all of the arithmetic. What is left in fp32 is what fp16, which ends at 65504, is not made
//! for: sums of squares (covariance, Newton-Schulz), softmax, and the skip connections that carry the picture itself.
//!
//! A network file is a protocol buffer, of which this touches the list of nodes and copies every other byte as it is:
//! so no library for the format is needed, nor its version tied to ours.

use std::borrow::Cow;

/// Operators that run in fp16.
const IN_FP16: [&[u8]; 2] = [b"Conv", b"Relu"];

/// Element types of ONNX.
const FLOAT: u64 = 1;
const FLOAT16: u64 = 10;

/// Field numbers of the format (onnx.proto): `ModelProto.graph`, `GraphProto.node`, of `NodeProto` the ends, the name,
/// the operator, its attributes and domain, and of `AttributeProto` what an integer needs.
const GRAPH: u64 = 7;
const NODE: u64 = 1;
const INPUT: u64 = 1;
const OUTPUT: u64 = 2;
const NAME: u64 = 3;
const OPERATOR: u64 = 4;
const ATTRIBUTE: u64 = 5;
const DOMAIN: u64 = 7;
const ATTRIBUTE_NAME: u64 = 1;
const ATTRIBUTE_INTEGER: u64 = 3;
const ATTRIBUTE_TYPE: u64 = 20;
/// `AttributeProto.INT`.
const INTEGER: u64 = 2;

/// Wire types.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// The file is no protocol buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file is no ONNX network: it breaks off or has a field that the format does not know")]
pub struct Malformed;

/// The network with its convolutions and rectifiers in fp16; input, output and weights stay as they are.
pub fn convolutions_in_fp16(model: &[u8]) -> Result<Vec<u8>, Malformed> {
    map_field(model, GRAPH, |graph, out| {
        let mut casts = 0;
        let mapped = map_field(graph, NODE, |node, out| {
            for node in in_fp16(node, &mut casts)? {
                put_bytes(out, NODE, &node);
            }
            Ok(())
        })?;
        put_bytes(out, GRAPH, &mapped);
        Ok(())
    })
}

/// A message whose fields of a number are written anew; all others are copied.
fn map_field(
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

/// The nodes that stand for one. `casts` counts those made so far, for names that no network has.
fn in_fp16<'a>(node: &'a [u8], casts: &mut u64) -> Result<Vec<Cow<'a, [u8]>>, Malformed> {
    let fields = Fields(node).collect::<Result<Vec<_>, _>>()?;
    let text = |number| fields.iter().find(|field| field.number == number).and_then(|field| field.payload);
    let standard = text(DOMAIN).is_none_or(|domain| domain.is_empty() || domain == b"ai.onnx");
    if !standard || !text(OPERATOR).is_some_and(|operator| IN_FP16.contains(&operator)) {
        return Ok(vec![Cow::Borrowed(node)]);
    }
    let mut fresh = || {
        *casts += 1;
        format!("san-upscaler/fp16/{casts}").into_bytes()
    };
    let (mut before, mut changed, mut after) = (Vec::new(), Vec::new(), Vec::new());
    for field in &fields {
        match (field.number, field.payload) {
            // An input that is left out has an empty name.
            (INPUT, Some(name)) if !name.is_empty() => {
                let half = fresh();
                before.push(Cow::Owned(cast(name, &half, FLOAT16)));
                put_bytes(&mut changed, INPUT, &half);
            }
            (OUTPUT, Some(name)) if !name.is_empty() => {
                let half = fresh();
                after.push(Cow::Owned(cast(&half, name, FLOAT)));
                put_bytes(&mut changed, OUTPUT, &half);
            }
            _ => changed.extend_from_slice(field.whole),
        }
    }
    before.push(Cow::Owned(changed));
    before.append(&mut after);
    Ok(before)
}

/// A `Cast` node, called after what it makes.
fn cast(from: &[u8], to: &[u8], element: u64) -> Vec<u8> {
    let mut attribute = Vec::new();
    put_bytes(&mut attribute, ATTRIBUTE_NAME, b"to");
    put_number(&mut attribute, ATTRIBUTE_INTEGER, element);
    put_number(&mut attribute, ATTRIBUTE_TYPE, INTEGER);
    let mut node = Vec::new();
    put_bytes(&mut node, INPUT, from);
    put_bytes(&mut node, OUTPUT, to);
    put_bytes(&mut node, NAME, &[b"cast to ".as_slice(), to].concat());
    put_bytes(&mut node, OPERATOR, b"Cast");
    put_bytes(&mut node, ATTRIBUTE, &attribute);
    node
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_number(out: &mut Vec<u8>, number: u64, value: u64) {
    put_varint(out, number << 3 | VARINT);
    put_varint(out, value);
}

fn put_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_varint(out, number << 3 | BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A field of a message.
struct Field<'a> {
    number: u64,
    /// Key and value, as they stand in the message.
    whole: &'a [u8],
    /// What stands in it, if that is bytes: a text or a message.
    payload: Option<&'a [u8]>,
}

/// The fields of a message; ends after the first that cannot be read.
struct Fields<'a>(&'a [u8]);

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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::runtime::testing;

    fn node(operator: &[u8], domain: &[u8], inputs: &[&[u8]]) -> Vec<u8> {
        let mut node = Vec::new();
        for input in inputs {
            put_bytes(&mut node, INPUT, input);
        }
        put_bytes(&mut node, OUTPUT, b"out");
        put_bytes(&mut node, OPERATOR, operator);
        if !domain.is_empty() {
            put_bytes(&mut node, DOMAIN, domain);
        }
        node
    }

    fn model(nodes: &[Vec<u8>]) -> Vec<u8> {
        let mut graph = Vec::new();
        for node in nodes {
            put_bytes(&mut graph, NODE, node);
        }
        put_bytes(&mut graph, 5, b"weights");
        let mut model = Vec::new();
        put_number(&mut model, 1, 8);
        put_bytes(&mut model, GRAPH, &graph);
        put_bytes(&mut model, 8, b"opset");
        model
    }

    /// Operator, inputs and outputs of every node.
    fn read(model: &[u8]) -> Vec<(String, Vec<String>, Vec<String>)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let all = |message: &[u8], number: u64| -> Vec<Vec<u8>> {
            let fields = Fields(message).map(|field| field.expect("whole")).filter(|field| field.number == number);
            fields.map(|field| field.payload.expect("bytes").to_vec()).collect()
        };
        let graph = all(model, GRAPH).remove(0);
        let names = |node: &[u8], number| all(node, number).iter().map(|name| text(name)).collect();
        all(&graph, NODE)
            .iter()
            .map(|node| (text(&all(node, OPERATOR)[0]), names(node, INPUT), names(node, OUTPUT)))
            .collect()
    }

    #[test]
    fn a_convolution_stands_between_casts() {
        let nodes = read(&convolutions_in_fp16(&model(&[node(b"Conv", b"", &[b"x", b"w", b""])])).expect("a model"));
        let operators: Vec<_> = nodes.iter().map(|(operator, ..)| operator.as_str()).collect();
        assert_eq!(operators, ["Cast", "Cast", "Conv", "Cast"]);
        assert_eq!((&nodes[0].1, &nodes[1].1), (&vec!["x".to_owned()], &vec!["w".to_owned()]));
        assert_eq!(
            nodes[2].1,
            [nodes[0].2[0].clone(), nodes[1].2[0].clone(), String::new()],
            "and the bias is left out"
        );
        assert_eq!(nodes[3].1, nodes[2].2);
        assert_eq!(nodes[3].2, ["out"]);
    }

    #[test]
    fn everything_else_stays_byte_for_byte() {
        let other = model(&[node(b"MatMul", b"", &[b"x", b"w"]), node(b"Conv", b"somebody.else", &[b"x"])]);
        assert_eq!(convolutions_in_fp16(&other), Ok(other));
    }

    #[test]
    fn what_breaks_off_is_refused() {
        let whole = model(&[node(b"Conv", b"", &[b"x"])]);
        for end in 1..whole.len() {
            // Between two fields of the model a shorter model ends; never inside one.
            let fields = Fields(&whole[..end]).all(|field| field.is_ok());
            assert_eq!(convolutions_in_fp16(&whole[..end]).is_ok(), fields, "{end}");
        }
        assert_eq!(convolutions_in_fp16(&[0x0b]), Err(Malformed), "a group, which the format has not");
    }

    #[test]
    fn committed_networks_are_read_and_grow_by_little() {
        for network in ["models/san-light/x4.onnx", "models/srcnn/x4.onnx"] {
            let file = std::fs::read(testing::root().join(network)).expect("it is committed");
            let half = convolutions_in_fp16(&file).expect("a network");
            assert!(half.len() > file.len() && half.len() < file.len() + 100_000, "{network}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = convolutions_in_fp16(&bytes);
        }

        #[test]
        fn varints_come_back(value: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            prop_assert_eq!(Fields(&bytes).varint(), Some(value));
        }
    }
}
