//! Links: which operations follow on the creation of a session or an agent, and with which id.

use serde_json::{Map, Value, json};

use crate::http::api::openapi::components::operations;

/// Where an operation leads.
struct Links {
    /// The operation.
    from: &'static str,
    /// Where its answer 201 has the id of what was created.
    id: &'static str,
    /// The operations that take this id in their path.
    to: &'static [(&'static str, &'static str)],
}

const LINKS: &[Links] = &[
    Links {
        from: "create_session",
        id: "$response.body#/session/session_id",
        to: &[
            ("GetSession", "get_session"),
            ("RefreshSession", REFRESH),
            ("HandOffSession", "hand_off_session"),
            ("TerminateSession", "terminate_session"),
        ],
    },
    Links {
        from: "register_agent",
        id: "$response.body#/agent/agent_id",
        to: &[
            ("GetAgent", "get_agent"),
            ("UpdateAgent", "update_agent"),
            ("SuspendAgent", "suspend_agent"),
            ("ReinstateAgent", "reinstate_agent"),
            ("RevokeAgent", "revoke_agent"),
        ],
    },
];

/// The operation that also needs the refresh token.
const REFRESH: &str = "refresh_session";

/// Adds the links to the document.
pub(super) fn add(document: &mut Value) {
    let mut components = Map::new();
    for Links { id, to, .. } in LINKS {
        for (name, operation) in *to {
            let mut link = json!({"operationId": operation, "parameters": {"id": id}});
            if *operation == REFRESH {
                // As `requestBody`, generators accept one expression and no object.
                link["description"] = "The body needs the `refresh_token` of this answer.".into();
            }
            components.insert((*name).to_owned(), link);
        }
    }
    document["components"]["links"] = components.into();
    for operation in operations(document) {
        let Some(Links { to, .. }) = LINKS
            .iter()
            .find(|links| operation["operationId"] == links.from)
        else {
            continue;
        };
        let names = to.iter().map(|(name, _)| {
            let reference = json!({"$ref": format!("#/components/links/{name}")});
            ((*name).to_owned(), reference)
        });
        let links: Value = names.collect::<Map<_, _>>().into();
        operation["responses"]["201"]["links"] = links;
    }
}
