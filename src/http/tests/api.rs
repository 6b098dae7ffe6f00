//! The REST API.

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::Server;
use crate::cause::{Cause, Party, What};
use crate::command::{Refusal, UserRole};
use crate::event::{Address, Fact, QueueExit, Role};
use crate::finding::Source;
use crate::http::centre::{Centre, NotReloaded, Reloaded};
use crate::ids::{LegId, RecordingId, VoicemailId};
use crate::limits::http as limits;
use crate::store::view::key;

#[tokio::test]
async fn a_session_cookie_is_out_of_reach_of_scripts_and_foreign_pages() {
    let server = Server::with(|settings| settings.secure = true).await;
    let body = json!({ "user": "agent", "password": super::PASSWORD });
    let response = server.request(Method::POST, "/api/session").json(&body).send().await.unwrap();
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
    let foreign = server.request(Method::POST, "/api/session").header("origin", "http://evil.example").json(&body);
    let refused = foreign.send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "origin.foreign");
}

#[tokio::test]
async fn wrong_passwords_are_refused_alike_and_then_throttled() {
    let server = Server::start().await;
    for attempt in 0..=limits::FAILURES_PER_USER {
        let body = json!({ "user": "nobody", "password": "wrong password" });
        let response = server.request(Method::POST, "/api/session").json(&body).send().await.unwrap();
        if attempt < limits::FAILURES_PER_USER {
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        } else {
            assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(response.headers()[header::RETRY_AFTER], "60");
        }
    }
    let key = json!({ "user": "integration", "password": super::PASSWORD });
    let response = server.request(Method::POST, "/api/session").json(&key).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "a program's key opens no session");
}

#[tokio::test]
async fn the_first_admin_comes_by_the_link_once() {
    let server = Server::start().await;
    let token = server.site.first_admin.invite().unwrap();
    let path = crate::http::auth::first_admin::FirstAdmin::path(&token);
    let page = server.request(Method::GET, &path).send().await.unwrap();
    assert!(page.text().await.unwrap().contains(&token.0));
    let form = [("token", token.0.as_str()), ("user", "root"), ("password", "a long password")];
    let post = || {
        let text = form.iter().map(|(name, value)| format!("{name}={}", value.replace(' ', "+")));
        let text = text.collect::<Vec<_>>().join("&");
        let request = server.request(Method::POST, "/api/first-admin").body(text);
        request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    };
    let there_is_one = post().send().await.unwrap();
    assert_eq!(there_is_one.status(), StatusCode::FORBIDDEN);
    server.centre.save_user("admin", UserRole::Supervisor);
    server.centre.save_user("root", UserRole::Agent);
    assert_eq!(post().send().await.unwrap().status(), StatusCode::CONFLICT, "nobody is written over");
    server.centre.remove_user("root");
    assert_eq!(post().send().await.unwrap().status(), StatusCode::SEE_OTHER);
    assert_eq!(post().send().await.unwrap().status(), StatusCode::FORBIDDEN, "used up");
    let body = json!({ "user": "root", "password": "a long password" });
    let signed_in = server.request(Method::POST, "/api/session").json(&body).send().await.unwrap();
    assert_eq!(signed_in.json::<Value>().await.unwrap()["me"]["role"], "admin");
}

#[tokio::test]
async fn orders_are_given_over_http_as_over_the_socket() {
    let server = Server::start().await;
    let cookie = server.sign_in(UserRole::Agent).await;
    let body = Some(json!({ "account": "1001" }));
    let (status, done) = server.call(&cookie, Method::POST, "/api/cmd/agent.sign_in", body).await;
    assert_eq!((status, done["seq"].is_u64()), (StatusCode::OK, true));
    let (status, _) = server.call(&cookie, Method::POST, "/api/cmd/agent.ready", None).await;
    assert_eq!(status, StatusCode::OK);
    let (status, refused) = server.call(&cookie, Method::POST, "/api/cmd/call.hold", Some(json!({}))).await;
    assert_eq!((status, &refused["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("command.invalid")));
    let (status, _) = server.call(&cookie, Method::POST, "/api/cmd/system.drain", None).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_call_leaves_a_record_with_legs_events_decisions_and_ladder() {
    let server = Server::start().await;
    let call = server.centre.offer(1);
    let agent_leg = LegId::from_u128(11);
    let decided = Fact::RoutingDecided {
        queue: "support".into(),
        agents: vec!["agent".into()],
        explanation: json!({ "verdicts": ["eligible"] }),
    };
    let hangup = Cause::new(What::Hangup, Party::Caller);
    for fact in [
        decided,
        Fact::LegAdded { leg: agent_leg, role: Role::Agent, to: Address::default(), agent: Some("agent".into()) },
        Fact::LegAnswered { leg: agent_leg, codec: "PCMA".into() },
        Fact::QueueLeft { queue: "support".into(), exit: QueueExit::Answered, waited_ms: 1_500 },
        Fact::CallEnded { cause: hangup },
    ] {
        server.centre.emit(Some(call), fact);
    }
    server.centre.arrive(2);
    let supervisor = server.sign_in(UserRole::Supervisor).await;
    let cdr = server.get(&supervisor, &format!("/api/cdr/{call}")).await;
    assert_eq!(
        (&cdr["result"], &cdr["waited_ms"], &cdr["agent"]),
        (&json!("answered"), &json!(1_500), &json!("agent"))
    );
    assert_eq!((&cdr["legs"][1]["codec"], &cdr["accepted"]), (&json!("PCMA"), &json!("2023-11-14T22:13:20.000Z")));
    let events = server.get(&supervisor, &format!("/api/cdr/{call}/events")).await;
    assert_eq!((&events[0]["name"], &events[0]["at"]), (&json!("call.accepted"), &json!("2023-11-14T22:13:20.000Z")));
    let decisions = server.get(&supervisor, &format!("/api/cdr/{call}/decisions")).await;
    assert_eq!(decisions[0]["explanation"]["verdicts"][0], "eligible");
    let drawn = server.get(&supervisor, &format!("/api/cdr/{call}/ladder?format=text")).await;
    assert_eq!(drawn, "t+00.000  127.0.0.9:5060 ── INVITE ──▶ switch\n");

    let all = server.get(&supervisor, "/api/cdr?limit=1").await;
    let next = all["next"].as_str().unwrap();
    let second = server.get(&supervisor, &format!("/api/cdr?limit=1&before={next}")).await;
    assert_ne!(all["items"][0]["call"], second["items"][0]["call"]);
    for (query, found) in [
        ("agent=agent", 1),
        ("agent=nobody", 0),
        ("result=open", 1),
        ("queue=support", 1),
        ("number=13800138000", 2),
        ("from=2023-11-14&to=2023-11-15", 2),
        ("to=2023-11-14", 0),
        ("from=2023-11-15", 0),
    ] {
        let page = server.get(&supervisor, &format!("/api/cdr?{query}")).await;
        assert_eq!(page["items"].as_array().unwrap().len(), found, "{query}");
    }
    let (status, _) = server.call(&supervisor, Method::GET, "/api/cdr?from=yesterday", None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let csv = server.get(&supervisor, "/api/cdr?format=csv").await;
    assert_eq!(csv.as_str().unwrap().lines().count(), 3, "{csv}");

    let agent = server.sign_in(UserRole::Agent).await;
    let own = server.get(&agent, "/api/cdr").await;
    assert_eq!(own["items"].as_array().unwrap().len(), 1);
    assert_eq!(own["items"][0]["from"]["number"], "+86138****8000");
}

#[tokio::test]
async fn a_recording_is_played_in_parts_and_a_voicemail_can_be_removed() {
    let server = Server::start().await;
    std::fs::write(server.centre.files.path().join("a.wav"), b"0123456789").unwrap();
    let call = server.centre.arrive(1);
    let recording = RecordingId::from_u128(5);
    server.centre.emit(Some(call), Fact::RecordingStarted { recording, file: "a.wav".into() });
    let sealed = Fact::RecordingSealed { recording, file: "a.wav".into(), seconds: 2.5, bytes: 10 };
    server.centre.emit(Some(call), sealed);
    let voicemail = VoicemailId::from_u128(6);
    let (r#box, from, file) = ("sales".to_owned(), Address::default(), "gone.wav".to_owned());
    server.centre.emit(Some(call), Fact::VoicemailLeft { voicemail, r#box, from, file, seconds: 3.0 });

    let supervisor = server.sign_in(UserRole::Supervisor).await;
    let listed = server.get(&supervisor, "/api/recordings").await;
    assert_eq!(listed["items"][0]["seconds"], 2.5);
    let path = format!("/api/recordings/{recording}");
    let part = server.request(Method::GET, &path).header("cookie", &supervisor).header("range", "bytes=2-4");
    let part = part.send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()["content-range"], "bytes 2-4/10");
    assert_eq!(part.text().await.unwrap(), "234");

    let message = format!("/api/voicemails/sales/{voicemail}");
    let (status, gone) = server.call(&supervisor, Method::GET, &message, None).await;
    assert_eq!((status, &gone["code"]), (StatusCode::NOT_FOUND, &json!("file.gone")));
    assert_eq!(server.get(&supervisor, "/api/voicemails").await[0]["id"], format!("sales/{voicemail}"));
    let (status, _) = server.call(&supervisor, Method::DELETE, &message, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(server.get(&supervisor, "/api/voicemails").await, json!([]));
}

#[tokio::test]
async fn a_customer_is_saved_found_and_keeps_the_phone_that_its_editor_saw_masked() {
    let server = Server::start().await;
    let agent = server.sign_in(UserRole::Agent).await;
    let card = json!({ "name": { "family": "Bai", "given": "Xue" }, "phones": ["138 0013 8000"], "tier": "gold" });
    let (status, made) = server.call(&agent, Method::POST, "/api/customers", Some(card)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let path = format!("/api/customers/{}", made["id"].as_str().unwrap());
    let mut seen = server.get(&agent, &path).await;
    assert_eq!(seen["phones"], json!(["+86138****8000"]));
    seen["company"] = json!("Xue Ltd");
    let (status, said) = server.call(&agent, Method::PUT, &path, Some(seen)).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{said}");
    let supervisor = server.sign_in(UserRole::Supervisor).await;
    let stored = server.get(&supervisor, &path).await;
    assert_eq!((&stored["phones"], &stored["company"]), (&json!(["+8613800138000"]), &json!("Xue Ltd")));
    for query in ["q=xue", "number=13800138000"] {
        let found = server.get(&supervisor, &format!("/api/customers?{query}")).await;
        assert_eq!(found["items"].as_array().unwrap().len(), 1, "{query}");
    }
    let dial = Some(json!({ "to": format!("customer:{}", made["id"].as_str().unwrap()) }));
    server.call(&agent, Method::POST, "/api/cmd/call.dial", dial).await;
    let last = server.centre.orders.lock().unwrap().last().cloned().unwrap();
    assert_eq!(last.order, crate::command::Order::Dial { to: "+8613800138000".into() });
    let (status, _) = server.call(&agent, Method::PUT, &path, Some(json!({ "phones": [] }))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, _) = server.call(&supervisor, Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, _) = server.call(&supervisor, Method::GET, &path, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_a_customer_proves_himself_by_is_hashed_and_never_shown() {
    let server = Server::start().await;
    let supervisor = server.sign_in(UserRole::Supervisor).await;
    let kept = |server: &Server, id: &str| {
        let card = server.centre.view().get(&key::customer(id.parse().unwrap())).unwrap().unwrap();
        serde_json::from_slice::<Value>(&card).unwrap()["attributes"].clone()
    };
    let card = json!({ "name": { "family": "Bai" }, "attributes": { "secret.pin": "2468", "city": "Wuhan" } });
    let (status, made) = server.call(&supervisor, Method::POST, "/api/customers", Some(card)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let id = made["id"].as_str().unwrap();
    let path = format!("/api/customers/{id}");
    let first = kept(&server, id);
    assert!(first["secret.pin"].as_str().unwrap().starts_with("$argon2id$"), "{first}");
    let seen = server.get(&supervisor, &path).await;
    assert_eq!(seen["attributes"], json!({ "city": "Wuhan" }));
    let (status, said) = server.call(&supervisor, Method::PUT, &path, Some(seen)).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{said}");
    assert_eq!(kept(&server, id), first, "saved as it was seen, nothing changes");
    let text = "id,attribute.secret.pin\n".to_owned() + id + ",1357\n";
    let import = server.request(Method::POST, "/api/customers/import").header("cookie", &supervisor);
    let import = import.header(header::CONTENT_TYPE, "text/csv").body(text).send().await.unwrap();
    assert_eq!(import.status(), StatusCode::OK, "{}", import.text().await.unwrap());
    let second = kept(&server, id);
    assert!(second["secret.pin"].as_str().unwrap().starts_with("$argon2id$") && second != first, "{second}");
    for path in [path.as_str(), "/api/customers", "/api/customers/export", "/api/customers/export?format=json"] {
        let request = server.request(Method::GET, path).header("cookie", &supervisor);
        let text = request.send().await.unwrap().text().await.unwrap();
        assert!(text.contains("Bai") && !text.contains("argon2") && !text.contains("secret"), "{path}: {text}");
    }
}

#[tokio::test]
async fn an_import_is_all_or_nothing_and_comes_out_again() {
    let server = Server::start().await;
    let cookie = server.sign_in(UserRole::Supervisor).await;
    let import = |query: &str, text: &'static str| {
        let request = server.request(Method::POST, &format!("/api/customers/import{query}")).header("cookie", &cookie);
        request.header(header::CONTENT_TYPE, "text/csv").body(text)
    };
    let export = "/api/customers/export?format=json";
    let wrong = "family_name,phones,tier\nBai,13800138000,gold\nLi,13900139000,silver\n";
    let refused = import("", wrong).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["findings"].as_array().unwrap().last().unwrap()["line"], 3, "{refused}");
    assert_eq!(server.get(&cookie, export).await, json!([]));
    let right = "family_name,phones,tier\nBai,13800138000,gold\nLi,13900139000,iron\n";
    let tried: Value = import("?dry_run=true", right).send().await.unwrap().json().await.unwrap();
    assert_eq!((&tried["created"], &tried["saved"]), (&json!(2), &json!(false)), "{tried}");
    let saved: Value = import("", right).send().await.unwrap().json().await.unwrap();
    assert_eq!(saved["saved"], true);
    assert_eq!(server.get(&cookie, export).await.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn of_a_table_with_a_bad_last_row_nobody_is_saved() {
    let server = Server::start().await;
    let admin = server.sign_in(UserRole::Admin).await;
    let import = |query: &str, text: &'static str| {
        let request = server.request(Method::POST, &format!("/api/users/import{query}")).header("cookie", &admin);
        request.header(header::CONTENT_TYPE, "text/csv").body(text)
    };
    // The last row alone reads well; that it leaves no administrator shows beside what is stored.
    let table = "name,role,password,account,sip_password,skills\n\
                 wang,agent,good password,1001,s1p,billing:3\n\
                 zhao,agent,good password,,,\n\
                 admin,agent,,,,\n";
    let refused = import("", table).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let refused: Value = refused.json().await.unwrap();
    let finding = &refused["findings"][0];
    assert_eq!(
        (&finding["code"], &finding["line"], &finding["column"]),
        (&json!("people.last-admin"), &json!(4), &json!(1))
    );
    assert!(server.centre.orders.lock().unwrap().is_empty(), "not even an order was given");
    let broken = table.replace("admin,agent,,,,", "li,agent,,,,billing:11");
    let refused: Value = import("", broken.leak()).send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (&refused["code"], &refused["findings"][0]["line"]),
        (&json!("import.findings"), &json!(4)),
        "{refused}"
    );
    assert!(server.centre.orders.lock().unwrap().is_empty());

    let saved: Value = import("?partial=true", table).send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (&saved["created"], &saved["updated"], &saved["saved"]),
        (&json!(2), &json!(0), &json!(true)),
        "{saved}"
    );
    assert_eq!(server.get(&admin, "/api/users/wang").await["has_password"], true);
    assert_eq!(server.get(&admin, "/api/users/admin").await["role"], "admin");
    let skilled = server.get(&admin, "/api/skills").await;
    assert_eq!(skilled[0]["agents"], json!({ "wang": 3 }));
}

#[tokio::test]
async fn an_import_that_the_house_cannot_finish_says_how_far_it_came() {
    let server = Server::start().await;
    let admin = server.sign_in(UserRole::Admin).await;
    server.centre.refuse("record.save", Refusal::later("store.slow", "The disk is slow."));
    let request = server.request(Method::POST, "/api/users/import").header("cookie", &admin);
    let request = request.header(header::CONTENT_TYPE, "text/csv").body("name,role\nwang,supervisor\n");
    let failed: Value = request.send().await.unwrap().json().await.unwrap();
    let msg = "The disk is slow. 0 of 1 records are saved; the same table once more saves the rest.";
    assert_eq!((&failed["code"], &failed["msg"]), (&json!("store.slow"), &json!(msg)));
}

#[tokio::test]
async fn people_are_administrated_without_their_secrets_coming_out() {
    let server = Server::start().await;
    let admin = server.sign_in(UserRole::Admin).await;
    let put = |path: &'static str, body: Value| server.call(&admin, Method::PUT, path, Some(body));
    let (status, _) = put("/api/users/wang", json!({ "role": "agent", "password": "wang's secret" })).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, _) = put("/api/users/wang", json!({ "role": "agent", "display": "Wang" })).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let wang = server.get(&admin, "/api/users/wang").await;
    assert_eq!((&wang["display"], &wang["has_password"]), (&json!("Wang"), &json!(true)), "the password is kept");
    let (status, _) = put("/api/agents/wang", json!({ "skills": { "billing": 3 } })).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(server.get(&admin, "/api/skills").await[0]["agents"]["wang"], 3);
    let (status, _) = put("/api/accounts/1001", json!({ "display": "Desk" })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "a new account needs a password");
    let (status, _) = put("/api/accounts/1001", json!({ "password": "s1p" })).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (users, accounts) = (server.get(&admin, "/api/users").await, server.get(&admin, "/api/accounts").await);
    let everything = format!("{users} {accounts}");
    assert!(!everything.contains("argon2") && !everything.contains("ha1"), "{everything}");
    let (status, last) = put("/api/users/admin", json!({ "role": "agent" })).await;
    assert_eq!((status, &last["code"]), (StatusCode::CONFLICT, &json!("user.last_admin")));
    let (_, key) = server.call(&admin, Method::POST, "/api/users/integration/key", None).await;
    let bearer = format!("integration:{}", key["key"].as_str().unwrap());
    let response = server.request(Method::GET, "/api/session").bearer_auth(bearer).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_is_not_there_is_said_in_one_shape_and_bodies_are_bounded() {
    let server = Server::start().await;
    let unknown = server.request(Method::GET, "/api/weather").send().await.unwrap();
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!(unknown.headers()["x-content-type-options"], "nosniff");
    assert_eq!(unknown.json::<Value>().await.unwrap()["code"], "path.unknown");
    let patched = server.request(Method::PATCH, "/api/session").send().await.unwrap();
    assert_eq!(patched.status(), StatusCode::METHOD_NOT_ALLOWED);
    let long = json!({ "user": "x".repeat(limits::BODY_BYTES), "password": "" });
    let refused = server.request(Method::POST, "/api/session").json(&long).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let ready = server.request(Method::GET, "/readyz").send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.json::<Value>().await.unwrap()["reasons"][0], "draining");
    let page = server.request(Method::GET, "/").send().await.unwrap();
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'self'"));
}

#[tokio::test]
async fn an_administrator_reloads_and_hears_what_is_new_what_waits_and_what_is_wrong() {
    let server = Server::start().await;
    let source = Source::new("strowger.toml", "[http]\nlisten = \"127.0.0.1:9\"\n");
    let waits = source.warning("reload.next-start", 7..13, "`http.listen` takes effect at the next start.", "Restart.");
    let wrong = source.error("config.type", 7..13, "It is no address.", "Write one.");
    let changes = vec!["queues.support.wrap_up_s: 30 → 20".to_owned()];
    server.centre.prepare_reload(Ok(Reloaded { changes: changes.clone(), next_start: vec![waits] }));
    server.centre.prepare_reload(Err(NotReloaded::Refused(vec![wrong])));
    server.centre.prepare_reload(Err(NotReloaded::Busy));
    let admin = server.sign_in(UserRole::Admin).await;
    let ask = || server.call(&admin, Method::POST, "/api/reload", None);

    let (status, told) = ask().await;
    assert_eq!((status, &told["changes"]), (StatusCode::OK, &json!(changes)));
    let next = &told["next_start"][0];
    assert_eq!((&next["file"], &next["line"], &next["mend"]), (&"strowger.toml".into(), &2.into(), &"Restart.".into()));

    let (status, told) = ask().await;
    assert_eq!((status, &told["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &"plan.refused".into()));
    let wrong = &told["findings"][0];
    assert_eq!((&wrong["severity"], &wrong["line"]), (&"error".into(), &2.into()), "{told}");
    assert_eq!((&wrong["reason"], &wrong["mend"]), (&"It is no address.".into(), &"Write one.".into()));

    let (status, told) = ask().await;
    assert_eq!((status, &told["retry"]), (StatusCode::SERVICE_UNAVAILABLE, &true.into()));
    let (status, told) = ask().await;
    assert_eq!((status, &told["code"]), (StatusCode::CONFLICT, &"reload.unfollowed".into()));
}
