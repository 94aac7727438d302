//! Schemas of types that are not ours, for the OpenAPI document.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

/// The schema of a [`Duration`](std::time::Duration) as serde writes it.
pub fn duration() -> RefOr<Schema> {
    let number = || ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    ObjectBuilder::new()
        .property("secs", number())
        .property("nanos", number())
        .required("secs")
        .required("nanos")
        .into()
}
