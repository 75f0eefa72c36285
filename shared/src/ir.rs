//! The validated intermediate representation: what the control plane compiles
//! to and the proxies build from. It holds exactly what both understand; each
//! type says which xDS message it stands for. Every value is complete: defaults
//! are filled in before it is made.

mod assignment;
mod cluster;
mod hashing;
mod health_check;
mod listener;
mod outlier;
mod route;
mod secret;
mod tls;

pub use assignment::{Assignment, Endpoint, Health, Locality};
pub use cluster::{
    Breakers, Cluster, Connection, Discovery, DnsFamily, DnsTarget, LbPolicy, LoadBalancing,
    Outlier, PeakEwma, RetryBudget, UpstreamProtocol,
};
pub use hashing::{HashCookie, HashPolicy, HashSource, Maglev, RingHash};
pub use health_check::{HealthCheck, Probe};
pub use listener::{AccessLog, HttpProtocol, Limits, Listener, RouteSource, Timeouts};
pub use outlier::{FailurePercentage, LatencyOutlier, SuccessRate};
pub use route::{
    Action, Backoff, Domain, Forward, HeaderEdits, HeaderMatch, HeaderTest, HeaderValue, PathMatch,
    PathRewrite, QueryMatch, QueryTest, RateLimit, RateLimitKey, Redirect, RedirectPath, Respond,
    RetryCondition, RetryPolicy, Route, RouteMatch, RouteTable, StringMatch, VirtualHost,
    WeightedCluster,
};
pub use secret::{CertificateSource, DataSource, Secret, SecretContent, TrustSource};
pub use tls::{
    AltName, CertificateRef, ClientVerification, DownstreamTls, ProxyProtocol, ServerVerification,
    TlsVersion, TrustRef, UpstreamTls,
};
