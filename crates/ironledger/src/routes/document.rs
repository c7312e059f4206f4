//! `GET /openapi.json` and `GET /docs`: the interface as its types describe it, and a page to try it.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
};
use serde_json::{Map, Value, json};
use utoipa_swagger_ui::Config;
use web::{
    Error, Path, Route, Routes,
    document::{Operation, Output, Schemas},
    permissions::{Rule, Takes, Who},
};

use super::permissions::TABLE;
use crate::app::App;

/// What was asked and answered on a real server, by operation: `cargo xtask openapi` records it.
const EXAMPLES: &str = include_str!("../../../../docs/api/examples.json");

/// What every failure of a status means.
const FAILURES: [(u16, &str); 13] = [
    (400, "The request is malformed or invalid; every bad field is named at once."),
    (401, "Who calls is not known."),
    (403, "Who calls may not do this."),
    (404, "It is not there, or not for the caller to know."),
    (408, "The request took too long."),
    (409, "It contradicts what is there."),
    (412, "It has changed since; `current` says to what."),
    (413, "The body is too large."),
    (415, "The body is no JSON."),
    (422, "The idempotency key was used for another request."),
    (429, "The caller came too often; `Retry-After` says when to come back."),
    (500, "It is our fault; the request id finds it in our log."),
    (503, "Not now; `Retry-After` says when to come back."),
];

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("document.rs"))
        .get("/openapi.json", openapi)
        .get("/docs", page)
        .get("/docs/", index)
        .get("/docs/{*file}", file)
}

/// Something that is no JSON of ours.
struct Whole {
    kind: String,
    bytes: Cow<'static, [u8]>,
}

impl IntoResponse for Whole {
    fn into_response(self) -> Response {
        let mut response = self.bytes.into_response();
        let kind = HeaderValue::from_str(&self.kind);
        let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        let public = HeaderValue::from_static("public, max-age=300");
        response.headers_mut().insert(header::CACHE_CONTROL, public);
        response
    }
}

/// Of the page's own parts the document says nothing.
impl Output for Whole {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_with("application/json", &json!({ "type": "object" }));
    }
}

impl Output for Page {
    fn describe(_: &mut Operation<'_>) {}
}

/// Where the page is.
struct Page;

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        Redirect::permanent("/docs/").into_response()
    }
}

/// This document.
async fn openapi(State(app): State<App>) -> Result<Whole, Error> {
    static DOCUMENT: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = DOCUMENT.get_or_init(|| {
        let (_, served) = super::all(&app).into_parts();
        serde_json::to_vec(&document(&served)).unwrap_or_default()
    });
    Ok(Whole { kind: "application/json".to_owned(), bytes: Cow::Borrowed(bytes) })
}

async fn page() -> Page {
    Page
}

/// The page to try the interface.
async fn index() -> Result<Whole, Error> {
    served("index.html")
}

/// A file of that page.
async fn file(Path(file): Path<String>) -> Result<Whole, Error> {
    served(&file)
}

fn served(file: &str) -> Result<Whole, Error> {
    static CONFIG: OnceLock<Arc<Config<'static>>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        let config = Config::new(["/openapi.json"]).persist_authorization(false);
        Arc::new(config.try_it_out_enabled(true))
    });
    let found = utoipa_swagger_ui::serve(file, config.clone()).map_err(Error::internal)?;
    let found = found.ok_or_else(|| Error::not_found("page"))?;
    Ok(Whole { kind: found.content_type, bytes: found.bytes.into_owned().into() })
}

/// The document of this program, as `docs/openapi.json` has it.
pub(crate) fn printed() -> anyhow::Result<String> {
    let (_, served) = super::all(&App::unconnected()?).into_parts();
    Ok(serde_json::to_string_pretty(&document(&served))?)
}

/// The document of an application's routes.
fn document(served: &[Route]) -> Value {
    let examples: Value = serde_json::from_str(EXAMPLES).unwrap_or_default();
    let mut schemas = Schemas::default();
    let mut paths: Map<String, Value> = Map::new();
    let mut tags = BTreeSet::new();
    for route in served.iter().filter(|route| !route.path.starts_with("/docs")) {
        let Some(rule) = TABLE.iter().find(|rule| is_of(rule, route)) else { continue };
        let mut operation = Operation::new(route.method.clone(), route.path, &mut schemas);
        route.describe(&mut operation);
        permit(rule, &mut operation);
        let mut operation = operation.finish();
        let (module, own) = route.name();
        let id = if module == own { own.to_owned() } else { format!("{module}_{own}") };
        let comment = route.comment();
        let (summary, more) = match comment.split_once(". ") {
            Some((summary, more)) => (summary.to_owned(), more),
            None => (comment.trim_end_matches('.').to_owned(), ""),
        };
        operation["summary"] = summary.into();
        operation["description"] = format!("{more} {}", who(rule)).trim().into();
        operation["tags"] = json!([module]);
        tags.insert(module);
        if rule.who != Who::Anyone {
            operation["security"] = json!([{ "bearer": [] }]);
        }
        show(&mut operation, &examples[&id]);
        operation["operationId"] = id.into();
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        methods[route.method.as_str().to_ascii_lowercase()] = operation;
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Ironledger",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The backend of a strength-training app. Commands answer the position of \
                the log in `meta.position`; a query with it in `X-Min-Position` stands there or later. \
                Every reading takes `fields=` and has an `ETag`; every command of an athlete takes an \
                `Idempotency-Key`. Failures come as RFC 9457 to who accepts \
                `application/problem+json`. An address (64 KiB) or headers (about 400 KiB, or 100 of \
                them) that are too long for any route are a bare `414` or `431`.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "tags": tags.into_iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "An access token of `POST /v1/auth/login`, or an API key.",
            } },
            "headers": headers(),
            "responses": failures(),
        },
    });
    let mut all = schemas.finish(&mut document);
    all.extend(envelope());
    let mut wanted = BTreeSet::new();
    referred_to(&document, &all, &mut wanted);
    all.retain(|name, _| wanted.contains(name));
    document["components"]["schemas"] = Value::Object(all);
    as_enums(&mut document);
    document
}

/// Words that each say what they mean come as a schema each, of which makers of clients take the first
/// for all: here they are one `enum`, whose description says what they mean.
fn as_enums(part: &mut Value) {
    match part {
        Value::Array(parts) => parts.iter_mut().for_each(as_enums),
        Value::Object(fields) => {
            fields.values_mut().for_each(as_enums);
            let Some((words, told)) = words(fields) else { return };
            fields.remove("oneOf");
            fields.insert("type".into(), "string".into());
            fields.insert("enum".into(), words.into());
            if !told.is_empty() {
                fields.insert("description".into(), told.into());
            }
        }
        _ => {}
    }
}

/// The words of a schema that is one of several words, and what is said of them.
fn words(schema: &Map<String, Value>) -> Option<(Vec<Value>, String)> {
    let mut words = Vec::new();
    let description = schema.get("description").and_then(Value::as_str);
    let mut told = vec![description.unwrap_or_default().to_owned()];
    for kind in schema.get("oneOf")?.as_array()? {
        match (kind.get("type")?.as_str()?, kind.get("const"), kind.get("enum")) {
            ("string", Some(word), None) => {
                words.push(word.clone());
                if let (Some(word), Some(means)) = (word.as_str(), kind["description"].as_str()) {
                    told.push(format!("`{word}`: {means}"));
                }
            }
            ("string", None, Some(Value::Array(several))) => words.extend(several.iter().cloned()),
            _ => return None,
        }
    }
    Some((words, told.join(" ").trim().to_owned()))
}

/// The names of the schemas that a part of the document refers to, and those that they refer to.
fn referred_to(part: &Value, all: &Map<String, Value>, found: &mut BTreeSet<String>) {
    match part {
        Value::Object(fields) => {
            let reference = fields.get("$ref").and_then(Value::as_str);
            let name = reference.and_then(|text| text.strip_prefix("#/components/schemas/"));
            if let Some(name) = name
                && found.insert(name.to_owned())
                && let Some(schema) = all.get(name)
            {
                referred_to(schema, all, found);
            }
            fields.values().for_each(|part| referred_to(part, all, found));
        }
        Value::Array(parts) => parts.iter().for_each(|part| referred_to(part, all, found)),
        _ => {}
    }
}

fn is_of(rule: &Rule, route: &Route) -> bool {
    rule.method == route.method && rule.path == route.path
}

/// What the door asks of a request.
fn permit(rule: &Rule, operation: &mut Operation<'_>) {
    if rule.who != Who::Anyone || rule.heeds_token {
        operation.fails(&[401]);
    }
    if rule.takes != Takes::Nothing {
        // Whoever names a client where nobody acts for one is told so.
        operation.fails(&[400, 403, 429]);
    }
    if rule.for_clients {
        let text = "Of a coach: the client for whom they act.";
        operation.header("X-Acting-For", text, &json!({ "type": "string", "format": "uuid" }));
    }
    if !operation.is_command() && rule.path.starts_with("/v1/") {
        operation.reads();
    }
}

/// Who may call, in words.
fn who(rule: &Rule) -> String {
    let mut words = match rule.who {
        Who::Anyone => "For everybody.",
        Who::Athlete => "For an athlete.",
        Who::Coach => "For coaches.",
        Who::Admin => "For who runs the place.",
    }
    .to_owned();
    if let Some(scope) = rule.scope {
        words.push_str(&format!(" API keys need `{}`.", scope.as_str()));
    } else if rule.who != Who::Anyone {
        words.push_str(" API keys are refused.");
    }
    if rule.pro {
        words.push_str(" Needs the tier `pro`.");
    }
    words
}

/// Adds what was asked and answered.
fn show(operation: &mut Value, example: &Value) {
    if let Some(body) = example.get("body") {
        operation["requestBody"]["content"]["application/json"]["example"] = body.clone();
    }
    if let (Some(status), Some(answer)) = (example["status"].as_u64(), example.get("answer")) {
        let status = status.to_string();
        operation["responses"][&status]["content"]["application/json"]["example"] = answer.clone();
    }
    let parameters = operation["parameters"].as_array_mut().into_iter().flatten();
    for parameter in parameters {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        if let Some(value) = example["parameters"].get(&name) {
            parameter["example"] = value.clone();
        }
    }
}

fn headers() -> Value {
    let text =
        |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    let number = |description: &str| json!({ "description": description, "schema": { "type": "integer", "minimum": 0 } });
    json!({
        "X-Request-ID": text("The id of the request: the caller's, or one that was made on arrival."),
        "ETag": text("The tag of what is shown, for `If-None-Match` and `If-Match`."),
        "Location": text("Where it is."),
        "Idempotency-Replayed": text("`true` where the answer is the one to the first of these requests."),
        "RateLimit-Limit": number("How many requests there are in a window."),
        "RateLimit-Remaining": number("How many are left."),
        "RateLimit-Reset": number("Seconds until some come back."),
        "Retry-After": number("Seconds until it is worth coming back."),
    })
}

fn failures() -> Value {
    let of = |(status, description): &(u16, &str)| {
        let mut headers =
            json!({ "X-Request-ID": { "$ref": "#/components/headers/X-Request-ID" } });
        if [429, 503].contains(status) {
            headers["Retry-After"] = json!({ "$ref": "#/components/headers/Retry-After" });
        }
        let response = json!({
            "description": description,
            "headers": headers,
            "content": {
                "application/json": { "schema": { "$ref": "#/components/schemas/Failure" } },
                "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } },
            },
        });
        (status.to_string(), response)
    };
    let mut all: Map<String, Value> = FAILURES.iter().map(of).collect();
    all.insert(
        "304".into(),
        json!({
            "description": "It is as the caller has it.",
            "headers": { "ETag": { "$ref": "#/components/headers/ETag" } },
        }),
    );
    Value::Object(all)
}

/// The schemas of what the envelope's layer makes.
fn envelope() -> Map<String, Value> {
    let time = json!({ "type": "string", "format": "date-time" });
    let position = json!({
        "type": "string", "description": "Where on the log the answer stands, for `X-Min-Position`.",
    });
    let id = json!({ "type": "string" });
    let meta = json!({
        "timestamp": time, "version": { "const": "v1" }, "request_id": id, "position": position,
    });
    let mut list = meta.clone();
    list["count"] = json!({ "type": "integer", "minimum": 0 });
    list["next_cursor"] = json!({
        "type": ["string", "null"], "description": "Where the list goes on: `cursor` of the next request.",
    });
    let details = json!({
        "type": "array",
        "items": {
            "type": "object",
            "required": ["field", "message"],
            "properties": { "field": { "type": "string" }, "message": { "type": "string" } },
        },
    });
    let code = json!({
        "type": "string",
        "pattern": "^[A-Z_]+$",
        "description": "A stable word for programs; each has a page in `docs/errors`.",
    });
    let current = json!({ "description": "What is there now, where that helps to go on." });
    let all = json!({
        "Meta": {
            "type": "object",
            "required": ["timestamp", "version", "request_id"],
            "properties": meta,
        },
        "ListMeta": {
            "type": "object",
            "required": ["timestamp", "version", "request_id", "count", "next_cursor"],
            "properties": list,
        },
        "Failure": {
            "type": "object",
            "required": ["success", "error", "meta"],
            "properties": {
                "success": { "const": false },
                "error": {
                    "type": "object",
                    "required": ["code", "message", "details"],
                    "properties": {
                        "code": code, "message": { "type": "string" }, "details": details,
                        "current": current,
                    },
                },
                "meta": {
                    "type": "object",
                    "required": ["timestamp", "request_id"],
                    "properties": { "timestamp": time, "request_id": id },
                },
            },
        },
        "Problem": {
            "type": "object",
            "description": "RFC 9457.",
            "required": ["type", "title", "status", "detail", "code", "request_id", "timestamp"],
            "properties": {
                "type": { "type": "string", "format": "uri-reference" },
                "title": { "type": "string" },
                "status": { "type": "integer" },
                "detail": { "type": "string" },
                "code": code,
                "errors": details,
                "current": current,
                "request_id": id,
                "timestamp": time,
            },
        },
    });
    match all {
        Value::Object(all) => all,
        _ => Map::new(),
    }
}
