//! Keys that are read once, at the start: sockets, threads and folders, and what phones were told for good. A reload
//! takes all others and leaves these as they run.

use super::model::Plan;

/// One such key: what keeps it as it runs, and tells whether the next plan wants it otherwise.
struct Fixed {
    key: &'static str,
    keep: fn(&mut Plan, &Plan) -> bool,
}

macro_rules! fixed {
    ($($key:literal: $($field:ident).+,)+) => {
        &[$(Fixed {
            key: $key,
            keep: |next, running| {
                let differs = next.$($field).+ != running.$($field).+;
                next.$($field).+.clone_from(&running.$($field).+);
                differs
            },
        }),+]
    };
}

const FIXED: &[Fixed] = fixed! {
    // Accounts' passwords are hashed with it.
    "domain": domain,
    // Listeners bear it in Via and Contact.
    "public_address": public_address,
    "sip.listen": sip.listen,
    "media.port_first": media.port_first,
    "media.port_last": media.port_last,
    "media.engines": media.engines,
    "http.listen": http.listen,
    "http.allowed_origins": http.allowed_origins,
    "http.session_s": http.session_s,
    "store.path": store.path,
    "store.free_min_mb": store.free_min_mb,
    "store.write_timeout_ms": store.write_timeout_ms,
    // The recordings there are must be found.
    "recording.path": recording.path,
    "limits.message_bytes": limits.message_bytes,
    "limits.connections": limits.connections,
    "limits.websocket_sessions": limits.websocket_sessions,
    "limits.websocket_lag_events": limits.websocket_lag_events,
};

/// Puts what runs in the place of what the next plan says of these keys. Answers the keys it wanted otherwise, in the
/// words of the file.
pub fn keep(next: &mut Plan, running: &Plan) -> Vec<&'static str> {
    FIXED.iter().filter(|fixed| (fixed.keep)(next, running)).map(|fixed| fixed.key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each key with a value that is not its default.
    const OTHERWISE: &[(&str, &str)] = &[
        ("domain", "\"other.example\""),
        ("public_address", "[\"203.0.113.9\"]"),
        ("sip.listen", "[\"udp:127.0.0.1:5070\"]"),
        ("media.port_first", "21000"),
        ("media.port_last", "28999"),
        ("media.engines", "3"),
        ("http.listen", "\"127.0.0.1:8090\""),
        ("http.allowed_origins", "[\"https://crm.example\"]"),
        ("http.session_s", "3600"),
        ("store.path", "\"elsewhere\""),
        ("store.free_min_mb", "1"),
        ("store.write_timeout_ms", "3000"),
        ("recording.path", "\"sounds\""),
        ("limits.message_bytes", "9000"),
        ("limits.connections", "7"),
        ("limits.websocket_sessions", "7"),
        ("limits.websocket_lag_events", "77"),
    ];

    #[test]
    fn each_key_stays_as_it_runs_and_is_told_and_all_others_are_taken() {
        assert_eq!(
            FIXED.iter().map(|fixed| fixed.key).collect::<Vec<_>>(),
            OTHERWISE.iter().map(|row| row.0).collect::<Vec<_>>()
        );
        let running = Plan::default();
        for (key, value) in OTHERWISE {
            let mut next = Plan::from_toml(&format!("{key} = {value}\nagents.no_answer_limit = 7\n")).unwrap();
            assert_eq!(keep(&mut next, &running), [*key]);
            assert_eq!(next.agents.no_answer_limit, 7, "{key}");
            next.agents.no_answer_limit = running.agents.no_answer_limit;
            assert_eq!(next, running, "{key}");
        }
        let every: String = OTHERWISE.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let mut next = Plan::from_toml(&every).unwrap();
        assert_eq!(keep(&mut next, &running).len(), OTHERWISE.len());
        assert_eq!(keep(&mut running.clone(), &running), [""; 0]);
    }
}
