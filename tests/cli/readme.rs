//! The centre of the READMEs, typed as they say, in both languages.

use std::path::Path;

use super::centre::{Centre, read};

/// The commands of the READMEs and what each asks for. `strowger serve` has tests of its own.
const COMMANDS: [(&str, &str); 4] = [
    ("check", ""),
    ("accounts add 1001", "a long password\n"),
    ("users add ann --account 1001", "good password\n"),
    ("agents skill ann sales=5", ""),
];

#[test]
fn the_centre_of_the_readme_is_in_order_and_its_commands_run() {
    for name in ["README.md", "README.zh-CN.md"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = read(&root.join(name));
        let centre = Centre::empty();
        std::os::unix::fs::symlink(root.join("prompts"), centre.path("prompts")).unwrap();
        let files = files(&text);
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["centre/strowger.toml", "centre/dialplans/reception.toml"], "{name}");
        for (file, content) in &files {
            centre.write(file, content);
        }
        for (command, input) in COMMANDS {
            let line = format!("strowger {command}");
            assert!(text.lines().any(|row| row == line || row.starts_with(&format!("{line} "))), "{name} lacks {line}");
            let ran = centre.run_in("centre", command, input);
            assert!(ran.code == 0, "{name}: {line}: {}{}", ran.out, ran.err);
            if command == "check" {
                assert_eq!(ran.out, "strowger.toml: in order.\n", "{name}");
            }
        }
        let agents = centre.run_in("centre", "agents list --json", "").json();
        assert_eq!((&agents[0]["name"], &agents[0]["skills"]["sales"]), (&"ann".into(), &5.into()), "{agents:#}");
    }
}

/// The blocks that stand below the name of a file in a line of its own.
fn files(text: &str) -> Vec<(&str, &str)> {
    let blocks = text.split("\n```toml\n").collect::<Vec<_>>();
    let named = blocks.windows(2).filter_map(|pair| {
        let name = pair[0].lines().last()?.strip_prefix('`')?.strip_suffix('`')?;
        Some((name, pair[1].split("```\n").next()?))
    });
    named.collect()
}

#[test]
fn a_shipped_dialplan_finds_its_configuration_from_the_projects_root() {
    let told = Centre::in_the_project("dialplan try dialplans/bank.toml --keys 1");
    assert!(told.err.is_empty() && told.out.contains("Welcome to Strowger Bank."), "{}{}", told.out, told.err);
    let told = Centre::in_the_project("check dialplans/bank.toml").ok();
    assert_eq!(told, "demo/strowger.toml: in order.\n");
}
