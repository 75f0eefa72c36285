//! The settings that are simulated: a policy, or somebody's own documents, made
//! complete and compiled exactly as a control plane does it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use evenkeel_control_plane::compile::secret::Opened;
use evenkeel_control_plane::compile::{ConfigSet, compile};
use evenkeel_control_plane::model;
use evenkeel_control_plane::store::{DesiredState, ResourceKey};
use evenkeel_shared::document;
use evenkeel_shared::ir;
use evenkeel_shared::names::ClusterName;
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::resource::Spec;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::render::fault::Fault;

/// What the documents of a scenario's policy are called.
const NAME: &str = "sim";

/// What proxies are told.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// How endpoints are chosen, watched and spared.
    pub(super) cluster: ir::Cluster,
    /// How requests are sent that may be executed twice.
    pub(super) safe: ir::Forward,
    /// How the others are sent.
    pub(super) careful: ir::Forward,
    /// The endpoints, in order.
    pub(super) endpoints: Vec<ir::Endpoint>,
    /// The limit on the rate of the route.
    pub(super) limit: Option<ir::RateLimit>,
}

impl Settings {
    /// With the `spec` of a policy, and so many endpoints.
    ///
    /// # Errors
    /// Everything that is wrong with the policy.
    pub(super) fn of_policy(
        policy: &Map<String, Value>,
        endpoints: usize,
    ) -> Result<Self, Failure> {
        let documents = [
            json!({"kind": "Listener", "name": NAME, "spec": {"address": "127.0.0.1:80"}}),
            json!({"kind": "Policy", "name": NAME, "spec": policy}),
            json!({"kind": "Cluster", "name": NAME, "spec": {
                "policy": NAME, "endpoints": {"static": []},
            }}),
            json!({"kind": "Route", "name": NAME, "spec": {"listeners": [NAME], "rules": [{
                "policy": NAME, "clusters": [{"name": NAME}],
            }]}}),
        ];
        let text: Vec<String> = documents.iter().map(document::write_json).collect();
        let reading = document::read_all("policy", &text.join("\n---\n"));
        let faults = reading.errors.into_iter();
        let faults: Vec<Fault> = faults
            .map(|error| {
                let reason = match &error.hint {
                    Some(hint) => format!("{}; {hint}", error.reason),
                    None => error.reason.clone(),
                };
                Fault::elsewhere(None, &under_policy(&error.path), &reason)
            })
            .collect();
        if !faults.is_empty() {
            return Err(Failure::Invalid(faults));
        }
        let resources = reading.documents.into_iter();
        let resources = resources.map(|document| document.resource).collect();
        Self::of_resources(resources, NAME, endpoints)
    }

    /// With the cluster of this name and the first route to it, whatever
    /// endpoints it has.
    ///
    /// # Errors
    /// Everything that is wrong with the resources; no such cluster, or no route
    /// to it.
    pub(super) fn of_resources(
        resources: Vec<v1::Resource>,
        cluster: &str,
        endpoints: usize,
    ) -> Result<Self, Failure> {
        let state = simulated(resources, cluster, endpoints);
        let checked = model::check(&state).map_err(|faults| {
            let faults = faults.into_iter().map(|fault| {
                let label = (fault.key.name != NAME).then(|| fault.key.to_string());
                let path = match &label {
                    Some(_) => fault.invalid.path.clone(),
                    None => under_policy(&fault.invalid.path),
                };
                Fault::elsewhere(label, &path, &fault.invalid.reason)
            });
            Failure::Invalid(faults.collect())
        })?;
        let compiled = compile(&checked, Opened::default());
        let name = ClusterName::from(cluster);
        let missing = || Failure::Failed(format!("there is no Cluster/{cluster}"));
        let unreached = || Failure::Failed(format!("no route leads to Cluster/{cluster}"));
        let found = compiled.clusters.get(&name).ok_or_else(missing)?;
        let (safe, limit) = forward(&compiled, &name, "GET").ok_or_else(unreached)?;
        let careful = forward(&compiled, &name, "POST").map_or(safe, |(careful, _)| careful);
        let assignment = match &found.discovery {
            ir::Discovery::Named(assignment) => compiled.assignments.get(assignment),
            ir::Discovery::Inline(assignment) => Some(assignment),
            ir::Discovery::Dns(_) => None,
        };
        Ok(Self {
            limit: limit.cloned(),
            cluster: found.clone(),
            safe: safe.clone(),
            careful: careful.clone(),
            endpoints: assignment.map_or_else(Vec::new, |all| all.endpoints.clone()),
        })
    }

    /// What is set and not simulated.
    pub(super) fn passed_over(&self) -> Vec<&'static str> {
        let bounded = self.cluster.connection.max.map(|_| "connection.max");
        bounded.into_iter().collect()
    }
}

/// The address that stands for an endpoint.
fn address(place: usize) -> SocketAddr {
    let place = u16::try_from(place).unwrap_or(u16::MAX);
    let [high, low] = place.to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(127, 1, high, low), 80))
}

/// The endpoint that an address stands for.
pub(super) fn place(address: SocketAddr) -> usize {
    match address.ip() {
        IpAddr::V4(ip) => {
            let [_, _, high, low] = ip.octets();
            usize::from(u16::from_be_bytes([high, low]))
        }
        IpAddr::V6(_) => usize::MAX,
    }
}

/// The path of a fault in the policy of a scenario, as it is written there.
fn under_policy(path: &str) -> String {
    let path = path.strip_prefix("spec.").unwrap_or(path);
    let path = path.strip_prefix("rules[0].").unwrap_or(path);
    if path.is_empty() {
        "policy".to_owned()
    } else {
        format!("policy.{path}")
    }
}

/// The resources with the endpoints that are simulated, and without certificates,
/// which play no part.
fn simulated(resources: Vec<v1::Resource>, cluster: &str, endpoints: usize) -> DesiredState {
    let mut state = BTreeMap::new();
    for mut resource in resources {
        match &mut resource.spec {
            Some(Spec::Secret(_)) => continue,
            Some(Spec::Listener(listener)) => listener.tls = None,
            Some(Spec::Cluster(spec)) => {
                spec.tls = None;
                if resource.name == cluster {
                    spec.endpoints = Some(v1::ClusterEndpoints {
                        r#static: (0..endpoints).map(endpoint).collect(),
                        ..v1::ClusterEndpoints::default()
                    });
                }
            }
            _ => {}
        }
        state.insert(ResourceKey::of(&resource), resource);
    }
    state
}

fn endpoint(place: usize) -> v1::Endpoint {
    v1::Endpoint {
        address: address(place).to_string(),
        ..v1::Endpoint::default()
    }
}

/// How the first route to a cluster sends a request of this method, and the limit
/// on its rate.
fn forward<'a>(
    compiled: &'a ConfigSet,
    cluster: &ClusterName,
    method: &str,
) -> Option<(&'a ir::Forward, Option<&'a ir::RateLimit>)> {
    let tables = compiled.route_tables.values();
    let mut routes = tables
        .flat_map(|table| &table.hosts)
        .flat_map(|host| &host.routes);
    routes.find_map(|route| {
        let methods = &route.matches.methods;
        let takes = methods.is_empty() || methods.iter().any(|own| own == method);
        match &route.action {
            ir::Action::Forward(forward)
                if takes && forward.clusters.iter().any(|to| to.name == *cluster) =>
            {
                Some((&**forward, route.rate_limit.as_ref()))
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use evenkeel_shared::ir::RetryCondition;

    use super::*;

    fn of(policy: &Value) -> Result<Settings, Failure> {
        Settings::of_policy(policy.as_object().unwrap(), 300)
    }

    #[test]
    fn an_empty_policy_is_the_defaults_of_the_control_plane() {
        let settings = of(&json!({})).unwrap();
        assert_eq!(settings.endpoints.len(), 300);
        let places = settings.endpoints.iter().map(|one| place(one.address));
        assert!(places.eq(0..300));
        assert!(settings.cluster.outlier.is_some());
        let safe = settings.safe.retry.unwrap();
        let careful = settings.careful.retry.unwrap();
        assert!(safe.on.contains(&RetryCondition::GatewayError));
        assert!(!careful.on.contains(&RetryCondition::GatewayError));
    }

    #[test]
    fn faults_of_a_policy_have_its_paths() {
        let faults = |policy| match of(&policy).unwrap_err() {
            Failure::Invalid(faults) => faults.iter().map(ToString::to_string).collect(),
            other => vec![other.to_string()],
        };
        let unknown = faults(json!({"retry": {"retires": 3}}));
        assert_eq!(
            unknown,
            ["policy.retry.retires: unknown field; did you mean \"retries\"?"]
        );
        let wrong = faults(json!({"outlierDetection": {"maxEjectionPercent": 200}}));
        assert!(
            wrong[0].starts_with("policy.outlierDetection.maxEjectionPercent: "),
            "{wrong:?}"
        );
    }

    #[test]
    fn what_is_not_simulated_is_named() {
        let settings = of(&json!({"connection": {"max": 3}})).unwrap();
        assert_eq!(settings.passed_over(), ["connection.max"]);
        assert!(of(&json!({})).unwrap().passed_over().is_empty());
    }
}
