//! One operation: who may ask, what is given, what comes back.

use std::collections::{BTreeMap, BTreeSet};

use channels::wire::media_type;
use serde_json::{Map, Value, json};

use super::super::super::problem::Code;
use super::schema::reference;
use crate::auth::Access;

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Anyone,
    Agent,
    Person(Access),
}

/// The kinds of values in queries.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    Bool,
    /// From, to.
    Int(u64, u64),
    /// RFC 3339.
    Time,
    /// One of these.
    OneOf(&'static [&'static str]),
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Self::Text => json!({ "type": "string" }),
            Self::Bool => json!({ "type": "boolean" }),
            Self::Int(from, to) => json!({ "type": "integer", "minimum": from, "maximum": to }),
            Self::Time => json!({ "type": "string", "format": "date-time" }),
            Self::OneOf(values) => json!({ "type": "string", "enum": values }),
        }
    }
}

/// Name, kind, what it means; a name that ends in `!` is needed.
pub(super) type Query = (&'static str, Kind, &'static str);

/// An answer: status, media types with their shapes, what it is.
#[derive(Debug, Clone)]
struct Answer {
    what: &'static str,
    content: Vec<(&'static str, Value)>,
}

/// One operation while it is written down.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    who: Who,
    query: Vec<Query>,
    body: Option<(Vec<&'static str>, Value)>,
    answers: BTreeMap<u16, Answer>,
    problems: BTreeSet<Code>,
}

impl Operation {
    pub(super) fn new(
        method: &'static str,
        path: &'static str,
        who: Who,
        summary: &'static str,
    ) -> Self {
        let mut problems = BTreeSet::from([Code::Internal]);
        if who != Who::Anyone {
            problems.extend([Code::Unauthenticated, Code::Forbidden, Code::RateLimited]);
        }
        if let Who::Person(_) = who {
            problems.extend([Code::OutOfScope, Code::CrossSite]);
        }
        if path.contains('{') {
            problems.insert(Code::NotFound);
        }
        if method != "GET" {
            problems.extend([Code::QueueFull, Code::StoreUnavailable, Code::ShuttingDown]);
        }
        if who == Who::Agent {
            problems.extend([
                Code::InvalidSignature,
                Code::SignatureExpired,
                Code::UnknownCluster,
                Code::KeyReplaced,
                Code::ClusterRetired,
                Code::KeyRevoked,
                Code::Unprocessable,
            ]);
        }
        Self {
            method,
            path,
            summary,
            who,
            query: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            problems,
        }
    }

    /// Parameters of the query, and that they may be wrong.
    pub(super) fn query(mut self, query: &[Query]) -> Self {
        self.query.extend_from_slice(query);
        self.problems.insert(Code::InvalidRequest);
        self
    }

    /// A list by pages.
    pub(super) fn paged(mut self) -> Self {
        self.problems.insert(Code::InvalidCursor);
        self.query(&[
            ("cursor", Kind::Text, "`next` of the page before."),
            ("limit", Kind::Int(1, 500), "Rows in a page; 100 if not given."),
        ])
    }

    /// A body, and that it may be wrong. The first media type is the document's own.
    pub(super) fn body(mut self, types: &[&'static str], schema: Value) -> Self {
        self.body = Some((types.to_vec(), schema));
        self.problems.extend([
            Code::InvalidRequest,
            Code::InvalidJson,
            Code::BodyTooLarge,
            Code::UnsupportedMediaType,
            Code::Unprocessable,
        ]);
        self
    }

    /// A JSON body of these fields; names that end in `!` are needed.
    pub(super) fn json(self, fields: &[(&str, Value)]) -> Self {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for (name, schema) in fields {
            let key = name.trim_end_matches('!');
            if key != *name {
                required.push(key.to_owned());
            }
            properties.insert(key.to_owned(), schema.clone());
        }
        let schema = json!({ "type": "object", "properties": properties, "required": required });
        self.body(&["application/json"], schema)
    }

    fn answered(
        mut self,
        status: u16,
        what: &'static str,
        content: Vec<(&'static str, Value)>,
    ) -> Self {
        self.answers.insert(status, Answer { what, content });
        self
    }

    /// A JSON answer of this shape.
    pub(super) fn answers(self, status: u16, shape: &str, what: &'static str) -> Self {
        self.answered(status, what, vec![("application/json", reference(shape))])
    }

    /// An answer in other forms.
    pub(super) fn answers_as(
        self,
        status: u16,
        types: &[&'static str],
        shape: &str,
        what: &'static str,
    ) -> Self {
        let content = types.iter().map(|name| (*name, reference(shape))).collect();
        self.answered(status, what, content)
    }

    /// An answer without a body.
    pub(super) fn answers_nothing(self, status: u16, what: &'static str) -> Self {
        self.answered(status, what, Vec::new())
    }

    /// The same rows as CSV and NDJSON.
    pub(super) fn exported(mut self) -> Self {
        if let Some(answer) = self.answers.get_mut(&200) {
            let text = json!({ "type": "string" });
            answer.content.extend([("text/csv", text.clone()), ("application/x-ndjson", text)]);
        }
        self.query(&[(
            "format",
            Kind::OneOf(&["json", "ndjson", "csv"]),
            "How to write it; else by `Accept`. `ndjson` and `csv` are all rows.",
        )])
    }

    /// Answers 304 to who has it already.
    pub(super) fn tagged(self) -> Self {
        self.answers_nothing(304, "`If-None-Match` names this version.")
    }

    /// What else may go wrong.
    pub(super) fn problems(mut self, codes: &[Code]) -> Self {
        self.problems.extend(codes);
        self
    }

    pub(super) fn path(&self) -> &'static str {
        self.path
    }

    pub(super) fn method(&self) -> &'static str {
        self.method
    }

    /// The operation as the document has it.
    pub(super) fn render(&self) -> Value {
        let mut operation = Map::new();
        operation.insert("summary".to_owned(), json!(self.summary));
        let words: Vec<&str> = self.path.split(['/', '{', '}']).filter(|w| !w.is_empty()).collect();
        let id = format!("{}-{}", self.method.to_lowercase(), words.join("-"));
        operation.insert("operationId".to_owned(), json!(id));
        operation.insert("parameters".to_owned(), Value::Array(self.parameters()));
        if let Some((types, schema)) = &self.body {
            let content: Map<String, Value> =
                types.iter().map(|t| ((*t).to_owned(), json!({ "schema": schema }))).collect();
            let body = json!({ "required": true, "content": content });
            operation.insert("requestBody".to_owned(), body);
        }
        operation.insert("responses".to_owned(), Value::Object(self.responses()));
        let security = match self.who {
            Who::Anyone => json!([]),
            Who::Agent => json!([{ "agent": [] }]),
            Who::Person(access) => {
                operation.insert("x-fairway-access".to_owned(), json!(access));
                json!([{ "token": [] }])
            }
        };
        operation.insert("security".to_owned(), security);
        Value::Object(operation)
    }

    fn parameters(&self) -> Vec<Value> {
        let in_path = self.path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(
            |(name, _)| {
                let is_number = name == "id" && !self.path.starts_with("/api/v1/clusters/");
                let schema = if is_number {
                    json!({ "type": "integer", "minimum": 0 })
                } else {
                    json!({ "type": "string", "minLength": 1 })
                };
                // Paths of files go on over slashes in actix' own notation.
                let name = name.split(':').next().unwrap_or_default();
                json!({ "name": name, "in": "path", "required": true, "schema": schema })
            },
        );
        let in_query = self.query.iter().map(|(name, kind, what)| {
            let key = name.trim_end_matches('!');
            json!({ "name": key, "in": "query", "required": key != *name,
                    "schema": kind.schema(), "description": what })
        });
        in_path.chain(in_query).collect()
    }

    fn responses(&self) -> Map<String, Value> {
        let mut responses: Map<String, Value> = self
            .answers
            .iter()
            .map(|(status, answer)| {
                let content: Map<String, Value> = answer
                    .content
                    .iter()
                    .map(|(media, schema)| ((*media).to_owned(), json!({ "schema": schema })))
                    .collect();
                let mut response = json!({ "description": answer.what });
                if !content.is_empty()
                    && let Value::Object(fields) = &mut response
                {
                    fields.insert("content".to_owned(), Value::Object(content));
                }
                (status.to_string(), response)
            })
            .collect();
        let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
        for code in &self.problems {
            by_status.entry(code.status().as_u16()).or_default().push(*code);
        }
        for (status, codes) in by_status {
            let named: Vec<String> =
                codes.iter().map(|c| format!("`{}`: {}", c.slug(), c.title())).collect();
            let mut content = json!({ (media_type::PROBLEM): { "schema": reference("problem") } });
            if !self.path.starts_with("/api/")
                && let Value::Object(content) = &mut content
            {
                // For those who ask for a page.
                content.insert("text/html".to_owned(), json!({ "schema": { "type": "string" } }));
            }
            let problem = json!({ "description": named.join(". "), "content": content });
            responses.entry(status.to_string()).or_insert(problem);
        }
        responses
    }
}
