//! Convolutions in fp16, for a provider that computes in whatever the graph says: CUDA.
//!
//! The trained networks are in fp32. Before each convolution and rectifier this puts a `Cast` to fp16, and after it one
//! back; ONNX Runtime casts the weights once, when the session is made, and drops pairs of casts that undo each other.
//! Convolutions are nearly all of the arithmetic. What is left in fp32 is what fp16, which ends at 65504, is not made
//! for: sums of squares (covariance, Newton-Schulz), softmax, and what carries the image itself ([`carriers`]).
//! Emulated in `PyTorch`, san-light x4 has the same 31.471 dB on Set5 either way, and no number above 3 in its convolutions.

use std::borrow::Cow;

use super::graph::{
    FLOAT, FLOAT16, Fields, Malformed, bytes_of, carriers, map_field, nodes, number, put_bytes, put_number,
};

/// Operators that run in fp16.
const IN_FP16: [&[u8]; 2] = [b"Conv", b"Relu"];

/// Of `AttributeProto` what an integer needs, and its type.
const ATTRIBUTE_NAME: u64 = 1;
const ATTRIBUTE_INTEGER: u64 = 3;
const ATTRIBUTE_TYPE: u64 = 20;
const INTEGER: u64 = 2;

/// The network with its convolutions and rectifiers in fp16; input, output and weights stay as they are.
pub fn convolutions_in_fp16(model: &[u8]) -> Result<Vec<u8>, Malformed> {
    let carriers = carriers(&nodes(bytes_of(model, number::GRAPH)?)?);
    map_field(model, number::GRAPH, |graph, out| {
        let (mut at, mut casts) = (0, 0);
        let mapped = map_field(graph, number::NODE, |node, out| {
            if carriers.contains(&at) {
                put_bytes(out, number::NODE, node);
            } else {
                for node in in_fp16(node, &mut casts)? {
                    put_bytes(out, number::NODE, &node);
                }
            }
            at += 1;
            Ok(())
        })?;
        put_bytes(out, number::GRAPH, &mapped);
        Ok(())
    })
}

/// The nodes that stand for one. `casts` counts those made so far, for names that no network has.
fn in_fp16<'a>(node: &'a [u8], casts: &mut u64) -> Result<Vec<Cow<'a, [u8]>>, Malformed> {
    let fields = Fields(node).collect::<Result<Vec<_>, _>>()?;
    let text = |number| fields.iter().find(|field| field.number == number).and_then(|field| field.payload);
    let standard = text(number::DOMAIN).is_none_or(|domain| domain.is_empty() || domain == b"ai.onnx");
    if !standard || !text(number::OPERATOR).is_some_and(|operator| IN_FP16.contains(&operator)) {
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
            (number::INPUT, Some(name)) if !name.is_empty() => {
                let half = fresh();
                before.push(Cow::Owned(cast(name, &half, FLOAT16)));
                put_bytes(&mut changed, number::INPUT, &half);
            }
            (number::OUTPUT, Some(name)) if !name.is_empty() => {
                let half = fresh();
                after.push(Cow::Owned(cast(&half, name, FLOAT)));
                put_bytes(&mut changed, number::OUTPUT, &half);
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
    put_bytes(&mut node, number::INPUT, from);
    put_bytes(&mut node, number::OUTPUT, to);
    put_bytes(&mut node, number::NAME, &[b"cast to ".as_slice(), to].concat());
    put_bytes(&mut node, number::OPERATOR, b"Cast");
    put_bytes(&mut node, number::ATTRIBUTE, &attribute);
    node
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::graph::testing::{model, node, residual};
    use super::*;
    use crate::engine::runtime::testing;

    /// Operator, inputs and outputs of every node.
    fn read(model: &[u8]) -> Vec<(String, Vec<String>, Vec<String>)> {
        let text = |bytes: &&[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let nodes = nodes(bytes_of(model, number::GRAPH).expect("a model")).expect("nodes");
        let read = nodes.iter().map(|node| {
            (text(&node.operator), node.inputs.iter().map(text).collect(), node.outputs.iter().map(text).collect())
        });
        read.collect()
    }

    #[test]
    fn a_convolution_stands_between_casts() {
        // Two, since one alone would carry the image.
        let nodes = [node(b"Conv", b"", &[b"lr", b"w", b""], b"x"), node(b"Conv", b"", &[b"x", b"w"], b"sr")];
        let nodes = read(&convolutions_in_fp16(&model(&nodes, &[])).expect("a model"));
        let operators: Vec<_> = nodes.iter().map(|(operator, ..)| operator.as_str()).collect();
        assert_eq!(operators, ["Cast", "Cast", "Conv", "Cast", "Cast", "Cast", "Conv", "Cast"]);
        assert_eq!((&nodes[0].1, &nodes[1].1), (&vec!["lr".to_owned()], &vec!["w".to_owned()]));
        assert_eq!(
            nodes[2].1,
            [nodes[0].2[0].clone(), nodes[1].2[0].clone(), String::new()],
            "and the bias is left out"
        );
        assert_eq!(nodes[3].1, nodes[2].2);
        assert_eq!(nodes[3].2, ["x"]);
    }

    #[test]
    fn what_carries_the_image_stays_in_fp32() {
        let nodes = read(&convolutions_in_fp16(&residual()).expect("a model"));
        let convolutions: Vec<_> = nodes.iter().filter(|(operator, ..)| operator == "Conv").collect();
        assert_eq!(convolutions.len(), 3);
        assert_eq!(convolutions[2].1, ["wide", "kernel"]);
        assert!(convolutions[..2].iter().all(|(_, inputs, _)| inputs[0].starts_with("san-upscaler/fp16/")));
    }

    #[test]
    fn everything_else_stays_byte_for_byte() {
        let nodes = [node(b"MatMul", b"", &[b"lr", b"w"], b"x"), node(b"Conv", b"somebody.else", &[b"x"], b"sr")];
        let other = model(&nodes, &[b"w"]);
        assert_eq!(convolutions_in_fp16(&other), Ok(other));
    }

    #[test]
    fn what_breaks_off_is_refused() {
        let whole = residual();
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
    }
}
