//! What a route takes and answers, as its handler's types say it: the source of the OpenAPI document.
//!
//! Every extractor says what it reads ([`Input`]) and every answer what it shows ([`Output`]); a handler
//! is described by the types of its arguments and of its result ([`Described`]). Nothing is written
//! down a second time, so nothing can be wrong about it.

mod schemas;

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    extract::{Extension, RawQuery, Request, State},
    http::{HeaderMap, Method},
};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::{
    Accepted, Answer, Caller, Created, Error, Json, MaybeCaller, Path, Query, RequestInfo,
    answer::names, query::FIELDS,
};

pub use schemas::{Schemas, YEARS};

/// What a handler takes, as the document says it.
pub trait Input {
    /// Adds it to the operation.
    fn describe(operation: &mut Operation<'_>);
}

/// What a handler answers, as the document says it.
pub trait Output {
    /// Adds it to the operation.
    fn describe(operation: &mut Operation<'_>);

    /// The fields of its data, or of each entry, for `fields=`.
    fn fields() -> BTreeSet<String> {
        BTreeSet::new()
    }
}

/// A handler whose arguments and answer describe themselves.
pub trait Described<Arguments> {
    /// Adds both to the operation.
    fn describe(operation: &mut Operation<'_>);

    /// The fields of what it answers.
    fn fields() -> BTreeSet<String>;
}

/// A method of a path, while it is described.
pub struct Operation<'a> {
    /// The method.
    pub method: Method,
    /// The path, with the names of what varies in braces.
    pub path: &'static str,
    schemas: &'a mut Schemas,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<u16, Value>,
    failures: BTreeSet<u16>,
    /// Whether it does something else for who is known.
    may_be_known: bool,
    /// Whether what it answers has fields that can be chosen.
    has_fields: bool,
}

impl<'a> Operation<'a> {
    /// An operation of which nothing is said yet.
    pub fn new(method: Method, path: &'static str, schemas: &'a mut Schemas) -> Self {
        let failures = BTreeSet::from([408, 500, 503]);
        let (parameters, body, answers) = (Vec::new(), None, BTreeMap::new());
        let (may_be_known, has_fields) = (false, false);
        Self {
            method,
            path,
            schemas,
            parameters,
            body,
            answers,
            failures,
            may_be_known,
            has_fields,
        }
    }

    /// Whether it changes something.
    pub fn is_command(&self) -> bool {
        self.method != Method::GET
    }

    /// It needs no token, and heeds one.
    pub fn may_be_known(&mut self) {
        self.may_be_known = true;
    }

    /// It may be answered with this failure.
    pub fn fails(&mut self, statuses: &[u16]) {
        self.failures.extend(statuses);
    }

    /// It reads, and so can be asked for some fields, and whether anything has changed.
    pub fn reads(&mut self) {
        let tags = "The `ETag` of what the caller has: `304` without a body where it is still so.";
        self.header("If-None-Match", tags, &json!({ "type": "string" }));
        if self.has_fields {
            // Text, and not a list of their names: an answer of some of the fields is none of its schema.
            let fields = "Only these fields of the data, or of each entry, with commas between.";
            self.parameters.push(json!({
                "name": FIELDS, "in": "query", "required": false, "description": fields,
                "schema": { "type": "string" },
            }));
        }
        self.fails(&[304, 400]);
    }

    /// It answers something that has no envelope.
    pub fn answers_with(&mut self, content_type: &str, schema: &Value) {
        let content = json!({ content_type: { "schema": schema } });
        let response = json!({ "description": "It went well.", "content": content });
        self.answers.insert(200, response);
    }

    /// A header that it reads.
    pub fn header(&mut self, name: &str, description: &str, schema: &Value) {
        let known = self.parameters.iter().any(|parameter| parameter["name"] == name);
        if !known {
            self.parameters.push(json!({
                "name": name,
                "in": "header",
                "required": false,
                "description": description,
                "schema": schema,
            }));
        }
    }

    /// The operation as OpenAPI has it.
    pub fn finish(self) -> Value {
        let mut responses = Map::new();
        let takes = |name| self.parameters.iter().any(|parameter| parameter["name"] == name);
        let limits = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"];
        let told = [
            (takes("If-Match"), &["ETag"][..]),
            (takes("Idempotency-Key"), &["Idempotency-Replayed"]),
            (self.failures.contains(&429), &limits),
        ];
        let told = told.iter().filter(|(is_told, _)| *is_told).flat_map(|(_, names)| *names);
        for (status, mut response) in self.answers {
            for name in told.clone() {
                response["headers"][*name] =
                    json!({ "$ref": format!("#/components/headers/{name}") });
            }
            responses.insert(status.to_string(), response);
        }
        for status in self.failures {
            let response = json!({ "$ref": format!("#/components/responses/{status}") });
            responses.insert(status.to_string(), response);
        }
        let mut operation = Map::new();
        operation.insert("parameters".into(), self.parameters.into());
        if let Some(body) = self.body {
            operation.insert("requestBody".into(), body);
        }
        operation.insert("responses".into(), responses.into());
        if self.may_be_known {
            operation.insert("security".into(), json!([{}, { "bearer": [] }]));
        }
        Value::Object(operation)
    }

    fn answers<T: JsonSchema>(&mut self, status: u16) {
        let schema = self.schemas.shown.subschema_for::<T>();
        let is_list = schema.get("type").is_some_and(|kind| kind == "array");
        let meta = if is_list { "ListMeta" } else { "Meta" };
        let mut headers =
            json!({ "X-Request-ID": { "$ref": "#/components/headers/X-Request-ID" } });
        if status == 201 {
            headers["Location"] = json!({ "$ref": "#/components/headers/Location" });
        }
        if self.method == Method::GET {
            headers["ETag"] = json!({ "$ref": "#/components/headers/ETag" });
        }
        let content = json!({ "application/json": { "schema": {
            "type": "object",
            "required": ["success", "data", "meta"],
            "properties": {
                "success": { "const": true },
                "data": schema,
                "meta": { "$ref": format!("#/components/schemas/{meta}") },
            },
        } } });
        let description = match status {
            201 => "It was made.",
            202 => "It is taken.",
            _ => "It went well.",
        };
        let response =
            json!({ "description": description, "headers": headers, "content": content });
        self.answers.insert(status, response);
    }

    /// A parameter for every field of a type.
    pub fn query<T: JsonSchema>(&mut self) {
        let schema = self.schemas.read.root_schema_for::<T>();
        // What it refers to is wanted beside it, and by the names of the document.
        self.schemas.read.subschema_for::<T>();
        let required =
            schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        let fields = schema.get("properties").and_then(Value::as_object).cloned();
        for (name, mut schema) in fields.unwrap_or_default() {
            let description =
                schema.as_object_mut().and_then(|schema| schema.remove("description"));
            without_null(&mut schema);
            let mut parameter = json!({
                "name": name,
                "in": "query",
                "required": required.contains(&Value::String(name)),
                "schema": schema,
            });
            if let Some(description) = description {
                parameter["description"] = description;
            }
            self.parameters.push(parameter);
        }
    }

    /// There is nothing that it does without a body, though no single field of it is needed.
    pub fn needs_body(&mut self) {
        if let Some(body) = &mut self.body {
            body["required"] = true.into();
        }
    }

    /// What varies in the path.
    fn in_path<T: JsonSchema>(&mut self) {
        let schema = self.schemas.read.subschema_for::<T>().to_value();
        let parts = schema.get("prefixItems").and_then(Value::as_array).cloned();
        let parts = parts.unwrap_or_else(|| vec![schema]);
        let names =
            self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        for (name, schema) in names.zip(parts) {
            self.parameters.push(json!({
                "name": name, "in": "path", "required": true, "schema": schema,
            }));
        }
    }

    /// A body of JSON.
    pub fn body<T: JsonSchema>(&mut self) {
        let schema = self.schemas.read.subschema_for::<T>();
        let whole = self.schemas.read.root_schema_for::<T>();
        let needs = whole.get("required").and_then(Value::as_array);
        let required = needs.is_some_and(|fields| !fields.is_empty());
        let content = json!({ "application/json": { "schema": schema } });
        self.body = Some(json!({ "required": required, "content": content }));
    }
}

/// A parameter is there with a value, or not there: it is never null.
fn without_null(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    fields.remove("default");
    if let Some(Value::Array(kinds)) = fields.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = &kinds[..] {
            let only = only.clone();
            fields.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(values)) = fields.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(kinds)) = fields.get_mut("anyOf") {
        kinds.retain(|kind| kind["type"] != "null");
        if let [only] = &mut kinds[..] {
            let only = only.take();
            *schema = only;
        }
    }
}

/// Says what a type looks like in the document whose `Deserialize` is written by hand.
#[macro_export]
macro_rules! looks_like {
    ($kind:ident: $schema:tt) => {
        impl ::schemars::JsonSchema for $kind {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($kind).into()
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!($schema)
            }
        }
    };
}

/// The names of the fields of a schema, or of the entries of a list, behind references.
pub(crate) fn fields_of(root: &Value, schema: &Value) -> BTreeSet<String> {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map(|target| fields_of(root, target)).unwrap_or_default();
    }
    let own = schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    let mut names: BTreeSet<String> = own.cloned().collect();
    if let Some(items) = schema.get("items") {
        names.extend(fields_of(root, items));
    }
    for several in ["allOf", "anyOf", "oneOf"] {
        let schemas = schema.get(several).and_then(Value::as_array).into_iter().flatten();
        names.extend(schemas.flat_map(|schema| fields_of(root, schema)));
    }
    names
}

impl<T: JsonSchema> Input for Json<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.body::<T>();
        operation.fails(&[400, 413, 415]);
    }
}

impl<T: JsonSchema> Input for Query<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.query::<T>();
        operation.fails(&[400]);
    }
}

impl<T: JsonSchema> Input for Path<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.in_path::<T>();
        operation.fails(&[404]);
    }
}

/// What the document says nothing of: the program's own, or what the table of permissions says.
macro_rules! silent {
    ($($kind:ty),*) => {$(
        impl Input for $kind {
            fn describe(_: &mut Operation<'_>) {}
        }
    )*};
}

silent!(Caller, RequestInfo, HeaderMap, Request, RawQuery);

impl<S> Input for State<S> {
    fn describe(_: &mut Operation<'_>) {}
}

impl Input for MaybeCaller {
    fn describe(operation: &mut Operation<'_>) {
        operation.may_be_known();
    }
}

impl<E> Input for Extension<E> {
    fn describe(_: &mut Operation<'_>) {}
}

impl<E> Input for Option<Extension<E>> {
    fn describe(_: &mut Operation<'_>) {}
}

impl<T: JsonSchema> Output for Answer<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers::<T>(200);
        operation.has_fields = !names::<T>().0.is_empty();
    }

    fn fields() -> BTreeSet<String> {
        names::<T>().0
    }
}

impl<T: JsonSchema> Output for Created<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers::<T>(201);
    }
}

impl<T: JsonSchema> Output for Accepted<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers::<T>(202);
    }
}

impl<T: Output> Output for Result<T, Error> {
    fn describe(operation: &mut Operation<'_>) {
        T::describe(operation);
    }

    fn fields() -> BTreeSet<String> {
        T::fields()
    }
}

macro_rules! described {
    ($($argument:ident)*) => {
        impl<F, Answers, $($argument,)*> Described<($($argument,)*)> for F
        where
            F: FnOnce($($argument,)*) -> Answers,
            Answers: Future,
            Answers::Output: Output,
            $($argument: Input,)*
        {
            #[allow(unused_variables, reason = "a handler without arguments")]
            fn describe(operation: &mut Operation<'_>) {
                $($argument::describe(operation);)*
                <Answers::Output as Output>::describe(operation);
            }

            fn fields() -> BTreeSet<String> {
                <Answers::Output as Output>::fields()
            }
        }
    };
}

described! {}
described! { A }
described! { A B }
described! { A B C }
described! { A B C D }
described! { A B C D E }
described! { A B C D E F1 }
described! { A B C D E F1 G }
