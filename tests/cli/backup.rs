//! A backup of a centre at rest, of one that takes calls, and the way back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::centre::{Caller, Centre, DESK, Network, Served, read};

const ONE: &str = "family_name,phones\nBai,13800138000\n";

fn furnished() -> Centre {
    let centre = Centre::new();
    centre.write("c.csv", ONE);
    centre.run("customers import c.csv").ok();
    centre.write("dialplans/desk.toml", DESK);
    centre.write("strowger.toml", &(read(&centre.path("strowger.toml")) + "\n[store]\npath = \"data\"\n"));
    centre.write("data/recordings/2026/11/22/a.wav", "RIFF");
    centre
}

#[test]
fn a_backup_comes_back_in_an_empty_place_and_nowhere_else() {
    let centre = furnished();
    let told = centre.run("backup copy").ok();
    assert!(told.starts_with("copy holds records up to 1, ") && told.contains(" files, "), "{told}");
    assert!(centre.run("backup copy").fails(1).contains("copy is not empty"));
    assert!(centre.run("restore copy").fails(1).contains("would be overwritten"), "the store is there");
    let told = centre.run("restore copy --verify").ok();
    assert!(told.starts_with("copy is whole: records up to 1, "), "{told}");
    assert_eq!(centre.run("restore copy --verify --json").json()["last_seq"], 1);

    // On another machine there is nothing but the backup.
    let other = Centre::empty();
    other.run(&format!("restore {}", centre.path("copy").display())).ok();
    assert_eq!(other.run("customers list --json").json()[0]["name"]["family"], "Bai");
    assert_eq!(read(&other.path("data/recordings/2026/11/22/a.wav")), "RIFF");
    assert_eq!(read(&other.path("dialplans/desk.toml")), DESK);
    assert_eq!(read(&other.path("strowger.toml")), read(&centre.path("strowger.toml")));
    // It goes on where the other left off.
    other.write("d.csv", &ONE.replace("Bai,13800138000", "Li,13900139000"));
    assert_eq!(other.run("customers import d.csv").ok(), "1 customers added, 0 changed, 0 unchanged.\n");

    // Where a configuration stands, it stands.
    let named = Centre::with("domain = \"other.test\"\n[store]\npath = \"elsewhere\"\n");
    named.run(&format!("restore {}", centre.path("copy").display())).ok();
    assert_eq!(named.run("customers list --json").json()[0]["name"]["family"], "Bai");
    assert!(named.path("elsewhere/ledger").is_dir() && !named.path("dialplans").exists());
}

#[test]
fn recordings_are_left_out_where_that_is_asked() {
    let centre = furnished();
    centre.run("backup small --without-recordings").ok();
    assert!(centre.path("small/manifest.json").is_file() && !centre.path("small/files/recordings").exists());
}

#[test]
fn a_damaged_backup_is_refused_and_nothing_of_it_is_restored() {
    let centre = furnished();
    centre.run("backup copy").ok();
    let other = Centre::empty();
    let restore = format!("restore {}", centre.path("copy").display());
    let record = std::fs::read_dir(centre.path("copy/ledger")).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&record).unwrap();
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&record, damaged).unwrap();
    for line in [restore.clone(), format!("{restore} --verify")] {
        let told = other.run(&line).fails(1);
        assert!(told.contains("differs from the manifest") && told.contains("ledger/"), "{told}");
    }
    assert!(!other.path("data").exists() && !other.path("strowger.toml").exists());
    std::fs::write(&record, whole).unwrap();
    std::fs::remove_file(centre.path("copy/manifest.json")).unwrap();
    assert!(other.run(&restore).fails(1).contains("no finished backup"));
    assert!(other.run("restore nowhere").fails(1).contains("no finished backup"));
}

#[test]
fn a_centre_that_takes_calls_is_backed_up_and_every_call_before_it_comes_back_once() {
    let network = Network::new();
    let centre = Centre::serving(network);
    let served = Served::start(&centre);
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|who| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let caller = Caller::new(network);
                let mut calls = 0;
                while calls < 2 || !stop.load(Ordering::Relaxed) {
                    caller.call(&format!("1380013{who:04}"), &format!("load{who}x{calls}"));
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    let ids = |centre: &Centre| -> Vec<String> {
        let listed = centre.run("cdr list --limit 100000 --json").json();
        listed.as_array().unwrap().iter().map(|call| call["call"].as_str().unwrap().to_owned()).collect()
    };
    let before = super::centre::patiently("calls in the list", || Some(ids(&centre)).filter(|ids| ids.len() > 4));
    centre.run("backup copy").ok();
    let after = ids(&centre);
    stop.store(true, Ordering::Relaxed);
    let calls: usize = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
    served.stop();
    assert_eq!(ids(&centre).len(), calls, "one record a call");

    let other = Centre::empty();
    other.run(&format!("restore {}", centre.path("copy").display())).ok();
    let restored = ids(&other);
    assert!(before.iter().all(|id| restored.contains(id)), "before: {before:?}\nrestored: {restored:?}");
    assert!(restored.iter().all(|id| after.contains(id)), "after: {after:?}\nrestored: {restored:?}");
    let mut once = restored.clone();
    once.dedup();
    assert_eq!(once, restored);
}
