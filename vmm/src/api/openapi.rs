//! The routes and the OpenAPI document, generated from one list of handlers.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    Api, BASE, Problem, Shared, cloud_hypervisor, devices, events, faults, firecracker, log, machine,
    metrics, processors,
};

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
        .routes(routes!(machine::nmi))
        .routes(routes!(machine::vcpus))
        .routes(routes!(processors::cpus))
        .routes(routes!(machine::shutdown))
        .routes(routes!(machine::resize))
        .routes(routes!(machine::resize_zone))
        .routes(routes!(machine::audit))
        .routes(routes!(machine::inject_mce))
        .routes(routes!(cloud_hypervisor::remove_device))
        .routes(routes!(cloud_hypervisor::counters))
        .routes(routes!(cloud_hypervisor::shutdown_vmm))
        .routes(routes!(faults::list, faults::set))
        .routes(routes!(devices::list, devices::add))
        .routes(routes!(devices::show, devices::resize, devices::remove))
        .routes(routes!(devices::ost))
        .routes(routes!(devices::requests))
        .routes(routes!(events::stream))
        .routes(routes!(metrics::metrics))
        .routes(routes!(log::level, log::set_level))
        .routes(routes!(document));
    let components = ComponentsBuilder::new().schema_from::<Problem>().build();
    let document = OpenApiBuilder::new().info(info).components(Some(components)).build();
    let (router, document) = OpenApiRouter::with_openapi(document).nest(BASE, api).split_for_parts();
    // Where those who collect metrics look.
    let router = router.merge(firecracker::routes()).route("/metrics", get(metrics::metrics));
    (router.fallback(no_such_path).method_not_allowed_fallback(no_such_method), document)
}

async fn no_such_path(method: Method, uri: Uri) -> Response {
    if let Some(fault) = firecracker::no_such_call(&method, &uri) {
        return fault;
    }
    if let Some(why) = cloud_hypervisor::why_not(uri.path()) {
        return Problem::new(StatusCode::NOT_IMPLEMENTED, format!("{}: {why}", uri.path())).into_response();
    }
    let detail = format!("there is nothing at {}; {BASE}/openapi.json lists all paths", uri.path());
    Problem::new(StatusCode::NOT_FOUND, detail).into_response()
}

async fn no_such_method(method: Method, uri: Uri) -> Response {
    if let Some(fault) = firecracker::no_such_call(&method, &uri) {
        return fault;
    }
    let detail = format!("{} has no method {method}; the Allow header lists those it has", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response()
}

/// The OpenAPI document.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, description = "This document", body = Object)))]
async fn document(State(api): Shared) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], api.document.clone()).into_response()
}
