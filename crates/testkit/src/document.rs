//! Every answer that a test gets, held against the OpenAPI document: is its status one that the document
//! says the route has, and its body what the document shows?

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use reqwest::{Method, Url};
use serde_json::{Value, json};

/// What `cargo xtask openapi` wrote.
const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

static KNOWN: LazyLock<Document> = LazyLock::new(|| Document {
    text: serde_json::from_str(DOCUMENT).expect("the document is JSON"),
    validators: Mutex::default(),
});

struct Document {
    text: Value,
    /// Of bodies, by where their schemas are.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// Holds an answer against the document. What is no route is not in it.
#[track_caller]
pub(crate) fn hold(method: &Method, url: &Url, status: u16, content_type: &str, body: &Value) {
    let Some((template, operation)) = KNOWN.operation(method, url.path()) else { return };
    let route = format!("{method} {template}");
    let response = &operation["responses"][status.to_string()];
    assert!(
        response.is_object(),
        "{route} answers {status}, which the document does not say: {body}"
    );
    let response = KNOWN.resolved(response);
    if let Some(code) = body["error"]["code"].as_str().or(body["code"].as_str()) {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors/");
        let page = std::path::Path::new(page).join(format!("{code}.md"));
        assert!(page.exists(), "{route} answers {code}, which has no page in docs/errors");
    }
    let essence = content_type.split(';').next().unwrap_or_default();
    if status == 304 || response["content"].get(essence).is_none() {
        assert!(body.is_null(), "{route} answers {status} as {essence}, which is not documented");
        return;
    }
    // Of some of its fields no schema says that they are all there.
    if url.query_pairs().any(|(name, _)| name == "fields") {
        return;
    }
    let schema = &response["content"][essence]["schema"];
    let validator = KNOWN.validator(&format!("{route} {status} {essence}"), schema);
    let errors: Vec<String> =
        validator.iter_errors(body).map(|e| format!("{} {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{route} answers {status} otherwise: {errors:#?}\n{body:#}");
}

impl Document {
    /// The operation of a path: one without names in it goes first.
    fn operation(&self, method: &Method, path: &str) -> Option<(&str, &Value)> {
        let paths = self.text["paths"].as_object().expect("paths");
        let fits = |template: &str| {
            let (mut names, mut texts) = (template.split('/'), path.split('/'));
            loop {
                match (names.next(), texts.next()) {
                    (None, None) => return true,
                    (Some(name), Some(text)) if name == text || name.starts_with('{') => {}
                    _ => return false,
                }
            }
        };
        let mut found: Vec<_> = paths.iter().filter(|(template, _)| fits(template)).collect();
        found.sort_by_key(|(template, _)| template.matches('{').count());
        let (template, methods) = found.into_iter().next()?;
        let operation = methods.get(method.as_str().to_ascii_lowercase())?;
        Some((template, operation))
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let reference = value.get("$ref").and_then(Value::as_str);
        let pointer = reference.and_then(|reference| reference.strip_prefix('#'));
        pointer.map_or(value, |pointer| self.text.pointer(pointer).expect("what is referred to"))
    }

    fn validator(&self, name: &str, schema: &Value) -> Arc<Validator> {
        let mut known = self.validators.lock().expect("no panic while it is held");
        let make = || {
            let whole = json!({ "allOf": [schema], "components": self.text["components"] });
            Arc::new(jsonschema::draft202012::new(&whole).expect("a schema"))
        };
        known.entry(name.to_owned()).or_insert_with(make).clone()
    }
}
