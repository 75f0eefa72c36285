//! W3C trace context: read, decided, written. Pure.

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
