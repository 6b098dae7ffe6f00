//! Checks that the desktop's pages are there to be embedded. It never builds them: `make web` does.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=web/dist");
    println!("cargo:rerun-if-env-changed=STROWGER_WEB");
    let required = std::env::var("STROWGER_WEB").is_ok_and(|word| word == "required");
    let present = Path::new("web/dist/index.html").is_file();
    assert!(present || !required, "web/dist/index.html is missing: run `make web` first");
}
