//! Files → an edition of the plan: configuration, dialplans, prompts, with a digest of it all.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::config::compose::BookReader;
use crate::config::load::{Loaded, Refused, load};
use crate::config::prompts::{Recorded, read_prompts};
use crate::dialplan::{Book, PromptCatalogue};
use crate::finding::{Finding, Severity};
use crate::switch::Edition;

/// How a folder of prompts becomes a catalogue for the checks.
pub type Catalogue = fn(&Path) -> (PromptCatalogue, Vec<Finding>);

/// The reader of dialplans that `check`, `serve` and reload share.
pub fn reader() -> BookReader<Catalogue> {
    BookReader {
        catalogue: |folder| {
            let Recorded { catalogue, findings, .. } = read_prompts(folder);
            (catalogue, findings)
        },
    }
}

/// Loads everything a configuration names, or says what is wrong with it.
pub fn read(config: &Path) -> Result<Loaded<Book>, Refused> {
    load(config, &reader())
}

/// Makes the edition that the switch takes. Prompts that cannot be read are findings, never silence in a call.
pub fn compose(config: &Path, loaded: &Loaded<Book>) -> Result<Edition, Vec<Finding>> {
    let folder = crate::config::load::beside(config, &loaded.plan.prompts);
    let Recorded { sounds, findings, .. } = read_prompts(&folder);
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(findings);
    }
    let mut digest = Sha256::new();
    for source in &loaded.sources {
        digest.update(source.text.as_bytes());
    }
    let digest: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Ok(Edition {
        plan: loaded.plan.clone(),
        book: loaded.dialplans.clone(),
        sounds,
        queues: loaded.queues.clone(),
        digest,
    })
}

/// Paths in the plan are beside the configuration; from here on they are absolute.
pub fn anchored(config: &Path, mut edition: Edition) -> Edition {
    let mut plan = (*edition.plan).clone();
    let beside = |path: &str| Arc::from(crate::config::load::beside(config, path).to_string_lossy().as_ref());
    plan.recording.path = beside(&plan.recording.path);
    plan.store.path = beside(&plan.store.path);
    edition.plan = Arc::new(plan);
    edition
}
