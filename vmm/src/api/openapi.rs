//! The routes and the OpenAPI document, generated from one list of handlers.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Api, BASE, Problem, Shared, devices, events, faults, machine};

/// All routes, and the document that describes them.
pub(super) fn routes() -> (Router<Arc<Api>>, OpenApi) {
    let info = InfoBuilder::new()
        .title("Dimmer")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("One virtual machine and its memory devices. Sizes are bytes."))
        .build();
    let api = OpenApiRouter::new()
        .routes(routes!(machine::ping))
        .routes(routes!(machine::info))
        .routes(routes!(machine::pause))
        .routes(routes!(machine::resume))
        .routes(routes!(machine::snapshot))
        .routes(routes!(machine::fork))
        .routes(routes!(machine::reboot))
        .routes(routes!(machine::power_button))
        .routes(routes!(machine::shutdown))
        .routes(routes!(machine::resize))
        .routes(routes!(machine::resize_zone))
        .routes(routes!(machine::audit))
        .routes(routes!(machine::inject_mce))
        .routes(routes!(faults::list, faults::set))
        .routes(routes!(devices::list, devices::add))
        .routes(routes!(devices::show, devices::resize, devices::remove))
        .routes(routes!(devices::ost))
        .routes(routes!(devices::requests))
        .routes(routes!(events::stream))
        .routes(routes!(document));
    let components = ComponentsBuilder::new().schema_from::<Problem>().build();
    let document = OpenApiBuilder::new().info(info).components(Some(components)).build();
    let (router, document) = OpenApiRouter::with_openapi(document).nest(BASE, api).split_for_parts();
    (router.fallback(no_such_path).method_not_allowed_fallback(no_such_method), document)
}

async fn no_such_path(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {}; {BASE}/openapi.json lists all paths", uri.path());
    Problem::new(StatusCode::NOT_FOUND, detail)
}

async fn no_such_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} has no method {method}; the Allow header lists those it has", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// The OpenAPI document.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, description = "This document", body = Object)))]
async fn document(State(api): Shared) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], api.document.clone()).into_response()
}
