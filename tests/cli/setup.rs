//! `scripts/setup.sh` on machines that lack something: what it says can be typed as it stands.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::centre::{Centre, Ran};

/// Programs that stand before the machine's own.
fn set_up(bench: &Centre, programs: &[(&str, &str)]) -> Ran {
    for (name, script) in programs {
        let file = format!("bin/{name}");
        bench.write(&file, &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(bench.path(&file), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/setup.sh");
    Ran::from(with_path(bench, Command::new(script).arg("build")).output().unwrap())
}

fn with_path<'a>(bench: &Centre, command: &'a mut Command) -> &'a mut Command {
    command.env("PATH", format!("{}:{}", bench.path("bin").display(), std::env::var("PATH").unwrap()))
}

#[test]
fn who_may_not_install_is_told_a_command_that_works_as_it_stands() {
    let bench = Centre::empty();
    let asked = bench.path("asked");
    let apt = format!("echo apt-get \"$@\" >> {}", asked.display());
    let told = set_up(&bench, &[("id", "echo 1000"), ("sudo", "exit 1"), ("dpkg-query", "exit 1"), ("apt-get", &apt)])
        .fails(1);
    assert!(!asked.exists(), "nothing is installed without root");
    let (_, line) = told.split_once("please run:  sudo ").unwrap_or_else(|| panic!("{told}"));
    let typed = with_path(&bench, Command::new("bash").args(["-c", line])).status().unwrap();
    assert!(typed.success(), "{line}");
    let did = std::fs::read_to_string(asked).unwrap();
    let lines: Vec<&str> = did.lines().collect();
    assert_eq!(lines[0], "apt-get update -qq");
    assert!(lines[1].starts_with("apt-get install -y -qq --no-install-recommends build-essential "), "{did}");
}

#[test]
fn a_node_that_is_too_old_is_told_with_where_a_newer_one_is() {
    let installed = [("dpkg-query", "echo installed"), ("npm", "exit 1")];
    for old in ["v18.19.0", "v20.9.0"] {
        let node = format!("echo {old}");
        let told = set_up(&Centre::empty(), &[&installed[..], &[("node", &node)]].concat()).fails(1);
        assert!(told.contains(&format!("Node 20.19 or later is wanted, this is {}", &old[1..])), "{told}");
        assert!(told.contains("https://deb.nodesource.com/setup_20.x"), "{told}");
    }
}
