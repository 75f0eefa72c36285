//! The desired state, checked as a whole and complete: the last place where a
//! change can be refused. What passes here always compiles.
//!
//! Every fault of every resource is reported at once, with the path of the
//! field as its author wrote it. Settings come in layers (the resource, the
//! policy it names, the defaults) that are merged field by field, so that the
//! defaults are nothing but the outermost policy.

mod cluster;
mod defaults;
mod effective;
mod endpoints;
mod fields;
mod health_check;
mod links;
mod listener;
mod merge;
mod policy;
mod proxy_group;
mod route;
#[cfg(test)]
pub(crate) mod samples;
mod secret;
mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use evenkeel_shared::error::{Faults, Invalid};
use evenkeel_shared::ir;
use evenkeel_shared::proto::v1;
use evenkeel_shared::proto::v1::resource::Spec;

pub use cluster::{Cluster, Source};
pub use effective::effective;
pub use links::{named, references};
pub use listener::Listener;
pub use proxy_group::{ProxyGroup, Selector};
pub use route::{Route, Rule};
pub use secret::{Secret, Source as SecretSource, text_faults};

use self::policy::Named;
use self::secret::{Form, Holding};
use crate::store::{DesiredState, ResourceKey};

/// Broken references of one resource that come with a suggestion.
const SUGGESTIONS: usize = 8;

/// Everything users want, checked and complete, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    /// Where proxies accept connections.
    pub listeners: BTreeMap<String, Listener>,
    /// Which requests go where.
    pub routes: BTreeMap<String, Route>,
    /// Groups of endpoints; whatever a route names is there.
    pub clusters: BTreeMap<String, Cluster>,
    /// Addresses, ordered; whatever a cluster names is there.
    pub endpoints: BTreeMap<String, Vec<ir::Endpoint>>,
    /// Which proxies get which listeners.
    pub proxy_groups: BTreeMap<String, ProxyGroup>,
    /// Certificates; whatever a listener or cluster names is there, and holds
    /// what it is named for.
    pub secrets: BTreeMap<String, Secret>,
}

/// What is wrong with a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModelFault {
    /// Which resource.
    pub key: ResourceKey,
    /// Where in it, and what.
    pub invalid: Invalid,
}

impl fmt::Display for ModelFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.invalid)
    }
}

/// Checks everything, in the form in which it is stored: what of a secret is not
/// sealed is a fault, and what is sealed was checked before it was.
///
/// # Errors
/// Every fault of every resource, ordered by kind and name of the resource.
pub fn check(state: &DesiredState) -> Result<Model, Vec<ModelFault>> {
    let (model, found) = survey(state, &BTreeSet::new(), Form::Stored);
    if found.is_empty() {
        Ok(model)
    } else {
        Err(found)
    }
}

/// Looks for faults in what users wrote, although some resources are damaged, which means that there
/// is more to them than what is here. What depends on what may be missing is
/// not judged; that a field is missing is reported all the same.
pub fn check_damaged(state: &DesiredState, damaged: &BTreeSet<ResourceKey>) -> Vec<ModelFault> {
    survey(state, damaged, Form::Written).1
}

/// Everything that can be read, and every fault.
fn survey(
    state: &DesiredState,
    damaged: &BTreeSet<ResourceKey>,
    form: Form,
) -> (Model, Vec<ModelFault>) {
    let mut sound = sound_policies(state);
    sound.retain(|name, _| !damaged.contains(&ResourceKey::new(v1::Kind::Policy, *name)));
    let mut model = Model::default();
    let mut found = Vec::new();
    for (key, resource) in state {
        let mut faults = Faults::new();
        let is_damaged = damaged.contains(key);
        let named = |name: &str| match (name, sound.get(name)) {
            _ if is_damaged => Named::Unknown,
            ("", _) => Named::Nothing,
            (_, Some(policy)) => Named::Known(policy),
            (_, None) => Named::Unknown,
        };
        model.read(resource, &named, form, &mut faults);
        dangling(state, resource, &mut faults);
        found.extend(faults.into_vec().into_iter().map(|invalid| ModelFault {
            key: key.clone(),
            invalid,
        }));
    }
    // Which listeners a damaged group selects for whom is not known.
    if damaged.iter().all(|key| key.kind != v1::Kind::ProxyGroup) {
        shared_addresses(&model, &mut found);
    }
    shared_rule_names(&model, &mut found);
    found.sort_by(|a, b| a.key.cmp(&b.key));
    (model, found)
}

/// Checks one resource by itself, as users write it, as far as that is possible without those it
/// refers to, and if it is damaged without what is missing.
pub fn check_one(resource: &v1::Resource, is_damaged: bool) -> Vec<Invalid> {
    let named = |name: &str| match name {
        "" if !is_damaged => Named::Nothing,
        _ => Named::Unknown,
    };
    let mut faults = Faults::new();
    Model::default().read(resource, &named, Form::Written, &mut faults);
    faults.into_vec()
}

impl Model {
    /// Adds a resource, as far as it can be read.
    fn read<'a>(
        &mut self,
        resource: &v1::Resource,
        named: &dyn Fn(&str) -> Named<'a>,
        form: Form,
        faults: &mut Faults,
    ) {
        let v1::Resource { name, spec } = resource;
        if let Err(reason) = fields::resource_name(name) {
            faults.add("name", reason);
        }
        let key = name.clone();
        match spec {
            Some(Spec::Listener(proto)) => {
                let read = listener::from_proto(proto, faults);
                self.listeners.extend(read.map(|read| (key, read)));
            }
            Some(Spec::Route(proto)) => {
                let read = route::from_proto(name, proto, named, faults);
                self.routes.extend(read.map(|read| (key, read)));
            }
            Some(Spec::Cluster(proto)) => {
                let read = cluster::from_proto(proto, named(&proto.policy), faults);
                self.clusters.extend(read.map(|read| (key, read)));
            }
            Some(Spec::Policy(proto)) => {
                policy::check(proto, faults);
                policy::contradictions(proto, faults);
            }
            Some(Spec::Endpoints(proto)) => {
                let read = endpoints::from_proto(&proto.endpoints, "endpoints", faults);
                self.endpoints.insert(key, read);
            }
            Some(Spec::ProxyGroup(proto)) => {
                let read = proxy_group::from_proto(proto, faults);
                self.proxy_groups.insert(key, read);
            }
            Some(Spec::Secret(proto)) => {
                let read = secret::from_proto(proto, form, faults);
                self.secrets.extend(read.map(|read| (key, read)));
            }
            None => faults.add("", "has no `spec`, which tells its kind"),
        }
    }
}

/// The policies that have no fault in themselves.
fn sound_policies(state: &DesiredState) -> BTreeMap<&str, &v1::Policy> {
    let policies = state.values().filter_map(|resource| match &resource.spec {
        Some(Spec::Policy(policy)) => Some((resource.name.as_str(), policy)),
        _ => None,
    });
    policies
        .filter(|(_, policy)| {
            let mut faults = Faults::new();
            policy::check(policy, &mut faults);
            policy::contradictions(policy, &mut faults);
            faults.is_empty()
        })
        .collect()
}

/// Notes references to what is not there, and to secrets that hold something
/// else. Only the first ones come with a suggestion, because that compares a name
/// with all others.
fn dangling(state: &DesiredState, resource: &v1::Resource, faults: &mut Faults) {
    let links = links::links(resource).into_iter();
    let (sound, broken): (Vec<_>, Vec<_>) = links.partition(|link| state.contains_key(&link.to));
    for link in sound {
        let held = match state.get(&link.to).and_then(|found| found.spec.as_ref()) {
            Some(Spec::Secret(secret)) => Holding::of(secret),
            _ => None,
        };
        if let (Some(held), Some(wanted)) = (held, link.holding)
            && held != wanted
        {
            let (name, held, wanted) = (&link.to.name, held.words(), wanted.words());
            faults.add(
                link.path,
                format!("invalid value {name:?}: this Secret holds {held}, not {wanted}"),
            );
        }
    }
    for (index, link) in broken.into_iter().enumerate() {
        let others = state
            .keys()
            .filter(|key| key.kind == link.to.kind && index < SUGGESTIONS)
            .map(|key| key.name.as_str());
        let hint = fields::suggestion(&link.to.name, others);
        let (kind, name) = (link.to.kind_label(), &link.to.name);
        faults.add(
            link.path,
            format!("invalid value {name:?}: there is no {kind} of this name{hint}"),
        );
    }
}

/// Notes listeners that one proxy could get and that bind the same address.
/// Port 0 is another port each time.
fn shared_addresses(model: &Model, found: &mut Vec<ModelFault>) {
    let mut by_address: BTreeMap<_, Vec<&String>> = BTreeMap::new();
    for (name, listener) in &model.listeners {
        if listener.address.port() != 0 {
            by_address.entry(listener.address).or_default().push(name);
        }
    }
    for (address, names) in by_address {
        for (index, name) in names.iter().enumerate() {
            let before = names.iter().take(index);
            if let Some(other) = before.copied().find(|other| meet(model, name, other)) {
                found.push(fault(
                    ResourceKey::new(v1::Kind::Listener, name.as_str()),
                    "address",
                    format!(
                        "invalid value \"{address}\": Listener/{other} has it too, and a proxy can get both"
                    ),
                ));
            }
        }
    }
}

/// Whether one proxy could get both listeners.
fn meet(model: &Model, one: &str, other: &str) -> bool {
    let holding = |name: &str| {
        let groups = model.proxy_groups.values();
        let holding = groups.filter(|group| group.listeners.contains(name));
        holding.map(|group| &group.selector).collect::<Vec<_>>()
    };
    let others = holding(other);
    model.proxy_groups.is_empty()
        || holding(one)
            .iter()
            .any(|selector| others.iter().any(|other| selector.may_overlap(other)))
}

/// Notes rules of one listener that share a name: they would share a rate limit
/// and could not be told apart.
fn shared_rule_names(model: &Model, found: &mut Vec<ModelFault>) {
    let mut owners: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for (route_name, route) in &model.routes {
        for (index, rule) in route.rules.iter().enumerate() {
            let holders: Vec<&str> = route
                .listeners
                .iter()
                .filter_map(|listener| owners.insert((listener, &rule.name), route_name))
                .collect();
            if let Some(holder) = holders.first() {
                found.push(fault(
                    ResourceKey::new(v1::Kind::Route, route_name.as_str()),
                    format!("rules[{index}].name"),
                    format!(
                        "invalid value {:?}: another rule of Route/{holder} on the same listener has this name",
                        rule.name
                    ),
                ));
            }
        }
    }
}

fn fault(key: ResourceKey, path: impl Into<String>, reason: String) -> ModelFault {
    ModelFault {
        key,
        invalid: Invalid::new(path, reason),
    }
}

#[cfg(test)]
mod tests;
