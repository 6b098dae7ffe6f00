//! The running server, asked over `control.sock`.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use reqwest::{Client, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ids::CallId;
use crate::store::{Row, ViewError};

use super::control::{BODY_BYTES, Declined, Drawn, Key, Range, Reload, SOCKET, Saved, Status};
use super::office::{Change, Rows};

/// A server that has the store open.
pub struct Remote {
    client: Client,
    runtime: tokio::runtime::Runtime,
}

impl Remote {
    /// Finds the server that holds the store in this folder.
    pub fn connect(store: &Path) -> anyhow::Result<Self> {
        let socket = store.join(SOCKET);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = Client::builder().unix_socket(socket.clone()).timeout(PATIENCE).build()?;
        let remote = Self { client, runtime };
        remote.status().with_context(|| {
            let socket = socket.display();
            format!("another process has the store open, and nobody answers at {socket}: is it still starting?")
        })?;
        Ok(remote)
    }

    pub fn status(&self) -> anyhow::Result<Status> {
        self.ask(self.client.get(url("status")))
    }

    /// Makes changes, some hundreds in one request. Durable when this returns.
    pub fn save(&self, changes: Vec<Change>) -> anyhow::Result<()> {
        let mut done = 0;
        for part in parts(&changes)? {
            let request = self.client.post(url("records")).header("content-type", "application/json").body(part.body);
            let _: Saved = self.ask(request).with_context(|| match done {
                0 => "nothing before that was saved".to_owned(),
                done => format!("the first {done} of {} changes were saved", changes.len()),
            })?;
            done += part.changes;
        }
        Ok(())
    }

    /// Every message of a call that the server still keeps.
    pub fn ladder(&self, call: CallId) -> anyhow::Result<Option<Drawn>> {
        self.ask(self.client.post(url("ladder")).json(&call))
    }

    /// Has the server read its configuration anew.
    pub fn reload(&self) -> anyhow::Result<Reload> {
        self.ask(self.client.post(url("reload")))
    }

    fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        self.runtime.block_on(async {
            let answer = request.send().await.context("the server does not answer")?;
            if answer.status().is_success() {
                return answer.json().await.context("the server's answer cannot be read: is it of another version?");
            }
            let status = answer.status();
            match answer.json::<Declined>().await {
                Ok(Declined { reason, saved: 0 }) => anyhow::bail!("the server says: {reason}"),
                Ok(Declined { reason, saved }) => anyhow::bail!("the server says, after {saved} changes: {reason}"),
                Err(_) => anyhow::bail!("the server answers {status}: is it of another version?"),
            }
        })
    }

    fn read<Q: Serialize, T: DeserializeOwned>(&self, path: &str, query: &Q) -> Result<T, ViewError> {
        let request = self.client.post(url(path)).json(query);
        self.ask(request).map_err(|error| ViewError::Failed(format!("{error:#}")))
    }

    fn page(&self, range: &Range) -> Result<Vec<Row>, ViewError> {
        let rows: Vec<(String, String)> = self.read("rows", range)?;
        Ok(rows.into_iter().map(|(key, value)| Row { key: key.into_bytes(), value: value.into_bytes() }).collect())
    }
}

impl Rows for Remote {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        let found: Option<String> = self.read("row", &Key { key: text(key) })?;
        Ok(found.map(String::into_bytes))
    }

    fn range(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, ViewError> {
        self.page(&Range { prefix: text(prefix), after: after.map(text), back: false, limit })
    }

    fn range_back(&self, prefix: &[u8], before: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, ViewError> {
        self.page(&Range { prefix: text(prefix), after: before.map(text), back: true, limit })
    }
}

/// Some of the changes, as one request's body.
struct Part {
    body: Vec<u8>,
    changes: usize,
}

/// Cuts changes into requests of a size that the server takes.
fn parts(changes: &[Change]) -> anyhow::Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    for change in changes {
        let text = serde_json::to_vec(change).context("a record cannot be written as JSON")?;
        match parts.last_mut() {
            Some(part) if part.changes < PART_CHANGES && part.body.len() + text.len() + 2 < BODY_BYTES => {
                part.body.push(b',');
                part.body.extend(text);
                part.changes += 1;
            }
            _ => parts.push(Part { body: [&b"["[..], &text].concat(), changes: 1 }),
        }
    }
    parts.iter_mut().for_each(|part| part.body.push(b']'));
    Ok(parts)
}

/// The host is for the form: the socket leads to one server only.
fn url(path: &str) -> String {
    format!("http://control/{path}")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Longer than the server waits for its disk.
const PATIENCE: Duration = Duration::from_secs(60);
const PART_CHANGES: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RecordKind;

    #[test]
    fn many_changes_go_in_several_requests_that_read_back() {
        let change = |n: usize| Change::Remove { kind: RecordKind::User, key: format!("user{n}") };
        let changes: Vec<Change> = (0..PART_CHANGES + 3).map(change).collect();
        let parts = parts(&changes).unwrap();
        assert_eq!(parts.iter().map(|part| part.changes).collect::<Vec<_>>(), [PART_CHANGES, 3]);
        let read = |part: &Part| serde_json::from_slice::<Vec<Change>>(&part.body).unwrap();
        assert_eq!(parts.iter().flat_map(read).collect::<Vec<_>>(), changes);
    }
}
