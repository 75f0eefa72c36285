//! One call with messages that are only known at run time.

use std::collections::BTreeSet;
use std::io::Read;

use bytes::Bytes;
use futures_util::StreamExt;
use http::uri::PathAndQuery;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage, Value};
use tonic::metadata::{MetadataKey, MetadataValue};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::codec::Raw;
use super::reflection::Reflection;
use super::{CallArgs, describe};
use crate::client;
use crate::failure::Failure;
use crate::render::{Terminal, json};

/// Largest message that is taken, in bytes.
const MAX_MESSAGE: usize = 256 << 20;
/// Most rounds of looking up types of `Any` inside of `Any`.
const MAX_NESTING: usize = 16;
/// The message that holds any other.
const ANY: &str = "google.protobuf.Any";

/// Calls, and shows every answer as it comes.
pub(super) async fn run(
    args: &CallArgs,
    reflection: &mut Reflection,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let Some((service, name)) = args.method.rsplit_once('/') else {
        let method = &args.method;
        return Err(Failure::Usage(format!("`{method}` is not SERVICE/METHOD")));
    };
    reflection.learn_symbol(service).await?;
    let method = describe::one_method(reflection.pool(), &args.method)
        .ok_or_else(|| Failure::Failed(format!("{service} has no method {name}")))?;
    let requests = requests(&args.data, reflection, &method.input()).await?;
    if !method.is_client_streaming() && requests.len() != 1 {
        return Err(Failure::Usage(format!(
            "{} takes one message, not {}",
            args.method,
            requests.len()
        )));
    }
    let output = method.output();
    let exchange = exchange(args, requests, reflection, &output, terminal);
    match args.timeout {
        None => exchange.await,
        Some(limit) => tokio::time::timeout(limit, exchange)
            .await
            .map_err(|_| Failure::Failed(format!("the call took longer than {limit:?}")))?,
    }
}

async fn exchange(
    args: &CallArgs,
    requests: Vec<Bytes>,
    reflection: &mut Reflection,
    output: &MessageDescriptor,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let path = PathAndQuery::try_from(format!("/{}", args.method))
        .map_err(|error| Failure::Usage(format!("`{}`: {error}", args.method)))?;
    let sent = futures_util::stream::iter(requests);
    let held = args.keep_open;
    let rest = futures_util::stream::once(async move {
        if held {
            std::future::pending::<()>().await;
        }
    });
    // `rest` gives nothing; it only keeps the stream from ending.
    let stream = sent.map(Some).chain(rest.map(|()| None));
    let mut request = Request::new(stream.filter_map(std::future::ready));
    metadata(&args.headers, &mut request)?;
    let mut grpc =
        tonic::client::Grpc::new(reflection.link()).max_decoding_message_size(MAX_MESSAGE);
    let address = reflection.address().to_owned();
    let failed = |status: Status| failure(&address, &status);
    grpc.ready()
        .await
        .map_err(|error| failed(Status::unavailable(error.to_string())))?;
    let mut answers = grpc
        .streaming(request, path, Raw)
        .await
        .map_err(failed)?
        .into_inner();
    while let Some(answer) = answers.message().await.map_err(failed)? {
        let message = understood(answer, reflection, output).await?;
        let value = json::dynamic_value(&message, !args.emit_defaults)
            .map_err(|error| Failure::Failed(format!("cannot show the answer: {error}")))?;
        terminal.json(&value)?;
        terminal.flush()?;
    }
    Ok(())
}

/// The messages to send, encoded.
async fn requests(
    data: &str,
    reflection: &mut Reflection,
    input: &MessageDescriptor,
) -> Result<Vec<Bytes>, Failure> {
    let text = if data == "-" {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .read_to_string(&mut text)
            .map_err(|error| Failure::Failed(format!("cannot read standard input: {error}")))?;
        text
    } else {
        data.to_owned()
    };
    let values = serde_json::Deserializer::from_str(&text)
        .into_iter::<serde_json::Value>()
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Failure::Usage(format!("the data is not JSON: {error}")))?;
    for symbol in values.iter().flat_map(types_in_json) {
        reflection.learn_symbol(&symbol).await?;
    }
    let input = current(reflection.pool(), input);
    values
        .into_iter()
        .map(|value| {
            let message = DynamicMessage::deserialize(input.clone(), value).map_err(|error| {
                Failure::Usage(format!("the data is not a {}: {error}", input.full_name()))
            })?;
            Ok(Bytes::from(message.encode_to_vec()))
        })
        .collect()
}

/// The descriptor in the newest state of the pool.
fn current(pool: &DescriptorPool, message: &MessageDescriptor) -> MessageDescriptor {
    pool.get_message_by_name(message.full_name())
        .unwrap_or_else(|| message.clone())
}

/// Types named by `@type` anywhere in a JSON value.
fn types_in_json(value: &serde_json::Value) -> Vec<String> {
    let mut found = Vec::new();
    match value {
        serde_json::Value::Object(entries) => {
            if let Some(serde_json::Value::String(url)) = entries.get("@type") {
                found.push(type_name(url).to_owned());
            }
            found.extend(entries.values().flat_map(types_in_json));
        }
        serde_json::Value::Array(items) => found.extend(items.iter().flat_map(types_in_json)),
        _ => {}
    }
    found
}

/// Decodes an answer, and asks the server for the types inside of it that are
/// not known yet.
async fn understood(
    bytes: Bytes,
    reflection: &mut Reflection,
    output: &MessageDescriptor,
) -> Result<DynamicMessage, Failure> {
    let mut asked = BTreeSet::new();
    for _ in 0..MAX_NESTING {
        let descriptor = current(reflection.pool(), output);
        let message = decode(descriptor, &bytes)?;
        let mut missing = BTreeSet::new();
        unknown_types(&message, reflection.pool(), &mut missing);
        missing.retain(|symbol| !asked.contains(symbol));
        if missing.is_empty() {
            return Ok(message);
        }
        for symbol in missing {
            // A server need not describe what it carries for others.
            drop(reflection.learn_symbol(&symbol).await);
            asked.insert(symbol);
        }
    }
    decode(current(reflection.pool(), output), &bytes)
}

fn decode(descriptor: MessageDescriptor, bytes: &Bytes) -> Result<DynamicMessage, Failure> {
    DynamicMessage::decode(descriptor, bytes.clone())
        .map_err(|error| Failure::Failed(format!("the answer cannot be decoded: {error}")))
}

/// Adds the types of every `Any` that the pool does not know.
fn unknown_types(message: &DynamicMessage, pool: &DescriptorPool, found: &mut BTreeSet<String>) {
    if message.descriptor().full_name() == ANY {
        let url = message.get_field_by_name("type_url");
        let value = message.get_field_by_name("value");
        let name = url
            .as_deref()
            .and_then(Value::as_str)
            .map(type_name)
            .unwrap_or_default();
        let bytes = value.as_deref().and_then(Value::as_bytes);
        match (pool.get_message_by_name(name), bytes) {
            (Some(inner), Some(bytes)) => {
                if let Ok(inner) = DynamicMessage::decode(inner, bytes.clone()) {
                    unknown_types(&inner, pool, found);
                }
            }
            _ if !name.is_empty() => {
                found.insert(name.to_owned());
            }
            _ => {}
        }
        return;
    }
    for (_, value) in message.fields() {
        unknown_in_value(value, pool, found);
    }
}

fn unknown_in_value(value: &Value, pool: &DescriptorPool, found: &mut BTreeSet<String>) {
    match value {
        Value::Message(inner) => unknown_types(inner, pool, found),
        Value::List(items) => {
            for item in items {
                unknown_in_value(item, pool, found);
            }
        }
        Value::Map(entries) => {
            for item in entries.values() {
                unknown_in_value(item, pool, found);
            }
        }
        _ => {}
    }
}

/// `a.b.C` of `type.googleapis.com/a.b.C`.
fn type_name(url: &str) -> &str {
    url.rsplit_once('/').map_or(url, |(_, name)| name)
}

fn metadata<T>(headers: &[String], request: &mut Request<T>) -> Result<(), Failure> {
    for header in headers {
        let wrong = || Failure::Usage(format!("`{header}` is not NAME: VALUE"));
        let (name, value) = header.split_once(':').ok_or_else(wrong)?;
        let name = MetadataKey::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
        let value = MetadataValue::try_from(value.trim()).map_err(|_| wrong())?;
        request.metadata_mut().insert(name, value);
    }
    Ok(())
}

fn failure(address: &str, status: &Status) -> Failure {
    if matches!(status.code(), Code::Unavailable | Code::Unauthenticated) {
        return client::failure(address, status);
    }
    let mut text = format!("{:?}: {}", status.code(), status.message());
    if let Some(bad) = status.get_details_bad_request() {
        for one in bad.field_violations {
            text.push_str("\n  ");
            text.push_str(&[one.field, one.description].join(": "));
        }
    }
    Failure::Failed(text)
}
