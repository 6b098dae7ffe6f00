//! Recordings and voicemails: lists, their sound with byte ranges, and removal.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Page, Query, page_size};
use crate::command::Order;
use crate::event::RecordKind;
use crate::http::auth::guard::Identity;
use crate::http::desk::entity::{Entity, Voicemail};
use crate::http::error::ApiError;
use crate::http::orders;
use crate::http::range;
use crate::http::site::{Site, read_row, read_value};
use crate::http::wire::Moment;
use crate::ids::{CallId, RecordingId, VoicemailId};
use crate::runtime::fold::{RecordingRow, VoicemailRow};
use crate::store::View;
use crate::store::view::key;

/// A sealed recording; its sound is at `/api/recordings/{recording}`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RecordingView {
    #[schema(value_type = String)]
    pub recording: RecordingId,
    #[schema(value_type = String)]
    pub call: CallId,
    pub at: Moment,
    pub seconds: f64,
    pub bytes: u64,
}

/// A page of a list that is newest first.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Newest {
    limit: Option<usize>,
    before: Option<RecordingId>,
}

pub async fn recordings(
    State(site): State<Arc<Site>>,
    Query(asked): Query<Newest>,
) -> Result<axum::Json<Page<RecordingView>>, ApiError> {
    let page = site.read(move |view| {
        let (rows, before) = (page_size(asked.limit), asked.before.map(key::recording));
        let found = view.range_back(&key::recordings(), before.as_deref(), rows)?;
        let items: Vec<RecordingView> = found
            .iter()
            .filter_map(|row| read_value::<RecordingRow>(&row.key, &row.value))
            .map(|row| RecordingView {
                recording: row.recording,
                call: row.call,
                at: Moment(row.at),
                seconds: row.seconds,
                bytes: row.bytes,
            })
            .collect();
        let next = items.last().filter(|_| found.len() == rows).map(|item| item.recording.to_string());
        Ok(Page { items, next })
    });
    Ok(axum::Json(page.await?))
}

pub async fn recording(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::not_found("recording.unknown", "There is no such recording.");
    let id: RecordingId = id.parse().map_err(|_| unknown())?;
    let row: RecordingRow = site.read(move |view| read_row(view, &key::recording(id))).await?.ok_or_else(unknown)?;
    tracing::info!(user = %identity.user.name, recording = %id, call = %row.call, "recording.played");
    range::serve(&site.centre.recording_file(&row.file), "audio/wav", &headers).await
}

pub async fn voicemails(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
) -> axum::Json<Vec<Voicemail>> {
    let masked = site.is_masked(identity.user.role);
    let all: Vec<Voicemail> = site.hub.look(|desk| desk.voicemails().cloned().collect());
    let shown = all.into_iter().filter_map(|message| {
        let entity = Entity::Voicemail(message);
        match if masked { entity.masked() } else { entity } {
            Entity::Voicemail(message) => Some(message),
            _ => None,
        }
    });
    axum::Json(shown.collect())
}

pub async fn voicemail(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(place): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let row = stored(&site, place).await?;
    tracing::info!(user = %identity.user.name, voicemail = %row.id, "voicemail.played");
    range::serve(&site.centre.recording_file(&row.file), "audio/wav", &headers).await
}

/// The message leaves its box; the file stays as long as files are kept.
pub async fn delete_voicemail(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(place): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let row = stored(&site, place).await?;
    let order = Order::RemoveRecord { kind: RecordKind::Voicemail, key: format!("{}/{}", row.r#box, row.id) };
    orders::give(&site, identity.actor(), order, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn stored(site: &Site, (mailbox, id): (String, String)) -> Result<VoicemailRow, ApiError> {
    let unknown = || ApiError::not_found("voicemail.unknown", "There is no such message in this box.");
    let id: VoicemailId = id.parse().map_err(|_| unknown())?;
    let read = move |view: &dyn View| read_row(view, &key::voicemail(&mailbox, id));
    site.read(read).await?.ok_or_else(unknown)
}
