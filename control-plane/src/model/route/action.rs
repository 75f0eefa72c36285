//! What a rule does with a request.

use std::collections::BTreeSet;

use evenkeel_shared::error::Faults;
use evenkeel_shared::ir;
use evenkeel_shared::names::ClusterName;
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::path_rewrite::Rewrite;

use super::filters::Filters;
use super::hashing;
use crate::model::fields::{self, within};
use crate::model::policy::RuleSettings;

/// The largest body of a direct response, in bytes; Envoy's bound.
const LARGEST_BODY: usize = 4096;
/// The largest weight of a cluster.
const LARGEST_WEIGHT: u32 = 1_000_000;

/// Reads which of the actions a rule has, and that one.
pub(super) fn from_proto(
    rule: &v1::RouteRule,
    filters: &Filters,
    settings: RuleSettings,
    matches: &[ir::RouteMatch],
    faults: &mut Faults,
) -> Option<ir::Action> {
    match (
        rule.clusters.as_slice(),
        rule.redirect.as_ref(),
        rule.respond.as_ref(),
    ) {
        ([], None, None) => {
            faults.add("", "required: one of `clusters`, `redirect` and `respond`");
            None
        }
        (clusters, None, None) => Some(ir::Action::Forward(Box::new(ir::Forward {
            clusters: read_clusters(clusters, faults),
            timeout: settings.timeout,
            per_try_timeout: settings.per_try_timeout,
            retry: settings.retry,
            path_rewrite: filters.path_rewrite.clone(),
            host_rewrite: filters.host_rewrite.clone(),
            hash_policy: hashing::from_proto(&rule.hash_policy, faults),
        }))),
        ([], Some(redirect), None) => {
            refuse_forwarding(rule, filters, faults);
            within(faults, "redirect", |faults| {
                read_redirect(redirect, matches, faults)
            })
            .map(ir::Action::Redirect)
        }
        ([], None, Some(respond)) => {
            refuse_forwarding(rule, filters, faults);
            within(faults, "respond", |faults| read_respond(respond, faults))
                .map(ir::Action::Respond)
        }
        _ => {
            faults.add(
                "",
                "must have exactly one of `clusters`, `redirect` and `respond`",
            );
            None
        }
    }
}

/// What only forwarded requests have.
fn refuse_forwarding(rule: &v1::RouteRule, filters: &Filters, faults: &mut Faults) {
    const REASON: &str = "has no effect on a rule that does not forward to `clusters`";
    if rule.timeouts.is_some() {
        faults.add("timeouts", REASON);
    }
    if rule.retry.is_some() {
        faults.add("retry", REASON);
    }
    if !rule.hash_policy.is_empty() {
        faults.add("hashPolicy", REASON);
    }
    if let Some(index) = filters.rewrite_at {
        faults.add(format!("filters[{index}].urlRewrite"), REASON);
    }
}

fn read_clusters(protos: &[v1::WeightedCluster], faults: &mut Faults) -> Vec<ir::WeightedCluster> {
    let mut sum = 0_u64;
    let mut named = BTreeSet::new();
    let mut clusters = Vec::with_capacity(protos.len());
    for (index, proto) in protos.iter().enumerate() {
        let v1::WeightedCluster { name, weight } = proto;
        let path = format!("clusters[{index}]");
        if name.is_empty() {
            faults.add(format!("{path}.name"), "required");
        } else if !named.insert(name) {
            faults.add(
                format!("{path}.name"),
                format!("invalid value {name:?}: is given twice"),
            );
        }
        let weight = weight.unwrap_or(1);
        sum += u64::from(weight);
        clusters.push(ir::WeightedCluster {
            name: ClusterName::from(name.as_str()),
            weight: fields::range(
                weight,
                0..=LARGEST_WEIGHT,
                &format!("{path}.weight"),
                faults,
            ),
        });
    }
    if sum == 0 {
        faults.add("clusters", "must have at least one weight above 0");
    } else if u32::try_from(sum).is_err() {
        faults.add("clusters", "must have weights of at most 4294967295 in sum");
    }
    clusters
}

fn read_redirect(
    proto: &v1::Redirect,
    matches: &[ir::RouteMatch],
    faults: &mut Faults,
) -> Option<ir::Redirect> {
    let v1::Redirect {
        scheme,
        hostname,
        path,
        port,
        status,
    } = proto;
    if scheme.is_empty() && hostname.is_empty() && path.is_none() && port.is_none() {
        faults.add(
            "",
            "must change at least one of `scheme`, `hostname`, `path` and `port`, or it leads back to itself",
        );
    }
    if !matches!(scheme.as_str(), "" | "http" | "https") {
        faults.add(
            "scheme",
            format!("invalid value {scheme:?}: must be http or https"),
        );
    }
    let host = (!hostname.is_empty()).then(|| fields::hostname(hostname, "hostname", faults));
    let path = path
        .as_ref()
        .and_then(|path| within(faults, "path", |faults| path_rewrite(path, matches, faults)));
    let port = port.map(|port| fields::range(port, 1..=65535, "port", faults));
    let status = status.unwrap_or(302);
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        faults.add(
            "status",
            format!("invalid value {status}: must be 301, 302, 303, 307 or 308"),
        );
    }
    Some(ir::Redirect {
        scheme: (!scheme.is_empty()).then(|| scheme.clone()),
        host,
        port: port.and_then(|port| u16::try_from(port).ok()),
        path,
        status: u16::try_from(status).ok()?,
    })
}

fn read_respond(proto: &v1::DirectResponse, faults: &mut Faults) -> Option<ir::Respond> {
    let v1::DirectResponse { status, body } = proto;
    if *status == 0 {
        faults.add("status", "required");
    } else {
        fields::range(*status, 200..=599, "status", faults);
    }
    if body.len() > LARGEST_BODY {
        let size = body.len();
        faults.add(
            "body",
            format!("has {size} bytes: must have at most {LARGEST_BODY}"),
        );
    }
    if matches!(status, 204 | 205 | 304) && !body.is_empty() {
        faults.add("body", format!("must be empty with status {status}"));
    }
    Some(ir::Respond {
        status: u16::try_from(*status).ok()?,
        body: body.clone(),
    })
}

/// Reads what a path becomes; a replaced prefix is kept without the slash at
/// its end.
pub(super) fn path_rewrite(
    proto: &v1::PathRewrite,
    matches: &[ir::RouteMatch],
    faults: &mut Faults,
) -> Option<ir::PathRewrite> {
    match &proto.rewrite {
        Some(Rewrite::ReplaceFull(path)) => {
            fields::path(path, "replaceFull", faults);
            Some(ir::PathRewrite::Full(path.clone()))
        }
        Some(Rewrite::ReplacePrefix(prefix)) => {
            fields::path(prefix, "replacePrefix", faults);
            let by_prefix = |one: &ir::RouteMatch| {
                matches!(
                    one.path,
                    ir::PathMatch::Prefix(_) | ir::PathMatch::Segments(_)
                )
            };
            if !matches.iter().all(by_prefix) {
                faults.add(
                    "replacePrefix",
                    "needs a rule that matches by `path.prefix` only",
                );
            }
            Some(ir::PathRewrite::Prefix(
                prefix.trim_end_matches('/').to_owned(),
            ))
        }
        None => {
            faults.add("", "required: one of `replacePrefix` and `replaceFull`");
            None
        }
    }
}
