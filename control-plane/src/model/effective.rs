//! The values that hold for a resource, and which layer each comes from.
//!
//! It walks the layers of `merge` field by field through the descriptors, so
//! that a new setting shows up here by itself.

use std::time::Duration;

use evenkeel_shared::proto::v1::resource::Spec;
use evenkeel_shared::proto::{DESCRIPTORS, v1};
use evenkeel_shared::units::format_duration;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, ReflectMessage, Value};

use super::{cluster, defaults, merge, route};
use crate::seal::redacted;
use crate::store::{DesiredState, ResourceKey};

const SET: &str = "set";
const DEFAULT: &str = "default";

/// A message with the settings of one layer, and what the layer is called.
struct Layer {
    origin: String,
    settings: DynamicMessage,
}

/// The values that hold for a resource of a checked state, in the order of the
/// fields; nothing for a resource that is not there.
pub fn effective(state: &DesiredState, key: &ResourceKey) -> Vec<v1::EffectiveValue> {
    let Ok(pool) = DescriptorPool::decode(DESCRIPTORS) else {
        return Vec::new();
    };
    let mut values = Vec::new();
    let resource = state.get(key).map(redacted);
    match resource.and_then(|resource| resource.spec) {
        Some(Spec::Listener(listener)) => {
            let layers = [
                layer(&pool, "Listener", SET, &listener),
                layer(&pool, "Listener", DEFAULT, &defaults::listener(&listener)),
            ];
            walk(
                "",
                &layers.into_iter().flatten().collect::<Vec<_>>(),
                &mut values,
            );
        }
        Some(Spec::Route(route)) => {
            for (index, rule) in route.rules.iter().enumerate() {
                let near = route::settings(rule);
                let layers = layers(
                    state,
                    &pool,
                    (&near, &rule.policy),
                    "RouteRule",
                    &|policy| rule_part(rule, policy).encode_to_vec(),
                );
                walk(&format!("rules[{index}]."), &layers, &mut values);
            }
        }
        Some(Spec::Cluster(cluster)) => {
            let near = cluster::settings(&cluster);
            let mut layers = layers(
                state,
                &pool,
                (&near, &cluster.policy),
                "Cluster",
                &|policy| cluster_part(policy).encode_to_vec(),
            );
            own_settings(&cluster, &mut layers);
            walk("", &layers, &mut values);
        }
        Some(Spec::Policy(policy)) => {
            let layers = layer(&pool, "Policy", SET, &policy);
            walk("", &layers.into_iter().collect::<Vec<_>>(), &mut values);
        }
        Some(Spec::Secret(secret)) => {
            let layers = layer(&pool, "Secret", SET, &secret);
            walk("", &layers.into_iter().collect::<Vec<_>>(), &mut values);
        }
        Some(Spec::Endpoints(_) | Spec::ProxyGroup(_)) | None => {}
    }
    values
}

fn layer(
    pool: &DescriptorPool,
    message: &str,
    origin: &str,
    settings: &impl Message,
) -> Option<Layer> {
    let bytes = settings.encode_to_vec();
    decode(pool, message, origin, &bytes)
}

fn decode(pool: &DescriptorPool, message: &str, origin: &str, bytes: &[u8]) -> Option<Layer> {
    let descriptor = pool.get_message_by_name(&format!("evenkeel.v1.{message}"))?;
    Some(Layer {
        origin: origin.to_owned(),
        settings: DynamicMessage::decode(descriptor, bytes).ok()?,
    })
}

/// The resource's own settings, those of the policy it names, and the defaults,
/// each written as a `message` by `part`.
fn layers(
    state: &DesiredState,
    pool: &DescriptorPool,
    (near, policy_name): (&v1::Policy, &str),
    message: &str,
    part: &dyn Fn(&v1::Policy) -> Vec<u8>,
) -> Vec<Layer> {
    let key = ResourceKey::new(v1::Kind::Policy, policy_name);
    let policy = state.get(&key).and_then(|resource| match &resource.spec {
        Some(Spec::Policy(policy)) => Some(policy),
        _ => None,
    });
    let explicit = policy.map_or_else(|| near.clone(), |policy| merge::policy(near, policy));
    let defaults = defaults::policy(&explicit);
    let named = policy.map(|policy| decode(pool, message, &key.to_string(), &part(policy)));
    [
        decode(pool, message, SET, &part(near)),
        named.flatten(),
        decode(pool, message, DEFAULT, &part(&defaults)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What of a policy holds for a rule: one that answers by itself neither waits
/// nor tries again.
fn rule_part(rule: &v1::RouteRule, policy: &v1::Policy) -> v1::RouteRule {
    let forwards = !rule.clusters.is_empty();
    v1::RouteRule {
        timeouts: policy.timeouts.filter(|_| forwards),
        retry: policy.retry.clone().filter(|_| forwards),
        rate_limit: policy.rate_limit.clone(),
        ..v1::RouteRule::default()
    }
}

fn cluster_part(policy: &v1::Policy) -> v1::Cluster {
    v1::Cluster {
        load_balancer: policy.load_balancer,
        circuit_breakers: policy.circuit_breakers,
        outlier_detection: policy.outlier_detection,
        connection: policy.connection,
        ..v1::Cluster::default()
    }
}

/// Puts the settings that no policy carries into the first and last layer.
fn own_settings(cluster: &v1::Cluster, layers: &mut [Layer]) {
    let own = |from: &v1::Cluster| v1::Cluster {
        protocol: from.protocol,
        tls: from.tls.clone(),
        health_check: from.health_check.clone(),
        proxy_protocol: from.proxy_protocol,
        ..v1::Cluster::default()
    };
    let merge = |layer: &mut Layer, settings: &v1::Cluster| {
        let bytes = own(settings).encode_to_vec();
        // It is what was encoded just now.
        let _ = layer.settings.merge(bytes.as_slice());
    };
    if let Some(last) = layers.last_mut() {
        merge(last, &defaults::cluster(cluster));
    }
    if let Some(first) = layers.first_mut() {
        merge(first, cluster);
    }
}

/// Lists the fields of all layers; the first layer that has one decides.
fn walk(prefix: &str, layers: &[Layer], values: &mut Vec<v1::EffectiveValue>) {
    let Some(first) = layers.first() else { return };
    for field in first.settings.descriptor().fields() {
        let holders = holders(layers, &field);
        let Some(nearest) = holders.first() else {
            continue;
        };
        let path = format!("{prefix}{}", field.json_name());
        let before = values.len();
        if is_section(&field) {
            let inner: Vec<Layer> = holders
                .iter()
                .filter_map(|holder| section(holder, &field))
                .collect();
            walk(&format!("{path}."), &inner, values);
        }
        if values.len() == before {
            values.push(v1::EffectiveValue {
                value: text(&nearest.settings.get_field(&field), &field),
                path,
                origin: nearest.origin.clone(),
            });
        }
    }
}

/// The layers that count for a field. Of alternatives, the nearest layer with
/// any of them decides, and beside it only the defaults of the same one.
fn holders<'a>(layers: &'a [Layer], field: &FieldDescriptor) -> Vec<&'a Layer> {
    let having = layers
        .iter()
        .filter(|layer| layer.settings.has_field(field));
    let Some(oneof) = field
        .containing_oneof()
        .filter(|oneof| !oneof.is_synthetic())
    else {
        return having.collect();
    };
    let decides = |layer: &&Layer| {
        let mut fields = oneof.fields();
        fields.any(|field| layer.settings.has_field(&field))
    };
    let Some(nearest) = layers.iter().find(decides) else {
        return Vec::new();
    };
    if !nearest.settings.has_field(field) {
        return Vec::new();
    }
    having
        .filter(|layer| layer.origin == nearest.origin || layer.origin == DEFAULT)
        .collect()
}

/// Whether a field has fields of its own.
fn is_section(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(message) => {
            !field.is_list() && message.full_name() != "google.protobuf.Duration"
        }
        _ => false,
    }
}

fn section(layer: &Layer, field: &FieldDescriptor) -> Option<Layer> {
    let value = layer.settings.get_field(field);
    Some(Layer {
        origin: layer.origin.clone(),
        settings: value.as_message()?.clone(),
    })
}

/// A value as it is written in YAML.
fn text(value: &Value, field: &FieldDescriptor) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::U32(value) => value.to_string(),
        Value::U64(value) => value.to_string(),
        Value::F64(value) => value.to_string(),
        Value::String(value) => quoted(value),
        Value::EnumNumber(number) => enumerator(*number, field),
        Value::List(values) => {
            let values: Vec<String> = values.iter().map(|value| text(value, field)).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Message(message) => duration(message).unwrap_or_else(|| fields(message)),
        other => format!("{other:?}"),
    }
}

/// The fields that are set, in braces.
fn fields(message: &DynamicMessage) -> String {
    let fields: Vec<String> = message
        .fields()
        .map(|(field, value)| format!("{}: {}", field.json_name(), text(value, &field)))
        .collect();
    format!("{{{}}}", fields.join(", "))
}

fn quoted(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:".contains(&b);
    if value.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && value.bytes().all(plain)
    {
        value.to_owned()
    } else {
        format!("{value:?}")
    }
}

/// The name of an enumerator without the name of its enumeration in front.
fn enumerator(number: i32, field: &FieldDescriptor) -> String {
    let Kind::Enum(kind) = field.kind() else {
        return number.to_string();
    };
    let prefix = |name: &str| {
        let mut prefix = String::new();
        for c in name.chars() {
            if c.is_ascii_uppercase() && !prefix.is_empty() {
                prefix.push('_');
            }
            prefix.push(c.to_ascii_uppercase());
        }
        prefix + "_"
    };
    kind.get_value(number).map_or_else(
        || number.to_string(),
        |value| {
            let name = value.name();
            let short = name.strip_prefix(&prefix(kind.name()));
            short.unwrap_or(name).to_owned()
        },
    )
}

fn duration(message: &DynamicMessage) -> Option<String> {
    if message.descriptor().full_name() != "google.protobuf.Duration" {
        return None;
    }
    let seconds = message.get_field_by_name("seconds")?.as_i64()?;
    let nanos = message.get_field_by_name("nanos")?.as_i32()?;
    let duration = prost_types::Duration { seconds, nanos };
    Duration::try_from(duration).ok().map(format_duration)
}
