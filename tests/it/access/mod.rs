//! Who may see and do what: every call of every API, by every kind of credential.
//!
//! The calls come from the document of the API and from the dialects. The expected answers follow from
//! the roles that each call names. So a new call is tested, or the test fails. `rules` has the
//! exceptions, each with its reason.

mod alone;
mod bound;
mod routes;
mod rules;
mod world;
mod writer;

use std::collections::BTreeSet;

use session_ledger::dialects::Dialect;

use routes::Route;
use rules::{Expected, Rule};
use world::{Credential, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_answers_every_kind_of_credential_as_its_roles_say() {
    let world = World::start().await;
    let (mut applied, mut wrong) = (BTreeSet::new(), Vec::new());
    let routes = routes::all();
    for route in &routes {
        for credential in &world.credentials {
            let credential = &world.renewed(credential).await;
            let rule = rules::find(route, credential);
            applied.extend(rule.exception);
            if let Err(said) = check(&world, route, credential, &rule).await {
                wrong.push(format!("{route} by {}: {said}", credential.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unused: Vec<_> = rules::exceptions()
        .filter(|reason| !applied.contains(reason))
        .collect();
    assert!(unused.is_empty(), "no call needs {unused:?}");
    let dialects: BTreeSet<_> = routes.iter().map(Route::api).collect();
    assert_eq!(dialects.len(), 1 + Dialect::ALL.len());
    world.app.stop().await;
}

/// Checks a call's answer to a credential. Returns what is wrong with it.
async fn check(
    world: &World,
    route: &Route,
    credential: &Credential,
    rule: &Rule,
) -> Result<(), String> {
    let things = world.things(route).await;
    let answer = world.send(route, credential, &things).await;
    let said = || format!("{} {}", answer.status, answer.text);
    for mark in world::MARKS {
        if answer.text.contains(mark) && !rule.marks.contains(&mark) {
            return Err(format!("shows {mark}: {}", said()));
        }
    }
    let text = answer.text.to_lowercase();
    let is_right = match rule.expected {
        Expected::Status(status) => answer.status == status,
        Expected::Word(status, word) => answer.status == status && text.contains(word),
        Expected::Served => match answer.status {
            401 | 403 | 404 => false,
            501 => true,
            status => status < 500,
        },
        Expected::Missing => {
            let missing = world.send(route, credential, &world::nothing()).await;
            if world::compared(&answer) != world::compared(&missing) {
                return Err(format!("{} is not {}", said(), missing.text));
            }
            true
        }
    };
    if is_right {
        Ok(())
    } else {
        Err(format!("{} is not {:?}", said(), rule.expected))
    }
}
