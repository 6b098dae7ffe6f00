//! What is broken is refused, with its line, the reason and the mend; what is good is not.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::centre::{Centre, write_sound};

#[test]
fn a_broken_configuration_is_refused_with_its_line_and_a_missing_one_is_named() {
    let centre = Centre::new();
    centre.write("strowger.toml", "domain = \"pbx.test\"\n[stoer]\npath = \"x\"\n");
    let told = centre.run("users list").fails(3);
    assert!(told.contains("strowger.toml:2:2") && told.contains("Did you mean `store`?"), "{told}");
    assert!(centre.run("users list --config none.toml").fails(3).contains("none.toml"));
}

// -- the corpus ------------------------------------------------------------------------------------------------------

fn corpus(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/dialplans").join(name);
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_dialplan = |path: &PathBuf| {
        let name = path.to_string_lossy();
        name.ends_with(".toml") && !name.ends_with(".test.toml")
    };
    let mut files: Vec<PathBuf> = entries.filter(is_dialplan).collect();
    files.sort();
    files
}

/// A centre with the queues, hours, routes and prompts that the corpus is checked against.
fn corpus_centre() -> Centre {
    let centre = Centre::with(
        "domain = \"pbx.test\"\ncountry = \"86\"\n\
         [queue.service]\n[queue.sales]\n[queue.gold]\n\
         [hours.office]\ndaily = [\"09:00-18:00\"]\n\
         [trunk.carrier]\nmatch = [\"127.0.0.2\"]\nhost = \"127.0.0.2:5060\"\n\
         [[outbound]]\nprefix = [\"+86*\"]\ntrunks = [\"carrier\"]\n\
         [[outbound]]\nprefix = [\"1001*\"]\ntrunks = [\"carrier\"]\n\
         [emergency]\ntrunks = [\"carrier\"]\n\
         [skills]\nhardware = \"Hardware\"\nenglish = \"English\"\n",
    );
    let context =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/dialplans/context.toml"));
    let context: toml::Table = context.unwrap().parse().unwrap();
    let list = |key: &str| -> Vec<String> {
        context[key].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    for language in list("languages") {
        let mut prompts = list("prompts");
        if language == "en" {
            prompts.extend(list("english_only"));
        }
        for prompt in &prompts {
            write_sound(&centre.path(&format!("prompts/{language}/{prompt}.wav")));
        }
        let words: Vec<String> = prompts.iter().map(|prompt| format!("\"{prompt}\" = \"{prompt}\"\n")).collect();
        centre.write(&format!("prompts/{language}/manifest.toml"), &format!("[prompts]\n{}", words.concat()));
    }
    centre
}

#[test]
fn no_good_dialplan_is_refused() {
    let centre = corpus_centre();
    for file in corpus("good") {
        centre.copy(&file, &format!("dialplans/{}", file.file_name().unwrap().to_string_lossy()));
    }
    let said = centre.run("check --json").json();
    let errors: Vec<&Value> = said.as_array().unwrap().iter().filter(|found| found["severity"] == "error").collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let checked = centre.run("check").ok();
    assert!(checked.contains("strowger.toml"), "{checked}");
}

#[test]
fn every_broken_dialplan_is_refused_at_its_line_with_a_reason_and_a_mend() {
    let broken = corpus("broken");
    assert!(broken.len() >= 50, "the corpus has {} dialplans", broken.len());
    let centre = corpus_centre();
    for page in corpus("good").iter().filter(|path| path.ends_with("pin.toml") || path.ends_with("verify.toml")) {
        centre.copy(page, &format!("dialplans/{}", page.file_name().unwrap().to_string_lossy()));
    }
    let mut wrong = Vec::new();
    for file in broken {
        let name = format!("dialplans/{}", file.file_name().unwrap().to_string_lossy());
        centre.copy(&file, &name);
        let refused = centre.run("check --json");
        assert_eq!(refused.code, 3, "{name}: {}{}", refused.out, refused.err);
        let findings: Value = serde_json::from_str(&refused.out).unwrap();
        let findings: Vec<&Value> =
            findings.as_array().unwrap().iter().filter(|found| found["file"] == *name).collect();
        let mut told: Vec<String> = findings
            .iter()
            .map(|found| format!("{} at line {}", found["code"].as_str().unwrap(), found["line"]))
            .collect();
        let text = std::fs::read_to_string(&file).unwrap();
        let mut expected: Vec<String> =
            text.lines().filter_map(|line| line.strip_prefix("# expect: ")).map(str::to_owned).collect();
        told.sort();
        expected.sort();
        if told != expected || findings.iter().any(|found| found["reason"] == "" || found["mend"] == "") {
            wrong.push(format!("{name}: expected {expected:?}, told {findings:#?}"));
        }
        let (code, line) = expected[0].split_once(" at line ").unwrap();
        let shown = centre.run("check").fails_aloud(3);
        let (first, underlined) = (format!("[{code}]"), format!("{name}:{line}:"));
        if !shown.contains(&first) || (line != "0" && !shown.contains(&underlined)) {
            wrong.push(format!("{name}: not shown to people:\n{shown}"));
        }
        std::fs::remove_file(centre.path(&name)).unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The findings of a configuration that has the dialplans and prompts which the corpus names.
fn findings_of(centre: &Centre, file: &Path, code: i32) -> Vec<String> {
    centre.copy(file, "strowger.toml");
    let ran = centre.run("check --json");
    assert_eq!(ran.code, code, "{}: {}{}", file.display(), ran.out, ran.err);
    let findings: Value = serde_json::from_str(&ran.out).unwrap();
    let errors = findings.as_array().unwrap().iter().filter(|found| found["severity"] == "error");
    let told = errors.map(|found| {
        assert!(found["reason"] != "" && found["mend"] != "" && found["file"] == "strowger.toml", "{found:#}");
        format!("{}:{}", found["code"].as_str().unwrap(), found["line"])
    });
    told.collect()
}

#[test]
fn every_broken_configuration_is_refused_at_its_line_and_no_good_one_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config");
    let files = |name: &str| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder.join(name)).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "toml")).collect()
    };
    let centre = Centre::empty();
    for dialplan in ["airline", "bank", "night"] {
        let text = "self_service = true\nstart = \"bye\"\n[state.bye]\nhangup = true\n";
        centre.write(&format!("dialplans/{dialplan}.toml"), text);
    }
    for prompt in ["music", "welcome", "closed", "please-wait"] {
        write_sound(&centre.path(&format!("prompts/en/{prompt}.wav")));
    }
    let words = "[prompts]\nmusic = \"x\"\nwelcome = \"x\"\nclosed = \"x\"\nplease-wait = \"x\"\n";
    centre.write("prompts/en/manifest.toml", words);
    let (broken, mut good) = (files("broken"), files("good"));
    assert!(broken.len() >= 60, "{} broken configurations", broken.len());
    let mut wrong = Vec::new();
    for file in broken {
        let text = std::fs::read_to_string(&file).unwrap();
        let expected = text.lines().next().and_then(|line| line.strip_prefix("# expect: ")).unwrap();
        let told = findings_of(&centre, &file, 3);
        if expected.split(", ").any(|place| !told.iter().any(|told| told == place)) {
            wrong.push(format!("{}: expected {expected}, told {told:?}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    good.push(folder.join("strowger.toml"));
    for file in good {
        assert_eq!(findings_of(&centre, &file, 0), Vec::<String>::new(), "{}", file.display());
    }
}
