//! Reading JSON bodies, so that every bad field is named at once.

use std::collections::HashMap;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{StatusCode, header},
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Detail, Error, error::MOST_TOLD, shape};

/// A JSON body of a type that knows its own limits.
///
/// The types say what is valid, by `Deserialize`; a good body is read straight into them. Only
/// when that fails is the body read again, piece by piece, to name everything that is wrong.
#[derive(Debug)]
pub struct Json<T>(Result<T, Box<Bad<T>>>);

/// A body with bad fields.
#[derive(Debug)]
struct Bad<T> {
    error: Error,
    /// The body without them, if it can be read so.
    rest: Option<T>,
    /// Where its entries of lists stood before.
    moved: Moved,
}

impl<T> Json<T> {
    /// The body, if all of it is good.
    pub fn good(self) -> Result<T, Error> {
        self.0.map_err(|bad| bad.error)
    }

    /// The body, if all of it is good. Otherwise `judge` is asked what the rules say of the rest,
    /// so that the caller hears of everything at once.
    pub async fn good_or_judged(
        self,
        judge: impl AsyncFnOnce(T) -> Result<(), Error>,
    ) -> Result<T, Error> {
        let Bad { mut error, rest, moved } = match self.0 {
            Ok(body) => return Ok(body),
            Err(bad) => *bad,
        };
        if let Some(rest) = rest
            && let Err(judged) = judge(rest).await
        {
            let known = |field: &str| {
                let within = |d: &Detail| {
                    let below = d.field.strip_prefix(field);
                    below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                };
                error.details.iter().any(within)
            };
            let judged = judged.details.into_iter();
            let judged = judged.map(|d| Detail { field: moved.origin(&d.field), ..d });
            let more: Vec<Detail> = judged.filter(|d| !known(&d.field)).collect();
            error.details.extend(more);
        }
        Err(error)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + JsonSchema> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let is_json = content_type.is_none_or(|value| {
            let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
            let essence = essence.trim().to_ascii_lowercase();
            essence == "application/json" || essence.ends_with("+json")
        });
        if !is_json {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            let message = "the body must be JSON, with Content-Type: application/json";
            return Err(Error::new(status, "UNSUPPORTED_MEDIA_TYPE", message));
        }
        let bytes =
            Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
                BytesRejection::FailedToBufferBody(inner)
                    if inner.status() == StatusCode::PAYLOAD_TOO_LARGE =>
                {
                    let message = "a request body takes at most 1 MiB";
                    Error::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
                }
                _ => Error::malformed("the body could not be received"),
            })?;
        match read(&bytes) {
            Err(bad) if bad.error.details.is_empty() => Err(bad.error),
            read => Ok(Self(read)),
        }
    }
}

/// Reads a body, or says everything that is wrong with it.
fn read<T: DeserializeOwned + JsonSchema>(bytes: &[u8]) -> Result<T, Box<Bad<T>>> {
    let bad = |error| Box::new(Bad { error, rest: None, moved: Moved::default() });
    // An empty body is an object without fields: a command may need none.
    let bytes = if bytes.trim_ascii().is_empty() { b"{}" } else { bytes };
    let body = serde_json::from_slice(bytes);
    // Decoders take an array for an object, by the order of its fields; nobody should.
    if body.is_ok() && !bytes.contains(&b'[') {
        return body.map_err(|error| bad(Error::internal(error)));
    }
    match (serde_json::from_slice::<Value>(bytes), body) {
        (Err(error), _) => Err(bad(Error::malformed(format!("the body is not JSON: {error}")))),
        (Ok(value @ Value::Object(_)), body) => {
            let breaches = shape::breaches::<T>(&value);
            match body {
                Ok(body) if breaches.is_empty() => Ok(body),
                Ok(_) => Err(bad(Error::validation(breaches))),
                Err(_) => Err(Box::new(explain::<T>(bytes, value, breaches))),
            }
        }
        (Ok(_), _) => Err(bad(Error::malformed("the body must be a JSON object"))),
    }
}

/// Names every bad field: takes away what is found wrong, and tries again until nothing is.
fn explain<T: DeserializeOwned>(bytes: &[u8], mut value: Value, breaches: Vec<Detail>) -> Bad<T> {
    let mut details: Vec<Detail> = given_twice::<T>(bytes).into_iter().collect();
    let mut moved = Moved::default();
    // Every round takes something away, so there are no more rounds than there are values.
    while let Err(error) = serde_path_to_error::deserialize::<_, T>(&value) {
        let path = error.path().to_string();
        let message = error.into_inner().to_string();
        let (field, told) = if let Some(name) = quoted_after(&message, "unknown field ") {
            (join(&path, name), "is not a field of this request".to_owned())
        } else if let Some(name) = quoted_after(&message, "missing field ") {
            if path == "." {
                // Every value that is there is good; what is missing is told below.
                break;
            }
            (join(&path, name), "must be given".to_owned())
        } else if let Some(map) = path.strip_suffix(".?") {
            details.extend(bad_entries::<T>(&value, map));
            (map.to_owned(), told(&message))
        } else {
            (path, told(&message))
        };
        let told_of = moved.origin(&field);
        let taken = take_away(&mut value, &field, &mut moved);
        let field = told_of;
        // Of a map, its bad entries are named already.
        if !details.iter().any(|known| known.field.starts_with(&format!("{field}."))) {
            details.push(Detail::new(field, told));
        }
        if !taken || details.len() >= MOST_TOLD {
            break;
        }
    }
    details.extend(breaches);
    let mut seen = std::collections::HashSet::new();
    details.retain(|detail| seen.insert(detail.field.clone()));
    Bad { error: Error::validation(details), rest: serde_json::from_value(value).ok(), moved }
}

/// The bad entries of a map, of which the decoder does not tell the keys: each is tried alone.
fn bad_entries<T: DeserializeOwned>(value: &Value, map: &str) -> Vec<Detail> {
    let pointer = format!("/{}", map.replace('.', "/"));
    let Some(Value::Object(entries)) = value.pointer(&pointer) else { return Vec::new() };
    let mut without = value.clone();
    without.pointer_mut(&pointer).map(Value::take);
    let tried = entries.iter().take(MOST_TOLD).filter_map(|(key, entry)| {
        let mut alone = without.clone();
        let only = [(key.clone(), entry.clone())].into_iter().collect();
        *alone.pointer_mut(&pointer)? = Value::Object(only);
        let error = serde_path_to_error::deserialize::<_, T>(&alone).err()?;
        let here = error.path().to_string() == format!("{map}.?");
        here.then(|| Detail::new(join(map, key), told(&error.into_inner().to_string())))
    });
    tried.collect()
}

/// The path of a field below a path, which may name the field already.
fn join(path: &str, name: &str) -> String {
    if path == "." {
        name.to_owned()
    } else if path == name || path.ends_with(&format!(".{name}")) {
        path.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// The field that is given twice, if that is what is wrong first: once read, one of the two is
/// gone.
fn given_twice<T: DeserializeOwned>(bytes: &[u8]) -> Option<Detail> {
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let error = serde_path_to_error::deserialize::<_, T>(&mut from).err()?;
    let path = error.path().to_string();
    let message = error.into_inner().to_string();
    let name = quoted_after(&message, "duplicate field ")?;
    Some(Detail::new(join(&path, name), "must be given once"))
}

/// Removes the entry at a dotted path, or the nearest one above it that is there.
fn take_away(value: &mut Value, path: &str, moved: &mut Moved) -> bool {
    if let Some((list, index)) = entry_of_list(path) {
        if let Some(Value::Array(entries)) = at(value, list)
            && index < entries.len()
        {
            moved.remove(list, index, entries.len());
            entries.remove(index);
            return true;
        }
        return take_away(value, list, moved);
    }
    let (parent, last) = path.rsplit_once('.').unwrap_or(("", path));
    let entries = at(value, parent).and_then(Value::as_object_mut);
    if entries.is_some_and(|entries| entries.remove(last).is_some()) {
        return true;
    }
    !parent.is_empty() && take_away(value, parent, moved)
}

/// The list and the index that a path ends with, such as `sets[3]`.
fn entry_of_list(path: &str) -> Option<(&str, usize)> {
    let (list, index) = path.strip_suffix(']')?.rsplit_once('[')?;
    Some((list, index.parse().ok()?))
}

/// What is at a dotted path.
fn at<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    if let Some((list, index)) = entry_of_list(path) {
        return at(value, list)?.get_mut(index);
    }
    match path.rsplit_once('.') {
        Some((parent, last)) => at(value, parent)?.get_mut(last),
        None if path.is_empty() => Some(value),
        None => value.get_mut(path),
    }
}

/// Where the entries of lists stood before others were taken away: by the list, in the caller's own
/// counting.
#[derive(Debug, Default)]
struct Moved(HashMap<String, Vec<usize>>);

impl Moved {
    /// The path by which the caller knows what is at a path now.
    fn origin(&self, path: &str) -> String {
        let mut known = String::with_capacity(path.len());
        for (depth, step) in path.split('.').enumerate() {
            if depth > 0 {
                known.push('.');
            }
            let (name, indexes) = step.split_at(step.find('[').unwrap_or(step.len()));
            known += name;
            for index in indexes.split_inclusive(']') {
                let number = index.trim_matches(['[', ']']).parse::<usize>().ok();
                let was = number.and_then(|number| self.0.get(&known)?.get(number));
                known += &was.map_or_else(|| index.to_owned(), |was| format!("[{was}]"));
            }
        }
        known
    }

    /// Notes that of a list of so many entries one is taken away.
    fn remove(&mut self, list: &str, index: usize, entries: usize) {
        let there =
            self.0.entry(self.origin(list)).or_insert_with(|| (0..entries).collect::<Vec<_>>());
        if index < there.len() {
            there.remove(index);
        }
    }
}

fn quoted_after<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    message.strip_prefix(prefix)?.strip_prefix('`')?.split('`').next()
}

/// A decoder's message in the words of the interface.
fn told(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or(message);
    match message.split_once(", expected ") {
        Some((found, wanted)) if found.starts_with("invalid ") => format!("must be {wanted}"),
        _ => match message.strip_prefix("unknown variant ") {
            Some(rest) => {
                let wanted = rest.split_once("expected ").map_or(rest, |(_, wanted)| wanted);
                format!("must be {}", wanted.replace('`', ""))
            }
            None => message.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::Deserialize;

    use super::read;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read, never used")]
    struct Body {
        name: String,
        count: u8,
        kind: Kind,
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read, never used")]
    struct Inner {
        value: u8,
        unit: Kind,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Good,
        Better,
    }

    fn wrong(body: &str) -> Vec<String> {
        let error = read::<Body>(body.as_bytes()).unwrap_err().error;
        let mut fields: Vec<String> =
            error.details.iter().map(|d| format!("{}: {}", d.field, d.message)).collect();
        fields.sort();
        fields
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        assert_eq!(
            wrong(r#"{"name":5,"kind":"best","extra":1,"inner":{"value":"x","unit":"y","z":0}}"#),
            [
                "count: must be given",
                "extra: is not a field of this request",
                "inner.unit: must be good or better",
                "inner.value: must be u8",
                "inner.z: is not a field of this request",
                "kind: must be good or better",
                "name: must be a string",
            ]
        );
        assert_eq!(
            wrong(r#"{"name":"a","count":1,"kind":"good","inner":{"unit":"good"}}"#),
            ["inner.value: must be given"]
        );
        assert_eq!(
            wrong(r#"{"name":"a","count":1,"kind":"good","inner":{}}"#),
            ["inner.unit: must be given", "inner.value: must be given"]
        );
        assert_eq!(
            wrong(r#"{"name":"a","count":1,"kind":"good","inner":[1,"good"]}"#),
            ["inner: must be an object"]
        );
        assert_eq!(
            wrong(r#"{"name":"a","name":"b","kind":"best","inner":{"value":1,"unit":"good"}}"#),
            ["count: must be given", "kind: must be good or better", "name: must be given once"]
        );
        assert_eq!(
            wrong("{}"),
            ["count: must be given", "kind: must be given", "name: must be given"]
        );
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read, never used")]
    struct Listing {
        all: Vec<Entry>,
        kinds: Option<Vec<Kind>>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read, never used")]
    struct Entry {
        value: u8,
        inner: Option<Vec<Inner>>,
    }

    #[test]
    fn entries_of_lists_are_named_by_the_numbers_that_they_were_sent_with() {
        let body = r#"{"kinds":["worse","good","worst"],"all":[{"value":300},{"value":1},[],
            {"value":2,"inner":[{"value":1,"unit":"good"},{"value":-1},{"unit":"x","value":9}]},
            {"vaule":3},{"value":4,"inner":[[1]]}]}"#;
        let error = read::<Listing>(body.as_bytes()).unwrap_err();
        let mut fields: Vec<String> =
            error.error.details.iter().map(|detail| detail.field.clone()).collect();
        fields.sort();
        let expected = [
            "all[0].value",
            "all[2]",
            "all[3].inner[1].unit",
            "all[3].inner[1].value",
            "all[3].inner[2].unit",
            "all[4].value",
            "all[4].vaule",
            "all[5].inner[0]",
            "kinds[0]",
            "kinds[2]",
        ];
        assert_eq!(fields, expected);
        // What is left of it says where it was.
        assert_eq!(error.moved.origin("all[1].inner[0].value"), "all[3].inner[0].value");
        assert_eq!(error.moved.origin("kinds[0]"), "kinds[1]");
    }

    #[test]
    fn what_is_no_object_is_malformed() {
        let positional = r#"["a",1,"good",null]"#;
        for bad in ["[1]", positional, "\"x\"", "{", "{\"a\":}", "\u{0}"] {
            let error = read::<Body>(bad.as_bytes()).unwrap_err().error;
            assert_eq!(error.code, "MALFORMED", "{bad}");
        }
    }
}
