//! How the collections of objects are described: one description, filled in for each kind.

use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, Paths};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Content, HttpMethod, Ref, Required, Response, ResponseBuilder};

/// `GET /api/v1/KIND`.
pub(super) fn list(plural: &str, query: Vec<Parameter>) -> Paths {
    let operation = OperationBuilder::new()
        .operation_id(Some(format!("list_{plural}")))
        .summary(Some(format!("The {plural}, those of the file and those of the store")))
        .tag(plural)
        .parameters(Some(query))
        .response("200", ok("A page of them", "List"));
    paths(&format!("/api/v1/{plural}"), [(HttpMethod::Get, operation.build())])
}

/// `GET`, `PUT` and `DELETE /api/v1/KIND/{name}`.
pub(super) fn item(plural: &str, one: &str, query: Vec<Parameter>) -> Paths {
    let operation = |word: &str, summary: String| {
        let id = format!("{word}_{plural}");
        OperationBuilder::new().operation_id(Some(id)).summary(Some(summary)).tag(plural).parameter(name(one))
    };
    let read = operation("read", format!("One {one}")).response("200", ok("As it stands", "Item")).response("304", none("As it was"));
    let body = RequestBodyBuilder::new()
        .description(Some("As in the file's section"))
        .required(Some(Required::True))
        .content("application/json", Content::new(Some(ObjectBuilder::new().schema_type(Type::Object).build())));
    let put = operation("put", format!("Makes a {one}, or puts another one in its place"))
        .parameters(Some(query.clone()))
        .request_body(Some(body.build()))
        .response("200", ok("Changed; of a dry run, what would be", "ItemOrChange"))
        .response("201", ok("Made", "Item"));
    let delete = operation("delete", format!("Takes a {one} of the store away"))
        .parameters(Some(query))
        .response("200", ok("Taken away; of a dry run, what would be", "Changed"));
    paths(
        &format!("/api/v1/{plural}/{{name}}"),
        [(HttpMethod::Get, read.build()), (HttpMethod::Put, put.build()), (HttpMethod::Delete, delete.build())],
    )
}

fn paths<const N: usize>(path: &str, operations: [(HttpMethod, Operation); N]) -> Paths {
    let mut paths = Paths::new();
    for (method, operation) in operations {
        paths.add_path_operation(path, vec![method], operation);
    }
    paths
}

fn ok(description: &str, schema: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name(schema)));
    ResponseBuilder::new().description(description).content("application/json", content).build()
}

fn none(description: &str) -> Response {
    ResponseBuilder::new().description(description).build()
}

fn name(one: &str) -> Parameter {
    ParameterBuilder::new()
        .name("name")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(format!("The {one}'s name, percent-encoded")))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).min_length(Some(1))))
        .build()
}
