//! The REST API as a page, made of the OpenAPI document.

use std::collections::BTreeMap;

use dimmer_forecast::tables::{kind, section, text};
use serde_json::{Map, Value};

/// What stands before the tables.
const HEAD: &str = "\
# The REST API

Made by `dimmer-lab reference` of the OpenAPI document, which each machine serves at `/api/v1/openapi.json`: HTTP with JSON over the UNIX
socket that `--api-socket` names. Paths begin with `/api/v1`, and sizes and addresses are numbers of bytes.
[compatibility.md](compatibility.md) has the calls of other monitors.

    curl --unix-socket vm.api http://localhost/api/v1/vm.info

Every error is a [Problem](#problem). 400: not JSON, or a bad query. 404: no such path or device. 405: the path has no such method. 408: the body
did not come in time. 409: right in itself, but not now; of a change with `?wait=SECONDS`, refused or done in part. 413: a body of more than
64 KiB. 422: JSON, but not what is valid here. 500: the host could not do it. 501: another monitor's call that has nothing behind it here.
503: as many wait for a change, or listen to events, as may. 504: a change with `?wait` that is still in progress.

## Requests

| request | what it does | query, headers | body | answers |
|---|---|---|---|---|
";

/// The page.
pub fn page() -> String {
    let document = dimmer::api::document().expect("what utoipa derives can be written as JSON");
    let document: Value = serde_json::from_str(&document).expect("JSON was written");
    let mut page = HEAD.to_owned();
    let mut parameters = BTreeMap::new();
    for (path, methods) in fields(&document["paths"]) {
        let path = path.trim_start_matches(dimmer::api::BASE);
        for (method, operation) in fields(methods) {
            let listed = operation["parameters"].as_array().into_iter().flatten();
            let named = listed.filter(|parameter| parameter["in"] != "path");
            let named =
                named.filter_map(|parameter| Some((parameter["name"].as_str()?.to_owned(), text(parameter))));
            let named: BTreeMap<String, String> = named.collect();
            let names: Vec<_> = named.keys().map(|name| format!("`{name}`")).collect();
            page += &row(&format!("{} {path}", method.to_uppercase()), &names.join(", "), operation);
            parameters.extend(named);
        }
    }
    page.push('\n');
    page.extend(parameters.iter().map(|(name, words)| format!("- `{name}`: {words}\n")));
    page.push_str("\n# Types\n");
    for (name, schema) in fields(&document["components"]["schemas"]) {
        section(&mut page, name, schema);
    }
    page
}

/// The row of a request.
fn row(request: &str, parameters: &str, operation: &Value) -> String {
    let good = fields(&operation["responses"]).filter(|(status, _)| status.starts_with('2'));
    let answers: Vec<_> =
        good.map(|(status, answer)| format!("{status} {}", content(answer)).trim_end().to_owned()).collect();
    let what = operation["summary"].as_str().unwrap_or_default();
    let what = what.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    let body = content(&operation["requestBody"]);
    let cells = ["`".to_owned() + request + "`", what, parameters.to_owned(), body, answers.join(", ")];
    let cells = cells.map(|cell| if cell.is_empty() { "–".to_owned() } else { cell });
    format!("| {} |\n", cells.join(" | "))
}

/// The type of a body.
fn content(part: &Value) -> String {
    fields(&part["content"])
        .map(|(media, content)| match kind(&content["schema"]) {
            name if media == "application/json" || name.is_empty() => name,
            name => format!("{name} as `{media}`"),
        })
        .collect::<Vec<_>>()
        .join(" or ")
}

/// The fields of an object, in its order; none of anything else.
fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}
