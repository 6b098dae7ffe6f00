//! What runs now: calls, agents, queues, trunks; from the desktop's picture.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use crate::command::UserRole;
use crate::http::auth::guard::Identity;
use crate::http::desk::entity::{Agent, Call, Entity, Queue, Trunk, Waiting};
use crate::http::error::ApiError;
use crate::http::site::Site;
use crate::ids::{AgentName, CallId, QueueName, SkillName};

/// A queue and who waits in it, longest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueView {
    pub queue: Queue,
    pub waiting: Vec<Waiting>,
}

/// A skill that the plan names, with who has it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SkillView {
    #[schema(value_type = String)]
    pub name: SkillName,
    /// Levels 1 to 10 by agent.
    #[schema(value_type = std::collections::BTreeMap<String, u8>)]
    pub agents: std::collections::BTreeMap<AgentName, u8>,
}

/// Running calls; an agent sees the own ones.
pub async fn list(State(site): State<Arc<Site>>, Extension(identity): Extension<Identity>) -> Json<Vec<Call>> {
    let calls: Vec<Call> = site.hub.look(|desk| {
        let open = |call: &&Call| may_see(&identity) || desk.is_party(&identity.user.name, call.id);
        desk.calls().filter(open).cloned().collect()
    });
    Json(calls.into_iter().map(|call| seen(&site, &identity, call)).collect())
}

pub async fn one(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<Json<Call>, ApiError> {
    let unknown = || ApiError::not_found("call.unknown", "There is no such call any more.");
    let id: CallId = id.parse().map_err(|_| unknown())?;
    let call = site.hub.look(|desk| {
        let open = may_see(&identity) || desk.is_party(&identity.user.name, id);
        desk.call(id).filter(|_| open).cloned()
    });
    call.map(|call| Json(seen(&site, &identity, call))).ok_or_else(unknown)
}

fn may_see(identity: &Identity) -> bool {
    identity.user.role != UserRole::Agent
}

fn seen(site: &Site, identity: &Identity, call: Call) -> Call {
    if !site.is_masked(identity.user.role) {
        return call;
    }
    match Entity::Call(Box::new(call.clone())).masked() {
        Entity::Call(masked) => *masked,
        _ => call,
    }
}

pub async fn agents(State(site): State<Arc<Site>>) -> Json<Vec<Agent>> {
    Json(site.hub.look(|desk| desk.agents().cloned().collect()))
}

pub async fn agent(State(site): State<Arc<Site>>, Path(name): Path<String>) -> Result<Json<Agent>, ApiError> {
    let agent = site.hub.look(|desk| desk.agent(&AgentName::new(&name)).cloned());
    agent.map(Json).ok_or_else(|| ApiError::not_found("agent.unknown", format!("There is no agent `{name}`.")))
}

pub async fn queues(State(site): State<Arc<Site>>) -> Json<Vec<Queue>> {
    Json(site.hub.look(|desk| desk.queues().cloned().collect()))
}

pub async fn queue(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(name): Path<String>,
) -> Result<Json<QueueView>, ApiError> {
    let id = QueueName::new(&name);
    let found = site.hub.look(|desk| {
        let queue = desk.queues().find(|queue| queue.id == id)?.clone();
        Some((queue, desk.waiting(&id).into_iter().cloned().collect::<Vec<_>>()))
    });
    let unknown = || ApiError::not_found("queue.unknown", format!("There is no queue `{name}`."));
    let (queue, waiting) = found.ok_or_else(unknown)?;
    let masked = site.is_masked(identity.user.role);
    let shown = waiting.into_iter().filter_map(|waiting| {
        let entity = Entity::Waiting(waiting);
        match if masked { entity.masked() } else { entity } {
            Entity::Waiting(waiting) => Some(waiting),
            _ => None,
        }
    });
    Ok(Json(QueueView { queue, waiting: shown.collect() }))
}

pub async fn trunks(State(site): State<Arc<Site>>) -> Json<Vec<Trunk>> {
    Json(site.hub.look(|desk| desk.trunks().cloned().collect()))
}

pub async fn skills(State(site): State<Arc<Site>>) -> Json<Vec<SkillView>> {
    let names = site.centre.plan().skills;
    let skills = site.hub.look(|desk| {
        let of = |name: SkillName| {
            let having = desk.agents().filter_map(|agent| Some((agent.id.clone(), *agent.skills.get(&name)?)));
            SkillView { agents: having.collect(), name: name.clone() }
        };
        names.into_iter().map(of).collect()
    });
    Json(skills)
}
