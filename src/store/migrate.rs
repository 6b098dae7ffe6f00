//! Old records read as new ones: the envelope's version, and the steps from one version to the next.
//!
//! A record is `{"v":1,"t":"call.ended",…}`. Adding a field needs no step (readers default it); a change of meaning
//! raises `v` for that name and adds one pure step from the version before. What is on disk is never rewritten.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A record's envelope, at the newest version this program knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    pub version: u32,
    /// `noun.past`.
    pub name: String,
    /// Every other field.
    pub fields: Map<String, Value>,
}

impl Envelope {
    /// Parses a record's payload as it stands.
    pub fn parse(payload: &[u8]) -> Result<Self, EnvelopeError> {
        let value: Value = serde_json::from_slice(payload).map_err(|error| EnvelopeError::Json(error.to_string()))?;
        let Value::Object(mut fields) = value else { return Err(EnvelopeError::Shape) };
        let version = fields.remove("v").as_ref().and_then(Value::as_u64);
        let version = version.and_then(|v| u32::try_from(v).ok()).filter(|v| *v > 0).ok_or(EnvelopeError::Shape)?;
        let Some(Value::String(name)) = fields.remove("t") else { return Err(EnvelopeError::Shape) };
        Ok(Self { version, name, fields })
    }

    /// The payload of this envelope; `v` and `t` first.
    pub fn write(&self) -> Vec<u8> {
        let name = Value::String(self.name.clone());
        let mut text = format!("{{\"v\":{},\"t\":{name}", self.version);
        for (key, value) in &self.fields {
            text.push_str(&format!(",{}:{value}", Value::String(key.clone())));
        }
        text.push('}');
        text.into_bytes()
    }
}

/// One step: the fields as version `n` wrote them, to what version `n + 1` means. Pure and total: a field that is
/// missing or odd stays so, for the reader to default.
pub type Step = fn(Map<String, Value>) -> Map<String, Value>;

/// Every step there is.
#[derive(Clone, Default)]
pub struct Upcasts {
    /// By name, the steps from version 1 on, without a hole.
    steps: BTreeMap<&'static str, Vec<Step>>,
}

impl Upcasts {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next step of a name: the first call takes version 1 to 2, the second 2 to 3.
    #[must_use]
    pub fn step(mut self, name: &'static str, step: Step) -> Self {
        self.steps.entry(name).or_default().push(step);
        self
    }

    /// The newest version of a name.
    pub fn newest(&self, name: &str) -> u32 {
        let steps = self.steps.get(name).map_or(0, Vec::len);
        u32::try_from(steps).unwrap_or(u32::MAX - 1) + 1
    }

    /// A record as the newest version would have written it. One from a later program is refused: reading it by an
    /// older meaning would be a silent mistake.
    pub fn upcast(&self, payload: &[u8]) -> Result<Envelope, EnvelopeError> {
        let mut envelope = Envelope::parse(payload)?;
        let newest = self.newest(&envelope.name);
        if envelope.version > newest {
            return Err(EnvelopeError::Newer { name: envelope.name, version: envelope.version, newest });
        }
        let steps = self.steps.get(envelope.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        let done = usize::try_from(envelope.version - 1).unwrap_or(usize::MAX);
        for step in steps.iter().skip(done) {
            envelope.fields = step(envelope.fields);
        }
        envelope.version = newest;
        Ok(envelope)
    }
}

/// Why a record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("the record is no JSON: {0}")]
    Json(String),
    #[error("the record is no envelope: an object with a version `v` from 1 on and a name `t` is wanted")]
    Shape,
    #[error("`{name}` version {version} was written by a later program; this one knows {newest}: use the later one")]
    Newer { name: String, version: u32, newest: u32 },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 2 counts in milliseconds; version 3 tells the party apart from the cause.
    fn upcasts() -> Upcasts {
        Upcasts::new()
            .step("call.ended", |mut fields| {
                if let Some(seconds) = fields.remove("talk_s").as_ref().and_then(Value::as_u64) {
                    fields.insert("talk_ms".into(), (seconds.saturating_mul(1_000)).into());
                }
                fields
            })
            .step("call.ended", |mut fields| {
                if let Some(Value::String(cause)) = fields.get("cause").cloned()
                    && let Some((what, by)) = cause.split_once(" by ")
                {
                    fields.insert("cause".into(), serde_json::json!({"what": what, "by": by}));
                }
                fields
            })
    }

    /// One line of each version ever written, and what each reads as today.
    #[test]
    fn every_version_ever_written_reads_as_the_newest() {
        let lines = include_str!("golden/envelopes.jsonl").lines();
        let mut checked = 0;
        for pair in lines.collect::<Vec<_>>().chunks(2) {
            let [written, read] = pair else { panic!("the golden file holds pairs of lines") };
            let upcast = upcasts().upcast(written.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(upcast.write()).unwrap(), *read);
            checked += 1;
        }
        assert_eq!(checked, 6);
    }

    #[test]
    fn a_record_of_a_later_program_is_refused_not_misread() {
        let later = br#"{"v":4,"t":"call.ended"}"#;
        let refused = EnvelopeError::Newer { name: "call.ended".into(), version: 4, newest: 3 };
        assert_eq!(upcasts().upcast(later), Err(refused));
        assert!(matches!(Upcasts::new().upcast(br#"{"v":2,"t":"agent.noted"}"#), Err(EnvelopeError::Newer { .. })));
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        for wrong in ["", "[]", "{}", r#"{"v":0,"t":"a"}"#, r#"{"v":1}"#, r#"{"v":"1","t":"a"}"#, r#"{"v":1,"t":2}"#] {
            assert!(upcasts().upcast(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
