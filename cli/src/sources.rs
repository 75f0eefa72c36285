//! The files behind `-f`: a file, a directory with everything below it, or
//! standard input.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use evenkeel_control_plane::model;
use evenkeel_control_plane::store::ResourceKey;
use evenkeel_shared::document::{self, Document, DocumentError};
use evenkeel_shared::error::Invalid;
use evenkeel_shared::proto::v1::{Resource, ResourceId};

use crate::failure::Failure;
use crate::kind;
use crate::render::conceal::Concealed;
use crate::render::fault::Fault;

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;
/// Deepest directory that is followed.
const MAX_DEPTH: usize = 32;
/// The name of standard input in errors.
const STDIN: &str = "<stdin>";

/// Which files.
#[derive(Debug, Clone, Args)]
pub(crate) struct Files {
    /// File or directory (with all .yaml, .yml and .json below it that are not
    /// hidden) to read; `-` is standard input. May be given several times.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// What the files say.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The documents, in the order of the files; damaged ones only beside
    /// faults.
    pub(crate) documents: Vec<Document>,
    /// Whether there are documents that could not even be told apart.
    is_partial: bool,
    texts: BTreeMap<String, Concealed>,
}

impl Sources {
    /// Reads all files.
    ///
    /// # Errors
    /// A file that cannot be read; everything that is wrong in those that can,
    /// in what each document means as well.
    pub(crate) fn read(files: &Files) -> Result<Self, Failure> {
        let (sources, mut faults) = Self::read_all(files)?;
        if faults.is_empty() {
            return Ok(sources);
        }
        faults.extend(sources.check(false));
        Err(Failure::Invalid(faults))
    }

    /// Reads all files: what can be read, and what is wrong with the rest.
    ///
    /// # Errors
    /// A file that cannot be read; no document at all, and nothing wrong.
    pub(crate) fn read_all(files: &Files) -> Result<(Self, Vec<Fault>), Failure> {
        let mut sources = Self::default();
        let mut errors = Vec::new();
        for path in &files.files {
            for (name, text) in texts(path)? {
                let reading = document::read_all(&name, &text);
                sources.texts.insert(name, Concealed::new(&text));
                sources.documents.extend(reading.documents);
                sources.is_partial |= reading.is_partial;
                errors.extend(reading.errors);
            }
        }
        let (documents, doubles) = document::refuse_duplicates(sources.documents);
        sources.documents = documents;
        errors.extend(doubles);
        if sources.documents.is_empty() && errors.is_empty() {
            return Err(Failure::Failed("the files hold no document".to_owned()));
        }
        let faults = errors
            .into_iter()
            .map(|error| sources.fault(error))
            .collect();
        Ok((sources, faults))
    }

    /// The resources of all documents.
    pub(crate) fn resources(&self) -> Vec<Resource> {
        self.documents
            .iter()
            .map(|document| document.resource.clone())
            .collect()
    }

    /// The ids of all documents.
    pub(crate) fn ids(&self) -> Vec<ResourceId> {
        let resources = self.documents.iter().map(|document| &document.resource);
        resources
            .map(|resource| kind::id(kind::of(resource), &resource.name))
            .collect()
    }

    /// A fault of a resource, at its place in the file if it came from one.
    pub(crate) fn locate(&self, id: &ResourceId, fault: Invalid) -> Fault {
        let found = self.documents.iter().find(|document| {
            kind::of(&document.resource) == id.kind() && document.resource.name == id.name
        });
        if let Some(document) = found {
            return self.fault(document.error(fault));
        }
        let resource = format!("{}/{}", kind::word(id.kind()), id.name);
        Fault::elsewhere(Some(resource), &fault.path, &fault.reason)
    }

    /// What is wrong with what the documents mean: with each by itself, or with
    /// the `whole` of them, if all of them are there. What may only be wrong
    /// because a field could not be read is left out.
    pub(crate) fn check(&self, whole: bool) -> Vec<Fault> {
        let found: Vec<(&Document, Invalid)> = if whole && !self.is_partial {
            self.check_together()
        } else {
            let documents = self.documents.iter();
            let faults = documents.map(|document| {
                let faults = model::check_one(&document.resource, document.is_damaged());
                faults.into_iter().map(move |fault| (document, fault))
            });
            faults.flatten().collect()
        };
        found
            .into_iter()
            .filter(|(document, fault)| !document.is_doubtful(&fault.path))
            .map(|(document, fault)| self.fault(document.error(fault)))
            .collect()
    }

    fn check_together(&self) -> Vec<(&Document, Invalid)> {
        let key = |document: &Document| {
            let resource = &document.resource;
            ResourceKey::new(kind::of(resource), resource.name.clone())
        };
        let documents = self.documents.iter();
        let by_key: BTreeMap<ResourceKey, &Document> = documents
            .map(|document| (key(document), document))
            .collect();
        let damaged = by_key.iter().filter(|(_, document)| document.is_damaged());
        let damaged = damaged.map(|(key, _)| key.clone()).collect();
        let state = by_key
            .iter()
            .map(|(key, document)| (key.clone(), document.resource.clone()));
        let faults = model::check_damaged(&state.collect(), &damaged).into_iter();
        faults
            .filter_map(|fault| Some((*by_key.get(&fault.key)?, fault.invalid)))
            .collect()
    }

    fn fault(&self, error: DocumentError) -> Fault {
        let text = self.texts.get(&error.location.file);
        Fault::in_file(error, text)
    }
}

/// The texts behind one `-f`, with their names.
fn texts(path: &Path) -> Result<Vec<(String, String)>, Failure> {
    if path == Path::new("-") {
        let text = limited(std::io::stdin().lock(), STDIN)?;
        return Ok(vec![(STDIN.to_owned(), text)]);
    }
    let mut files = Vec::new();
    collect(path, 0, &mut files)?;
    if files.is_empty() {
        let name = path.display();
        return Err(Failure::Failed(format!(
            "{name}: no .yaml, .yml or .json file in it"
        )));
    }
    files
        .into_iter()
        .map(|file| {
            let name = file.display().to_string();
            let opened = std::fs::File::open(&file).map_err(|error| unreadable(&name, &error))?;
            Ok((name.clone(), limited(opened, &name)?))
        })
        .collect()
}

/// The file, or the files below the directory, in the order of their names.
fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let name = path.display().to_string();
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth > MAX_DEPTH {
        return Err(Failure::Failed(format!(
            "{name}: more than {MAX_DEPTH} directories deep"
        )));
    }
    let mut entries: Vec<PathBuf> = std::fs::read_dir(path)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect()
        })
        .map_err(|error| unreadable(&name, &error))?;
    entries.sort();
    for entry in entries {
        if !is_hidden(&entry) && (entry.is_dir() || is_document(&entry)) {
            collect(&entry, depth + 1, files)?;
        }
    }
    Ok(())
}

/// Not meant to be looked at: a repository's `.git`, or the directory behind a
/// mounted `ConfigMap`, which holds each of its files a second time.
fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

fn is_document(path: &Path) -> bool {
    path.extension()
        .is_some_and(|kind| kind == "yaml" || kind == "yml" || kind == "json")
}

fn limited(source: impl Read, name: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let size = source
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(name, &error))?;
    if u64::try_from(size).is_ok_and(|size| size > MAX_FILE) {
        return Err(Failure::Failed(format!(
            "{name}: larger than {MAX_FILE} bytes"
        )));
    }
    String::from_utf8(bytes).map_err(|_| Failure::Failed(format!("{name}: not UTF-8 text")))
}

fn unreadable(name: &str, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("cannot read {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str) -> String {
        format!("kind: Cluster\nname: {name}\nspec: {{endpoints: {{static: []}}}}\n")
    }

    fn written(files: &[(&str, String)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        directory
    }

    fn files(path: &Path) -> Files {
        Files {
            files: vec![path.to_owned()],
        }
    }

    #[test]
    fn directories_are_read_with_everything_below_in_order() {
        let directory = written(&[
            ("b.yaml", cluster("b")),
            ("a/deep/a.yml", cluster("a")),
            ("..data/b.yaml", cluster("b")),
            ("notes.txt", "kind: [".to_owned()),
        ]);
        let sources = Sources::read(&files(directory.path())).unwrap();
        let names: Vec<&str> = sources
            .documents
            .iter()
            .map(|document| document.resource.name.as_str())
            .collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_resource_in_two_files_is_a_fault_that_names_both() {
        let directory = written(&[("a.yaml", cluster("cart")), ("b.yaml", cluster("cart"))]);
        let Failure::Invalid(faults) = Sources::read(&files(directory.path())).unwrap_err() else {
            panic!("a double is invalid");
        };
        assert_eq!(faults.len(), 1);
        let shown = faults[0].to_string();
        assert!(shown.contains("b.yaml:2:7"), "{shown}");
        assert!(shown.contains("a.yaml:2:7"), "{shown}");
    }

    #[test]
    fn a_fault_found_by_the_server_is_shown_in_the_file() {
        let directory = written(&[("a.yaml", cluster("cart"))]);
        let sources = Sources::read(&files(directory.path())).unwrap();
        let id = &sources.ids()[0];
        let fault = sources.locate(id, Invalid::new("endpoints.static", "must not be empty"));
        let shown = fault.to_string();
        assert!(shown.contains("a.yaml:3:"), "{shown}");
        assert!(
            shown.ends_with("Cluster/cart: endpoints.static: must not be empty"),
            "{shown}"
        );
    }

    #[test]
    fn what_the_documents_mean_is_checked_in_the_file() {
        let text = "kind: Cluster\nname: cart\nspec:\n  endpoints:\n    static:\n      - address: nowhere\n";
        let directory = written(&[("a.yaml", text.to_owned())]);
        let sources = Sources::read(&files(directory.path())).unwrap();
        for whole in [true, false] {
            let faults = sources.check(whole);
            assert_eq!(faults.len(), 1);
            let shown = faults[0].to_string();
            assert!(shown.contains("a.yaml:6:"), "{shown}");
        }
    }

    #[test]
    fn a_part_may_refer_to_what_is_elsewhere() {
        let text = "kind: Cluster\nname: cart\nspec: {endpoints: {ref: carts}}\n";
        let directory = written(&[("a.yaml", text.to_owned())]);
        let sources = Sources::read(&files(directory.path())).unwrap();
        assert_eq!(sources.check(true).len(), 1);
        assert!(sources.check(false).is_empty());
    }

    #[test]
    fn what_could_not_be_read_is_not_called_missing_or_dangling() {
        let text = "kind: Cluster\nname: cart\nspec:\n  endpoints: {ref: carts}\n  policy: slow\n  \
                    connection: {connectTimeout: 5 parsecs, max: 0}\n---\n\
                    kind: Endpoints\nname: carts\nspec: {endpoint: []}\n---\n\
                    kind: Policy\nname: slow\nspec: {timeouts: {request: soon}}\n---\n\
                    kind: Listener\nname: edge\nspec: {adress: 1}\n---\n\
                    kind: Route\nname: shop\nspec:\n  listeners: [edge]\n  rules:\n  \
                    - {policy: slow, timeouts: {perTry: 20s}, clusters: [{name: gone}]}\n";
        let directory = written(&[("a.yaml", text.to_owned())]);
        let (sources, faults) = Sources::read_all(&files(directory.path())).unwrap();
        assert_eq!(faults.len(), 4, "{faults:?}");
        let meant: Vec<String> = sources
            .check(true)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(meant.len(), 2, "{meant:#?}");
        assert!(
            meant[1].contains("Cluster/cart: connection.max"),
            "{meant:#?}"
        );
        assert!(meant[0].contains("no Cluster of this name"), "{meant:#?}");
    }

    #[test]
    fn references_are_not_judged_while_a_document_cannot_be_named() {
        let text = "kind: Cluster\nname: cart\nspec: {endpoints: {ref: carts}}\n---\nkind: [\n";
        let directory = written(&[("a.yaml", text.to_owned())]);
        let (sources, faults) = Sources::read_all(&files(directory.path())).unwrap();
        assert_eq!(faults.len(), 1);
        assert!(sources.check(true).is_empty());
    }

    #[test]
    fn a_missing_file_is_named() {
        let failure = Sources::read(&files(Path::new("/nowhere/shop.yaml"))).unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        assert!(
            failure.to_string().contains("/nowhere/shop.yaml"),
            "{failure}"
        );
    }
}
