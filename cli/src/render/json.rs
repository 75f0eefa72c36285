//! Messages as proto-JSON, and messages between their generated and their
//! dynamic form.

use evenkeel_shared::document;
use evenkeel_shared::proto::DESCRIPTORS;
use evenkeel_shared::proto::v1;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;

use crate::failure::Failure;
use crate::render::conceal;

/// A message as proto-JSON, with the fields that have their default value, so
/// that scripts find every field.
pub(crate) fn value<M: Message>(name: &str, message: &M) -> Result<Value, Failure> {
    let pool = DescriptorPool::decode(DESCRIPTORS).map_err(|error| internal(&error))?;
    let descriptor = pool
        .get_message_by_name(&format!("evenkeel.v1.{name}"))
        .ok_or_else(|| Failure::Failed(format!("no message {name} in the schema")))?;
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .map_err(|error| internal(&error))?;
    dynamic_value(&dynamic, false).map_err(|error| internal(&error))
}

/// A dynamic message as proto-JSON.
pub(crate) fn dynamic_value(
    message: &DynamicMessage,
    skip_defaults: bool,
) -> Result<Value, serde_json::Error> {
    let options = SerializeOptions::new().skip_default_fields(skip_defaults);
    message.serialize_with_options(serde_json::value::Serializer, &options)
}

/// A list of changes, with the resources as documents.
pub(crate) fn changes(changes: &[v1::Change]) -> Result<Value, Failure> {
    changes
        .iter()
        .map(|change| {
            let bare = v1::Change {
                before: None,
                after: None,
                ..change.clone()
            };
            let mut entry = value("Change", &bare)?;
            let (before, after) = conceal::sides(change.before.as_ref(), change.after.as_ref());
            for (key, resource) in [("before", before), ("after", after)] {
                if let Some(resource) = resource {
                    entry[key] = document::to_json(&resource);
                }
            }
            Ok(entry)
        })
        .collect()
}

/// A JSON value as YAML.
pub(crate) fn yaml(value: &Value) -> Result<String, Failure> {
    serde_saphyr::to_string(value).map_err(|error| internal(&error))
}

fn internal(error: &dyn std::error::Error) -> Failure {
    Failure::Failed(format!("cannot show the answer: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_64_bits_are_text_and_defaults_are_there() {
        let status = v1::StatusResponse {
            revision: 12,
            proxies: vec![v1::ProxyStatus {
                id: "edge-1".to_owned(),
                ..v1::ProxyStatus::default()
            }],
            ..v1::StatusResponse::default()
        };
        let shown = value("StatusResponse", &status).unwrap();
        assert_eq!(shown["revision"], "12");
        assert_eq!(shown["proxies"][0]["id"], "edge-1");
        assert_eq!(shown["proxies"][0]["connected"], false);
    }

    #[test]
    fn changes_carry_documents() {
        let resource = v1::Resource {
            name: "cart".to_owned(),
            spec: Some(v1::resource::Spec::Cluster(v1::Cluster::default())),
        };
        let change = v1::Change {
            id: Some(crate::kind::id(v1::Kind::Cluster, "cart")),
            action: v1::ChangeAction::Created.into(),
            before: None,
            after: Some(resource),
        };
        let shown = changes(&[change]).unwrap();
        assert_eq!(shown[0]["after"]["kind"], "Cluster");
        assert_eq!(shown[0]["after"]["name"], "cart");
        assert_eq!(shown[0]["action"], "CHANGE_ACTION_CREATED");
    }
}
