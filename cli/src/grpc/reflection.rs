//! What a server tells of its own schema, asked for as it is needed.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use prost_reflect::DescriptorPool;
use prost_types::FileDescriptorProto;
use tonic::{Code, Status};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest as Question;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse as Answer;

use crate::client;
use crate::failure::Failure;
use crate::link::Link;

/// Most files that are taken from one server.
const MAX_FILES: usize = 10_000;

/// The schema of a server, as far as it is known.
#[derive(Debug)]
pub(super) struct Reflection {
    client: ServerReflectionClient<Link>,
    link: Link,
    address: String,
    pool: DescriptorPool,
}

impl Reflection {
    /// Knows nothing yet.
    pub(super) fn new(link: Link, address: String) -> Self {
        Self {
            client: ServerReflectionClient::new(link.clone()),
            link,
            address,
            pool: DescriptorPool::new(),
        }
    }

    /// The connection to the server.
    pub(super) fn link(&self) -> Link {
        self.link.clone()
    }

    /// Where the server is.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// What is known.
    pub(super) fn pool(&self) -> &DescriptorPool {
        &self.pool
    }

    /// Full names of the services, ordered.
    pub(super) async fn services(&mut self) -> Result<Vec<String>, Failure> {
        match self.ask(Question::ListServices(String::new())).await? {
            Answer::ListServicesResponse(list) => {
                let mut names: Vec<String> = list
                    .service
                    .into_iter()
                    .map(|service| service.name)
                    .collect();
                names.sort();
                Ok(names)
            }
            other => Err(self.unexpected(&other)),
        }
    }

    /// Learns the file in which a symbol is declared, and all it depends on.
    pub(super) async fn learn_symbol(&mut self, symbol: &str) -> Result<(), Failure> {
        if self.knows(symbol) {
            return Ok(());
        }
        let question = Question::FileContainingSymbol(symbol.to_owned());
        let mut files = BTreeMap::new();
        self.fetch(question, &mut files).await?;
        loop {
            let missing: BTreeSet<String> = files
                .values()
                .flat_map(|file: &FileDescriptorProto| file.dependency.iter())
                .filter(|name| {
                    !files.contains_key(*name) && self.pool.get_file_by_name(name).is_none()
                })
                .cloned()
                .collect();
            if missing.is_empty() {
                break;
            }
            for name in missing {
                self.fetch(Question::FileByFilename(name), &mut files)
                    .await?;
            }
        }
        let fresh = files
            .into_values()
            .filter(|file| self.pool.get_file_by_name(file.name()).is_none());
        let fresh: Vec<FileDescriptorProto> = fresh.collect();
        self.pool
            .add_file_descriptor_protos(fresh)
            .map_err(|error| self.broken(&error.to_string()))
    }

    fn knows(&self, symbol: &str) -> bool {
        self.pool.get_message_by_name(symbol).is_some()
            || self.pool.get_service_by_name(symbol).is_some()
            || self.pool.get_enum_by_name(symbol).is_some()
    }

    async fn fetch(
        &mut self,
        question: Question,
        files: &mut BTreeMap<String, FileDescriptorProto>,
    ) -> Result<(), Failure> {
        let Answer::FileDescriptorResponse(answer) = self.ask(question).await? else {
            return Err(self.broken("not a file"));
        };
        for bytes in answer.file_descriptor_proto {
            let file = FileDescriptorProto::decode(bytes.as_slice())
                .map_err(|error| self.broken(&error.to_string()))?;
            files.insert(file.name().to_owned(), file);
        }
        if files.len() > MAX_FILES {
            return Err(self.broken(&format!("more than {MAX_FILES} files")));
        }
        Ok(())
    }

    async fn ask(&mut self, question: Question) -> Result<Answer, Failure> {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(question),
        };
        let call = self
            .client
            .server_reflection_info(tokio_stream::iter([request]));
        let answer = match call.await {
            Ok(response) => response.into_inner().message().await,
            Err(status) => Err(status),
        };
        let answer = answer.map_err(|status| self.refused(&status))?;
        match answer.and_then(|answer| answer.message_response) {
            Some(Answer::ErrorResponse(error)) => Err(Failure::Failed(error.error_message)),
            Some(answer) => Ok(answer),
            None => Err(self.broken("an empty answer")),
        }
    }

    fn refused(&self, status: &Status) -> Failure {
        match status.code() {
            Code::Unimplemented => Failure::Failed(format!(
                "{} does not offer server reflection (grpc.reflection.v1)",
                self.address
            )),
            Code::NotFound => Failure::Failed(status.message().to_owned()),
            _ => client::failure(&self.address, status),
        }
    }

    fn broken(&self, what: &str) -> Failure {
        let address = &self.address;
        Failure::Failed(format!(
            "{address} describes itself in a way that is not usable: {what}"
        ))
    }

    fn unexpected(&self, answer: &Answer) -> Failure {
        let what = match answer {
            Answer::FileDescriptorResponse(_) => "a file",
            Answer::AllExtensionNumbersResponse(_) => "extension numbers",
            Answer::ListServicesResponse(_) => "services",
            Answer::ErrorResponse(_) => "an error",
        };
        self.broken(what)
    }
}
