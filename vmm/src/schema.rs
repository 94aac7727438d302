//! Schemas of types that are not ours, for the OpenAPI document.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

/// The schema of the time of an [`Event`](crate::events::Event), a [`Duration`](std::time::Duration) as serde writes it.
pub fn timestamp() -> RefOr<Schema> {
    let number = || ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    ObjectBuilder::new()
        .property("secs", number())
        .property("nanos", number())
        .required("secs")
        .required("nanos")
        .description(Some(
            "Time since the VMM started; for a machine that goes on from a snapshot, with the time before.",
        ))
        .into()
}
