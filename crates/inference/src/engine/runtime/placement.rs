//! Which provider a session's nodes were given to: what ONNX Runtime itself reports, not what was asked for.
//!
//! A provider takes the nodes that it knows, and ONNX Runtime gives the rest to its CPU provider without a word. So a
//! label of what was asked for may lie; what is reported everywhere is checked here first.

use std::ffi::CStr;
use std::os::raw::c_char;

use ort::AsPointer;
use ort::session::Session;

use crate::engine::backend::Device;

/// The key by which a session is made to keep the assignment.
pub(in crate::engine) const RECORD: &str = "session.record_ep_graph_assignment_info";

/// Operators by the provider that runs them; one entry for each part of the graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Placement(Vec<(String, Vec<String>)>);

/// Parts of the names of all operators that cost anything in a network of convolutions and attention, fused or not.
const HEAVY: [&str; 3] = ["Conv", "MatMul", "Gemm"];

impl Placement {
    /// Reads it from a session that was made with [`RECORD`].
    #[expect(unsafe_code, reason = "`ort` has no safe call for it")]
    pub(in crate::engine) fn of(session: &Session) -> Result<Self, ort::Error> {
        let api = ort::api();
        // SAFETY: the session is alive for all of this, and it owns what the calls point to (ONNX Runtime's header states
        // so of each); a pointer and a length come from one call, and neither is used where the call failed. Names are
        // C strings of the session, copied at once.
        unsafe {
            let parts = list(|out, len| (api.Session_GetEpGraphAssignmentInfo)(session.ptr(), out, len))?;
            let mut placement = Vec::with_capacity(parts.len());
            for part in parts {
                let provider = text(|out| (api.EpAssignedSubgraph_GetEpName)(part, out))?;
                let nodes = list(|out, len| (api.EpAssignedSubgraph_GetNodes)(part, out, len))?;
                let operators =
                    nodes.into_iter().map(|node| text(|out| (api.EpAssignedNode_GetOperatorType)(node, out)));
                placement.push((provider, operators.collect::<Result<_, _>>()?));
            }
            Ok(Self(placement))
        }
    }

    /// Whether the network runs on `device`: every costly node of it, or, if it has none, any node. Shapes and indices
    /// may be reckoned on the CPU beside a card. If not, what runs elsewhere.
    pub(in crate::engine) fn is_on(&self, device: Device) -> Result<(), String> {
        let heavy = |operator: &&String| HEAVY.iter().any(|part| operator.contains(part));
        let mut here = 0;
        for (provider, operators) in &self.0 {
            if provider == device.execution_provider() {
                here += operators.len();
            } else if let Some(operator) = operators.iter().find(heavy) {
                let count = operators.iter().filter(heavy).count();
                return Err(format!("{count} of its costly nodes run on {provider}, the first a {operator}"));
            }
        }
        if here == 0 { Err(format!("none of its nodes runs on {}", device.execution_provider())) } else { Ok(()) }
    }
}

/// What a call of ONNX Runtime lists.
///
/// # Safety
/// On success `call` leaves a pointer to as many elements as it leaves in the length, alive until they are copied here.
#[expect(unsafe_code, reason = "`ort` has no safe call for it")]
unsafe fn list<T: Copy>(
    call: impl FnOnce(*mut *const T, *mut usize) -> ort::sys::OrtStatusPtr,
) -> Result<Vec<T>, ort::Error> {
    let (mut first, mut len) = (std::ptr::null(), 0);
    // SAFETY: the status comes from the call and is not used again.
    unsafe { ort::Error::result_from_status(call(&raw mut first, &raw mut len)) }?;
    if len == 0 || first.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: as the caller promises.
    Ok(unsafe { std::slice::from_raw_parts(first, len) }.to_vec())
}

/// A text that a call of ONNX Runtime points to.
///
/// # Safety
/// On success `call` leaves a pointer to a C string, alive until it is copied here, or null.
#[expect(unsafe_code, reason = "`ort` has no safe call for it")]
unsafe fn text(call: impl FnOnce(*mut *const c_char) -> ort::sys::OrtStatusPtr) -> Result<String, ort::Error> {
    let mut text = std::ptr::null();
    // SAFETY: the status comes from the call and is not used again.
    unsafe { ort::Error::result_from_status(call(&raw mut text)) }?;
    if text.is_null() {
        return Ok(String::new());
    }
    // SAFETY: as the caller promises.
    Ok(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(parts: &[(Device, &[&str])]) -> Placement {
        let part = |(device, operators): &(Device, &[&str])| {
            (device.execution_provider().to_owned(), operators.iter().map(|o| (*o).to_owned()).collect())
        };
        Placement(parts.iter().map(part).collect())
    }

    #[test]
    fn shapes_may_be_reckoned_beside_a_card() {
        let mixed = placement(&[(Device::Cuda, &["Conv", "Relu"]), (Device::Cpu, &["Shape", "Gather", "Concat"])]);
        assert_eq!(mixed.is_on(Device::Cuda), Ok(()));
        assert!(mixed.is_on(Device::Cpu).is_err(), "and nobody calls that the CPU");
    }

    #[test]
    fn one_costly_node_elsewhere_is_reported() {
        for operator in ["FusedConv", "ConvTranspose", "MatMul", "FusedGemm"] {
            let split = placement(&[(Device::OpenVino, &["Conv"]), (Device::Cpu, &["Relu", operator])]);
            let error = split.is_on(Device::OpenVino).expect_err("a part runs on the CPU");
            assert!(error.contains("CPUExecutionProvider") && error.contains(operator), "{error}");
        }
    }

    #[test]
    fn nothing_there_is_not_there() {
        assert!(placement(&[(Device::Cpu, &["Resize"])]).is_on(Device::OpenVino).is_err());
        assert!(placement(&[]).is_on(Device::Cpu).is_err());
        assert_eq!(placement(&[(Device::OpenVino, &["Resize"])]).is_on(Device::OpenVino), Ok(()));
    }
}
