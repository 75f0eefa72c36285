//! W3C trace context: read, decided, written. Pure.
//!
//! Source of the rules: W3C Trace Context, level 1 (`traceparent`) and its rules
//! for `tracestate`. Header values that break them are as good as none.

/// Longest `tracestate` that is passed on, in bytes. The specification asks for
/// at least 512.
const MAX_STATE_BYTES: usize = 1_024;

/// Length of a `traceparent` of version 00.
const PARENT_BYTES: usize = 55;

/// The trace a request belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// Trace id; 0 is none.
    pub trace_id: u128,
    /// Id of the caller's span; 0 if the trace begins here.
    pub parent_id: u64,
    /// Id of the span of this request.
    pub span_id: u64,
    /// Whether spans are recorded.
    pub sampled: bool,
    /// `tracestate`, passed on untouched.
    pub state: Option<String>,
}

impl TraceContext {
    /// What the caller said of its trace; `None` if it said nothing that can be
    /// used. The span of this request is not chosen yet: see
    /// [`Self::with_span`].
    pub fn from_headers(traceparent: Option<&[u8]>, tracestate: Option<&[u8]>) -> Option<Self> {
        let text = std::str::from_utf8(traceparent?).ok()?.trim();
        let (trace_id, parent_id, flags) = parse_parent(text)?;
        Some(Self {
            trace_id,
            parent_id,
            span_id: 0,
            sampled: flags & 1 == 1,
            state: tracestate.and_then(usable_state),
        })
    }

    /// A trace that begins here. The two numbers come from the caller's
    /// generator.
    pub fn new_root(trace_entropy: u128, span_entropy: u64, sampled: bool) -> Self {
        Self {
            trace_id: trace_entropy.max(1),
            parent_id: 0,
            span_id: span_entropy.max(1),
            sampled,
            state: None,
        }
    }

    /// The same trace with a span of this request.
    #[must_use]
    pub fn with_span(self, span_entropy: u64) -> Self {
        Self {
            span_id: span_entropy.max(1),
            ..self
        }
    }

    /// Whether the request belongs to a trace at all.
    pub fn is_present(&self) -> bool {
        self.trace_id != 0
    }

    /// The `traceparent` for an attempt whose span is `attempt_span`. If no
    /// spans are recorded there is no such span to point to, so the caller's is
    /// named again.
    pub fn traceparent(&self, attempt_span: u64) -> String {
        let span = match (self.sampled, self.parent_id) {
            (true, _) => attempt_span,
            (false, 0) => self.span_id,
            (false, parent) => parent,
        };
        let flags = u8::from(self.sampled);
        format!("00-{:032x}-{span:016x}-{flags:02x}", self.trace_id)
    }
}

/// Trace id, parent id and flags of a `traceparent`.
fn parse_parent(text: &str) -> Option<(u128, u64, u8)> {
    let mut parts = text.split('-');
    let version = hex(parts.next()?, 2)?;
    let trace_id = hex(parts.next()?, 32)?;
    let parent_id = u64::try_from(hex(parts.next()?, 16)?).ok()?;
    let flags = u8::try_from(hex(parts.next()?, 2)?).ok()?;
    // A later version may append fields; version 00 has none, 255 is forbidden.
    let length_fits = match version {
        0 => text.len() == PARENT_BYTES,
        0xff => false,
        _ => text.len() == PARENT_BYTES || text.as_bytes().get(PARENT_BYTES) == Some(&b'-'),
    };
    (length_fits && trace_id != 0 && parent_id != 0).then_some((trace_id, parent_id, flags))
}

/// Exactly `digits` hexadecimal digits in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != digits || !text.bytes().all(lower) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

/// `tracestate` if it is text of a sane length. What its members mean is not
/// ours to judge.
fn usable_state(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    (!text.is_empty() && text.len() <= MAX_STATE_BYTES && printable).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(parent: &str) -> Option<TraceContext> {
        TraceContext::from_headers(Some(parent.as_bytes()), None)
    }

    #[test]
    fn a_caller_s_context_is_read_whole() {
        let context =
            TraceContext::from_headers(Some(PARENT.as_bytes()), Some(b"congo=t61rcWkgMzE"))
                .unwrap();
        assert_eq!(context.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(context.parent_id, 0x00f0_67aa_0ba9_02b7);
        assert!(context.sampled);
        assert_eq!(context.state.as_deref(), Some("congo=t61rcWkgMzE"));
    }

    #[test]
    fn what_is_not_a_context_is_none() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_later_version_may_append_fields() {
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more";
        assert!(!read(later).unwrap().sampled);
    }

    #[test]
    fn a_sampled_attempt_names_its_own_span() {
        let context = read(PARENT).unwrap().with_span(7);
        assert_eq!(
            context.traceparent(9),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000009-01"
        );
    }

    #[test]
    fn an_unsampled_context_passes_unchanged() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        assert_eq!(read(parent).unwrap().with_span(7).traceparent(9), parent);
    }

    #[test]
    fn ids_of_a_new_trace_are_never_zero() {
        let root = TraceContext::new_root(0, 0, true);
        assert!(root.is_present());
        assert_ne!(root.span_id, 0);
    }

    #[test]
    fn an_oversized_or_binary_state_is_dropped() {
        assert_eq!(usable_state(&[b'a'; MAX_STATE_BYTES + 1]), None);
        assert_eq!(usable_state(b"a=\x01"), None);
    }
}
