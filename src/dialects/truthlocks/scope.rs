//! Scopes in the spellings of this API. `scopes` and `capabilities` are lists of `resource:action`.
//! `scope` is an object of actions and resources, and means every pair of them.

use super::object::Object;
use crate::dialects::sdk::fields::{Fields, wrong};
use crate::domain::Scopes;
use crate::domain::limits::SCOPES_MAX;
use crate::http::problem::Problem;
use crate::http::response::json::Json;
use crate::wire;

const LISTS: [&str; 2] = ["scopes", "capabilities"];
const PAIRS: &str = "scope";

/// Reads the scopes in a body; `None` if it has none.
pub(super) fn read(fields: &Fields<'_>) -> Result<Option<Scopes>, Problem> {
    for name in LISTS {
        if let Some(raw) = fields.raw(name) {
            return checked(name, &texts(name, raw)?).map(Some);
        }
    }
    let Some(raw) = fields.raw(PAIRS) else {
        return Ok(None);
    };
    checked(PAIRS, &pairs(raw)?).map(Some)
}

fn checked(name: &str, scopes: &[String]) -> Result<Scopes, Problem> {
    Scopes::parse(scopes).map_err(|error| wrong(name, error.to_string()))
}

/// Every pair of an action and a resource.
fn pairs(scope: &str) -> Result<Vec<String>, Problem> {
    let Some(members) = wire::members(scope) else {
        return Err(wrong(PAIRS, "must be an object of actions and resources"));
    };
    let member = |name: &str| {
        let member = members.iter().find(|member| member.name == name);
        member.map(|member| member.raw)
    };
    let list = |name: &str| {
        let field = format!("{PAIRS}.{name}");
        match member(name) {
            Some(raw) => texts(&field, raw),
            None => Err(wrong(&field, "is required")),
        }
    };
    let (actions, resources) = (list("actions")?, list("resources")?);
    check_constraints(member("constraints"))?;
    // Checked before the pairs are made, because short lists can make very many pairs.
    if SCOPES_MAX < actions.len().saturating_mul(resources.len()) {
        let message = format!("must make at most {SCOPES_MAX} pairs of an action and a resource");
        return Err(wrong(PAIRS, message));
    }
    let of_action = |action: &String| {
        let pair = |resource: &String| format!("{resource}:{action}");
        resources.iter().map(pair).collect::<Vec<_>>()
    };
    Ok(actions.iter().flat_map(of_action).collect())
}

/// Rejects constraints: the ledger keeps none, and without them a scope would allow more.
fn check_constraints(constraints: Option<&str>) -> Result<(), Problem> {
    let is_empty = constraints.is_none_or(|raw| {
        raw == "null" || wire::members(raw).is_some_and(|members| members.is_empty())
    });
    if is_empty {
        return Ok(());
    }
    Err(wrong(
        "scope.constraints",
        "must be empty: the ledger keeps none, and without them the scope would allow more",
    ))
}

fn texts(name: &str, raw: &str) -> Result<Vec<String>, Problem> {
    serde_json::from_str(raw).map_err(|_said_below| wrong(name, "must be a list of strings"))
}

/// Writes scopes, given as JSON text, in the spellings that sessions and agents share.
pub(super) fn write(object: &mut Object<'_>, scopes: &str) {
    // Only a damaged file holds another value. No scopes are then the safe result.
    let list: Vec<String> = serde_json::from_str(scopes).unwrap_or_default();
    object.raw("scopes", scopes);
    object.member("scope", |out| write_pairs(out, &list));
}

/// Writes `scope`. It leaves out denied scopes, which actions and resources cannot express.
fn write_pairs(out: &mut Json, scopes: &[String]) {
    let (mut actions, mut resources) = (Vec::new(), Vec::new());
    for scope in scopes.iter().filter(|scope| !scope.starts_with('!')) {
        let (resource, action) = match scope.rsplit_once(':') {
            Some((resource, action)) => (Some(resource), action),
            None if scope == "*" => (Some("*"), "*"),
            None => (None, &**scope),
        };
        if !actions.contains(&action) {
            actions.push(action);
        }
        resources.extend(resource.filter(|resource| !resources.contains(resource)));
    }
    out.raw("{\"actions\":");
    out.value(&actions);
    out.raw(",\"resources\":");
    out.value(&resources);
    out.raw(",\"constraints\":{}}");
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn given(body: &Value) -> Result<Option<Vec<String>>, Problem> {
        let scopes = read(&Fields::parse(body.to_string().as_bytes()).unwrap())?;
        Ok(scopes.map(|scopes| scopes.list()))
    }

    fn written(scopes: &Value) -> Value {
        let mut out = Json::default();
        let mut object = Object::begin(&mut out);
        write(&mut object, &scopes.to_string());
        object.end();
        let object: Value = serde_json::from_slice(&out.into_bytes()).unwrap();
        assert_eq!(object["scopes"], *scopes);
        object["scope"].clone()
    }

    #[test]
    fn an_object_is_every_pair_of_its_actions_and_resources_and_comes_back() {
        let scope = json!({
            "actions": ["read", "write"],
            "resources": ["docs/*", "arn:aws:s3"],
            "constraints": {},
        });
        let scopes = given(&json!({"scope": scope})).unwrap().unwrap();
        assert_eq!(
            scopes,
            [
                "docs/*:read",
                "arn:aws:s3:read",
                "docs/*:write",
                "arn:aws:s3:write"
            ]
        );
        assert_eq!(written(&json!(scopes)), scope);
    }

    #[test]
    fn a_list_is_taken_as_it_is_whatever_it_is_called() {
        for name in LISTS {
            let body = json!({name: ["a:b", "c"], "scope": {"actions": 1}});
            assert_eq!(given(&body).unwrap().unwrap(), ["a:b", "c"]);
        }
        assert_eq!(given(&json!({"scopes": null})).unwrap(), None);
    }

    #[test]
    fn what_has_no_resource_is_an_action_and_what_is_denied_is_left_out() {
        let expected = json!({"actions": ["deploy", "*"], "resources": ["*"], "constraints": {}});
        assert_eq!(written(&json!(["deploy", "!a:b", "*"])), expected);
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        let many: Vec<String> = (0..33).map(|number| number.to_string()).collect();
        for (body, field) in [
            (json!({"scopes": "a:b"}), "scopes"),
            (json!({"capabilities": [1]}), "capabilities"),
            (json!({"capabilities": [""]}), "capabilities"),
            (json!({"scope": []}), "scope"),
            (json!({"scope": {"resources": []}}), "scope.actions"),
            (json!({"scope": {"actions": []}}), "scope.resources"),
            (
                json!({"scope": {"actions": many, "resources": ["a", "b"]}}),
                "scope",
            ),
            (
                json!({"scope": {"actions": [], "resources": [], "constraints": {"a": "b"}}}),
                "scope.constraints",
            ),
        ] {
            let problem = given(&body).unwrap_err();
            assert_eq!(problem.errors()[0].field, field, "{body}");
        }
    }
}
