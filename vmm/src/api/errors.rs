//! The errors of requests, as the OpenAPI document has them.

use std::collections::BTreeMap;

use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response as Described, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use super::problem::{PROBLEM_JSON, Problem};

/// A response that is a [`Problem`].
fn problem(description: &str) -> RefOr<Described> {
    let schema = Ref::from_schema_name(Problem::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(description).content(PROBLEM_JSON, content).build().into()
}

/// The errors that every request may meet.
pub(super) struct AnyProblem;

impl IntoResponses for AnyProblem {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        [("default".to_owned(), problem("Any error"))].into()
    }
}

/// The errors that a change of a memory device may meet.
pub(super) struct ChangeProblems;

impl IntoResponses for ChangeProblems {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        let table = [
            ("400", "Not JSON, or a bad query"),
            ("404", "No such device"),
            ("409", "Not possible now; with wait: refused, or done in part"),
            ("422", "Never possible: a bad field or value"),
            ("504", "With wait: still in progress"),
        ];
        let table = table.into_iter().map(|(status, text)| (status.to_owned(), problem(text)));
        table.chain(AnyProblem::responses()).collect()
    }
}
