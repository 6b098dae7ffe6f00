//! Every prompt is recorded in every language that the dialplan speaks.

use std::collections::BTreeSet;

use crate::finding::{Finding, nearest};
use crate::ids::{Language, PromptName};

use super::super::context::PromptCatalogue;
use super::super::model::{Action, Dialplan, LanguageChoice, Part, State};

pub(super) fn check_recorded(plan: &Dialplan, catalogue: &PromptCatalogue) -> Vec<Finding> {
    let mut findings = check_languages(plan, catalogue);
    let spoken: Vec<&Language> = match plan.languages.is_empty() {
        true => catalogue.languages().collect(),
        false => plan.languages.iter().filter(|tag| catalogue.languages().any(|known| known == *tag)).collect(),
    };
    let mut told = BTreeSet::new();
    for state in &plan.states {
        state.each_prompts(&mut |prompts| {
            for part in &prompts.0 {
                let (name, folder) = match part {
                    Part::Prompt(name) => (Some(name), None),
                    Part::Clip { folder, otherwise, .. } => (otherwise.as_ref(), Some(folder)),
                    _ => (None, None),
                };
                if let Some(name) = name.filter(|name| told.insert((*name).clone())) {
                    findings.extend(missing_prompt(plan, state, name, &spoken, catalogue));
                }
                if let Some(folder) = folder {
                    findings.extend(empty_folder(plan, state, folder, &spoken, catalogue));
                }
            }
        });
    }
    findings
}

fn check_languages(plan: &Dialplan, catalogue: &PromptCatalogue) -> Vec<Finding> {
    let chosen = plan.states.iter().filter_map(|state| match &state.action {
        Action::Language(choose) => match &choose.to {
            LanguageChoice::Fixed(tag) | LanguageChoice::Of { otherwise: tag, .. } => {
                Some((tag, super::place_of(plan, state, tag.as_str())))
            }
        },
        _ => None,
    });
    let declared = plan.languages.iter().map(|tag| {
        let quoted = format!("\"{tag}\"");
        let at = plan.source.text.find(&quoted).unwrap_or(0);
        (tag, at..at + quoted.len())
    });
    let known: Vec<_> = catalogue.languages().map(Language::as_str).collect();
    let mut seen = BTreeSet::new();
    declared
        .chain(chosen)
        .filter(|(tag, _)| !known.contains(&tag.as_str()) && seen.insert((*tag).clone()))
        .map(|(tag, place)| {
            plan.source.error(
                "dialplan.unknown-language",
                place,
                format!("There are no prompts in `{tag}`."),
                match known.as_slice() {
                    [] => format!("Record them under `prompts/{tag}`."),
                    known => format!("Record them under `prompts/{tag}`, or use one of {}.", known.join(", ")),
                },
            )
        })
        .collect()
}

fn missing_prompt(
    plan: &Dialplan,
    state: &State,
    name: &PromptName,
    spoken: &[&Language],
    catalogue: &PromptCatalogue,
) -> Option<Finding> {
    let missing: Vec<_> =
        spoken.iter().filter(|tag| catalogue.words(tag, name).is_none()).map(|tag| tag.as_str()).collect();
    if missing.is_empty() {
        return None;
    }
    let known = spoken.iter().flat_map(|tag| catalogue.names(tag)).map(PromptName::as_str);
    let mend = match nearest(name.as_str(), known.filter(|known| *known != name.as_str())) {
        Some(near) if missing.len() == spoken.len() => format!("Did you mean `{near}`?"),
        _ => format!("Record `prompts/{}/{name}.wav` and add its words to the manifest.", missing[0]),
    };
    Some(plan.source.error(
        "dialplan.missing-prompt",
        super::place_of(plan, state, name.as_str()),
        format!("The prompt `{name}` is not recorded in {}.", missing.join(", ")),
        mend,
    ))
}

fn empty_folder(
    plan: &Dialplan,
    state: &State,
    folder: &str,
    spoken: &[&Language],
    catalogue: &PromptCatalogue,
) -> Option<Finding> {
    let empty = spoken.iter().find(|tag| catalogue.folder(tag, folder).next().is_none())?;
    Some(plan.source.error(
        "dialplan.missing-prompt",
        super::place_of(plan, state, folder),
        format!("There is no prompt in `prompts/{empty}/{folder}`, so this clip is never heard."),
        "Record some there, or correct the folder's name.",
    ))
}
