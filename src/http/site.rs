//! What every handler shares: the centre, the hub, who may enter, and the settings.

use std::sync::{Arc, Mutex, PoisonError};

use core::time::Duration;

use super::auth::Auth;
use super::auth::first_admin::FirstAdmin;
use super::centre::Centre;
use super::cti::Hub;
use super::error::ApiError;
use crate::command::UserRole;
use crate::crm::User;
use crate::ids::{IdSource, MadeId, UserName};
use crate::store::View;
use crate::store::view::key;

/// The doors' own settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Served over HTTPS: cookies are `Secure`.
    pub secure: bool,
    /// Origins besides our own whose pages may use the API, as `https://crm.example`.
    pub allowed_origins: Vec<Arc<str>>,
    /// Roles that see numbers masked.
    pub masked: Vec<UserRole>,
    /// Between two WebSocket PINGs. Two unanswered ones lose the link.
    pub ping_every: Duration,
    /// Serves the pages from this folder instead of from the binary.
    pub web_dir: Option<std::path::PathBuf>,
    /// What a sample centre tells its visitors; `None` for every other.
    pub demo: Option<super::api::demo::DemoHints>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            secure: false,
            allowed_origins: Vec::new(),
            masked: vec![UserRole::Agent],
            ping_every: Duration::from_secs(20),
            web_dir: None,
            demo: None,
        }
    }
}

/// Shared by all handlers.
pub struct Site {
    pub centre: Arc<dyn Centre>,
    pub hub: Arc<Hub>,
    pub auth: Arc<Auth>,
    pub first_admin: FirstAdmin,
    pub settings: Settings,
    ids: Mutex<IdSource>,
}

impl Site {
    /// `seed` names what the API makes (customers); it comes from the operating system.
    pub fn new(centre: Arc<dyn Centre>, hub: Arc<Hub>, auth: Arc<Auth>, settings: Settings, seed: u64) -> Arc<Self> {
        let ids = Mutex::new(IdSource::from_seed(seed));
        Arc::new(Self { centre, hub, auth, first_admin: FirstAdmin::default(), settings, ids })
    }

    pub fn new_id<I: MadeId>(&self) -> I {
        let now = self.centre.now();
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).next(now)
    }

    pub fn is_masked(&self, role: UserRole) -> bool {
        self.settings.masked.contains(&role)
    }

    /// Reads the view on a blocking thread.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn View) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let view = self.centre.view();
        tokio::task::spawn_blocking(move || read(&*view)).await.map_err(ApiError::internal)?
    }

    pub async fn user(&self, name: &UserName) -> Result<Option<User>, ApiError> {
        let name = name.clone();
        self.read(move |view| read_row(view, &key::user(&name))).await
    }
}

/// A row of the view, read as JSON; one that cannot be read counts as missing and is logged.
pub fn read_row<T: serde::de::DeserializeOwned>(view: &dyn View, key: &[u8]) -> Result<Option<T>, ApiError> {
    Ok(view.get(key)?.and_then(|value| read_value(key, &value)))
}

pub fn read_value<T: serde::de::DeserializeOwned>(key: &[u8], value: &[u8]) -> Option<T> {
    let read = serde_json::from_slice(value);
    if let Err(error) = &read {
        tracing::error!(key = %String::from_utf8_lossy(key), %error, "a row of the view cannot be read");
    }
    read.ok()
}

/// Every row under a prefix, in key order.
pub fn read_all<T: serde::de::DeserializeOwned>(view: &dyn View, prefix: &[u8]) -> Result<Vec<T>, ApiError> {
    let mut all = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let rows = view.range(prefix, after.as_deref(), crate::limits::store::VIEW_PAGE_ROWS)?;
        let Some(last) = rows.last() else { return Ok(all) };
        after = Some(last.key.clone());
        all.extend(rows.iter().filter_map(|row| read_value(&row.key, &row.value)));
    }
}
