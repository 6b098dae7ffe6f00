//! The CTI socket.

use core::time::Duration;

use futures_util::FutureExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Server;
use super::centre::{BOUNDS, EPOCH, MemoryCentre, NOW};
use crate::command::{Refusal, UserRole};
use crate::event::{AgentState, Fact};
use crate::http::cti::{Hub, NoSession};
use crate::http::desk::Desk;
use crate::http::desk::entity::Me;
use crate::http::orders::ORDERS;
use crate::limits::http as limits;
use crate::store::view::key;

fn state(state: AgentState) -> Fact {
    Fact::AgentStateChanged { agent: "agent".into(), state, reason: String::new(), deadline: None }
}

fn sub(topics: &[&str]) -> Value {
    json!({ "t": "sub", "id": "s", "topics": topics })
}

#[tokio::test]
async fn a_socket_without_cookie_origin_or_protocol_is_refused() {
    let server = Server::start().await;
    let cookie = server.sign_in(UserRole::Agent).await;
    let own = format!("http://{}", server.address);
    let proto = ("sec-websocket-protocol", "cti.v1");
    let refused: [(&[(&'static str, &str)], u16); 4] = [
        (&[("cookie", "strowger=guess"), ("origin", &own), proto], 401),
        (&[("cookie", &cookie), proto], 403),
        (&[("cookie", &cookie), ("origin", "http://evil.example"), proto], 403),
        (&[("cookie", &cookie), ("origin", &own)], 400),
    ];
    for (headers, status) in refused {
        match server.socket(headers).await {
            Err(super::tungstenite::Error::Http(response)) => assert_eq!(response.status().as_u16(), status),
            other => panic!("{status} was due, and came {:?}", other.err()),
        }
    }
}

#[tokio::test]
async fn whoever_does_not_say_hello_or_has_no_ticket_is_shown_out() {
    let server = Server::start().await;
    let cookie = server.sign_in(UserRole::Agent).await;
    let mut rude = server.page_socket(&cookie).await;
    rude.send(sub(&["agents"])).await;
    assert_eq!(rude.close_code().await, 4400);
    let mut stranger = server.socket(&[("sec-websocket-protocol", "cti.v1")]).await.unwrap();
    stranger.send(json!({ "t": "hello", "ticket": "guess" })).await;
    assert_eq!(stranger.close_code().await, 4401);
}

#[tokio::test]
async fn a_program_enters_by_key_and_ticket_once() {
    let server = Server::start().await;
    let key = format!("integration:{}", super::PASSWORD);
    let response = server.request(Method::POST, "/api/ticket").bearer_auth(&key).send().await.unwrap();
    let ticket: Value = response.json().await.unwrap();
    let hello = json!({ "t": "hello", "client": "crm/2", "ticket": ticket["ticket"] });
    for welcome in [true, false] {
        let mut client = server.socket(&[("sec-websocket-protocol", "cti.v1")]).await.unwrap();
        client.send(hello.clone()).await;
        if welcome {
            assert_eq!(client.next().await["me"]["role"], "integration");
        } else {
            assert_eq!(client.close_code().await, 4401, "a ticket is used up");
        }
    }
}

#[tokio::test]
async fn a_programs_socket_ends_with_its_user_its_role_and_its_key() {
    let server = Server::start().await;
    let admin = server.sign_in(UserRole::Admin).await;
    let mut key = super::PASSWORD.to_owned();
    for how in ["key", "role", "disabled", "removed"] {
        let bearer = format!("integration:{key}");
        let header = format!("Bearer {bearer}");
        let mut by_key =
            server.socket(&[("authorization", &header), ("sec-websocket-protocol", "cti.v1")]).await.unwrap();
        by_key.send(json!({ "t": "hello", "client": "crm/2" })).await;
        let response = server.request(Method::POST, "/api/ticket").bearer_auth(&bearer).send().await.unwrap();
        let ticket: Value = response.json().await.unwrap();
        let mut by_ticket = server.socket(&[("sec-websocket-protocol", "cti.v1")]).await.unwrap();
        by_ticket.send(json!({ "t": "hello", "client": "crm/2", "ticket": ticket["ticket"] })).await;
        for client in [&mut by_key, &mut by_ticket] {
            assert_eq!(client.next().await["t"], "welcome", "{how}");
            assert_eq!(client.ask(sub(&["calls"])).await["t"], "snap", "{how}");
        }

        let put = |body: Value| server.call(&admin, Method::PUT, "/api/users/integration", Some(body));
        let (status, _) = put(json!({ "role": "integration", "display": how })).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "another display name ends nothing");
        server.centre.arrive(1);
        for client in [&mut by_key, &mut by_ticket] {
            assert_eq!(client.next().await["t"], "ev", "{how}");
        }
        let (status, said) = match how {
            "key" => server.call(&admin, Method::POST, "/api/users/integration/key", None).await,
            "role" => put(json!({ "role": "agent" })).await,
            "disabled" => put(json!({ "role": "integration", "disabled": true })).await,
            _ => server.call(&admin, Method::DELETE, "/api/users/integration", None).await,
        };
        assert!(status.is_success(), "{how}: {said}");
        for client in [&mut by_key, &mut by_ticket] {
            assert_eq!(client.close_code().await, 4409, "{how}");
        }
        if let Some(fresh) = said["key"].as_str() {
            key = fresh.to_owned();
        }
        if how != "removed" {
            put(json!({ "role": "integration" })).await;
        }
    }
}

#[tokio::test]
async fn whoever_was_let_in_while_the_record_went_is_found_out_at_the_next_ping() {
    let server = Server::with(|settings| settings.ping_every = Duration::from_millis(20)).await;
    let header = format!("Bearer integration:{}", super::PASSWORD);
    let mut client = server.socket(&[("authorization", &header), ("sec-websocket-protocol", "cti.v1")]).await.unwrap();
    client.send(json!({ "t": "hello", "client": "crm/2" })).await;
    assert_eq!(client.next().await["t"], "welcome");
    // The store knows, and nobody is told any more.
    server.centre.forget(&key::user(&"integration".into()));
    assert_eq!(client.close_code().await, 4401);
}

#[tokio::test]
async fn an_agent_sees_the_offer_with_the_callers_card_and_masked_numbers() {
    let server = Server::start().await;
    let (mut client, welcome) = server.cti(&server.sign_in(UserRole::Agent).await, Value::Null).await;
    let snap = client.ask(sub(&["agent:me"])).await;
    assert_eq!((&snap["t"], &snap["items"][0]["id"]), (&json!("snap"), &json!("agent")));
    let call = server.centre.offer(1);
    let offered = client.next().await;
    assert_eq!((&offered["name"], &offered["topic"]), (&json!("call.offered"), &json!("agent:me")));
    assert_eq!(offered["prev"], welcome["seq"], "nothing was sent before");
    let item = &offered["items"][0];
    assert_eq!((&item["kind"], &item["id"], &item["state"]), (&json!("call"), &json!(call), &json!("offered")));
    assert_eq!(item["from"]["number"], "+86138****8000");
    assert_eq!(item["customer"]["name"], "Bai Xue");
    assert_eq!(item["customer"]["numbers"][0], "+86138****8000");
    server.centre.emit(None, state(AgentState::Offered));
    let next = client.next().await;
    assert_eq!(next["prev"], offered["seq"]);
    assert_eq!((&next["items"][0]["state"], &next["items"][0]["call"]), (&json!("offered"), &json!(call)));
}

#[tokio::test]
async fn a_supervisor_sees_numbers_and_an_agent_may_not_see_all_calls() {
    let server = Server::start().await;
    let (mut agent, _) = server.cti(&server.sign_in(UserRole::Agent).await, Value::Null).await;
    let (mut supervisor, _) = server.cti(&server.sign_in(UserRole::Supervisor).await, Value::Null).await;
    let refusal = agent.ask(sub(&["calls"])).await;
    assert_eq!((&refusal["t"], &refusal["code"]), (&json!("err"), &json!("role.forbidden")));
    assert_eq!(agent.ask(sub(&["weather"])).await["code"], "topic.unknown");
    assert_eq!(supervisor.ask(sub(&["calls"])).await["items"], json!([]));
    server.centre.arrive(1);
    assert_eq!(supervisor.next().await["items"][0]["from"]["number"], "+8613800138000");
}

#[tokio::test]
async fn frames_and_ids_have_their_length() {
    let server = Server::start().await;
    let (mut client, _) = server.cti(&server.sign_in(UserRole::Agent).await, Value::Null).await;
    client.send(json!({ "t": "sub", "id": "i".repeat(limits::CTI_ID_BYTES + 1), "topics": [] })).await;
    let refused = client.next().await;
    assert_eq!((&refused["code"], &refused["id"]), (&json!("frame.id"), &json!("")));
    client.say(&"x".repeat(limits::CTI_FRAME_BYTES)).await;
    assert_eq!(client.next().await["code"], "frame.not_json", "as long as may be");
    client.say(&"x".repeat(limits::CTI_FRAME_BYTES + 1)).await;
    assert!(client.message().await.is_none(), "the socket is closed");
}

#[tokio::test]
async fn topics_of_one_session_are_bounded() {
    let server = Server::start().await;
    let (mut client, _) = server.cti(&server.sign_in(UserRole::Supervisor).await, Value::Null).await;
    for n in 0..limits::CTI_TOPICS {
        assert_eq!(client.ask(sub(&[&format!("queue:q{n}")])).await["t"], "snap");
    }
    let refusal = client.ask(sub(&["agents"])).await;
    assert_eq!((&refusal["t"], &refusal["code"]), (&json!("err"), &json!("topic.too_many")));
    assert_eq!(client.ask(sub(&["queue:q0"])).await["t"], "snap", "one that it has is shown again");
}

#[test]
fn sessions_of_everybody_are_bounded() {
    let hub = Hub::new(Desk::default(), EPOCH, 3, BOUNDS);
    let person = |n: usize| Me {
        user: format!("u{n}").as_str().into(),
        display: String::new(),
        role: UserRole::Agent,
        language: None,
        account: None,
        reasons: Vec::new(),
    };
    for n in 0..BOUNDS.sessions {
        hub.attach(&person(n / limits::CTI_SESSIONS_PER_USER), false, None, NOW).unwrap();
    }
    assert_eq!(hub.attach(&person(BOUNDS.sessions), false, None, NOW).unwrap_err(), NoSession::Full);
}

#[tokio::test]
async fn an_offer_has_a_head_start_on_the_phone_and_a_slow_socket_ends_it() {
    let centre = MemoryCentre::new();
    let me = Me {
        user: "agent".into(),
        display: String::new(),
        role: UserRole::Agent,
        language: None,
        account: None,
        reasons: Vec::new(),
    };
    let attached = centre.hub.attach(&me, false, None, NOW).unwrap();
    centre.hub.subscribe(&attached, "s", &["agent:me".to_owned()]);
    centre.offer(1);
    let (agents, seq) = ([me.user.clone()], centre.hub.look(Desk::seq));
    let mut ring = Box::pin(centre.hub.head_start(&agents, seq));
    assert!((&mut ring).now_or_never().is_none(), "the socket has not taken the offer yet");
    attached.line.written.send_replace(seq);
    assert!(ring.now_or_never().is_some());
    centre.offer(2);
    let seq = centre.hub.look(Desk::seq);
    centre.hub.head_start(&agents, seq).await;
    assert!(*attached.line.written.borrow() < seq, "nobody wrote, and the phone rings all the same");
    let nobody = ["stranger".into()];
    assert!(centre.hub.head_start(&nobody, seq).now_or_never().is_some(), "no desktop, no delay");
}

#[tokio::test]
async fn a_client_that_comes_back_misses_nothing_and_sees_nothing_twice() {
    let server = Server::start().await;
    let cookie = server.sign_in(UserRole::Supervisor).await;
    let (mut client, welcome) = server.cti(&cookie, Value::Null).await;
    client.ask(sub(&["calls"])).await;
    server.centre.arrive(1);
    let seen = client.next().await["seq"].clone();
    drop(client);
    server.centre.arrive(2);
    server.centre.arrive(3);
    let resume = json!({ "session": welcome["session"], "epoch": EPOCH, "seq": seen });
    let (mut client, again) = server.cti(&cookie, resume).await;
    assert_eq!((&again["resumed"], &again["seq"]), (&json!(true), &seen));
    let (second, third) = (client.next().await, client.next().await);
    assert_eq!(second["prev"], seen);
    assert_eq!(third["prev"], second["seq"]);
    server.centre.arrive(4);
    assert_eq!(client.next().await["prev"], third["seq"], "the topics are still subscribed");
}

#[tokio::test]
async fn another_boot_another_user_or_an_unknown_place_starts_afresh() {
    let server = Server::start().await;
    let cookie = server.sign_in(UserRole::Supervisor).await;
    let (_client, welcome) = server.cti(&cookie, Value::Null).await;
    let resume = |epoch: Value, seq: u64| json!({ "session": welcome["session"], "epoch": epoch, "seq": seq });
    let seq = welcome["seq"].as_u64().unwrap();
    let admin = server.sign_in(UserRole::Admin).await;
    let other_boot = json!("00000000000000000000000009");
    for (cookie, resume) in [
        (&cookie, resume(other_boot, seq)),
        (&cookie, resume(json!(EPOCH), seq + 5)),
        (&admin, resume(json!(EPOCH), seq)),
    ] {
        let (_, afresh) = server.cti(cookie, resume).await;
        assert_eq!(afresh["resumed"], false);
        assert_ne!(afresh["session"], welcome["session"]);
    }
}

#[tokio::test]
async fn every_order_is_acknowledged_or_refused_by_name() {
    let server = Server::start().await;
    let (mut admin, _) = server.cti(&server.sign_in(UserRole::Admin).await, Value::Null).await;
    let call = "0000000000000000000000000A";
    let args = json!({
        "account": "1001", "reason": "break", "call": call, "to": "1002", "digits": "12", "agent": "agent",
        "state": "ready", "queue": "sales", "priority": 5, "kind": "agent",
        "record": { "user": "agent", "skills": {} }, "key": "agent", "code": "done", "finish": true,
    });
    for (number, (name, _)) in ORDERS.iter().enumerate() {
        let id = format!("c{number}");
        let answer = admin.ask(json!({ "t": "cmd", "id": id, "name": name, "args": args })).await;
        assert_eq!(answer["t"], "ok", "{name}: {answer}");
        assert!(answer["seq"].is_u64());
    }
    assert_eq!(server.centre.orders.lock().unwrap().len(), ORDERS.len());
    server.centre.refuse("call.hold", Refusal::later("call.wrong_state", "Not now."));
    let refused = admin.ask(json!({ "t": "cmd", "id": "x", "name": "call.hold", "args": { "call": call } })).await;
    assert_eq!(
        (&refused["t"], &refused["code"], &refused["retry"]),
        (&json!("err"), &json!("call.wrong_state"), &json!(true))
    );
    let (mut agent, _) = server.cti(&server.sign_in(UserRole::Agent).await, Value::Null).await;
    assert_eq!(agent.ask(json!({ "t": "cmd", "id": "y", "name": "system.drain" })).await["code"], "role.forbidden");
}

#[tokio::test]
async fn a_repeated_command_is_carried_out_once_also_over_a_reconnect() {
    let server = Server::start().await;
    let cookie = server.sign_in(UserRole::Agent).await;
    let (mut client, welcome) = server.cti(&cookie, Value::Null).await;
    let cmd = json!({ "t": "cmd", "id": "c1", "name": "agent.ready" });
    let first = client.ask(cmd.clone()).await;
    drop(client);
    let resume = json!({ "session": welcome["session"], "epoch": EPOCH, "seq": welcome["seq"] });
    let (mut client, _) = server.cti(&cookie, resume).await;
    assert_eq!(client.ask(cmd).await, first);
    assert_eq!(server.centre.orders.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn events_of_an_order_come_before_its_answer() {
    let server = Server::start().await;
    let (mut client, _) = server.cti(&server.sign_in(UserRole::Supervisor).await, Value::Null).await;
    client.ask(sub(&["agents"])).await;
    let record = json!({ "user": "agent", "skills": { "billing": 7 } });
    client
        .send(json!({ "t": "cmd", "id": "c", "name": "record.save", "args": { "kind": "agent", "record": record } }))
        .await;
    let (event, answer) = (client.next().await, client.next().await);
    assert_eq!((&event["name"], &event["items"][0]["skills"]["billing"]), (&json!("record.saved"), &json!(7)));
    assert_eq!((&answer["t"], &answer["seq"]), (&json!("ok"), &event["seq"]));
}

#[tokio::test]
async fn a_stale_revision_is_refused() {
    let server = Server::start().await;
    let call = server.centre.offer(1);
    let (mut client, _) = server.cti(&server.sign_in(UserRole::Supervisor).await, Value::Null).await;
    let cmd = |id: &str, rev: u64| json!({ "t": "cmd", "id": id, "name": "call.hang_up", "args": { "call": call }, "if_rev": rev });
    assert_eq!(client.ask(cmd("a", 1)).await["code"], "call.changed");
    assert_eq!(client.ask(cmd("b", 1_000)).await["t"], "ok");
}

#[tokio::test]
async fn what_is_no_frame_is_refused_and_the_socket_stays() {
    let server = Server::start().await;
    let (mut client, _) = server.cti(&server.sign_in(UserRole::Agent).await, Value::Null).await;
    for (text, id, code) in [
        ("no json", "", "frame.not_json"),
        ("[1]", "", "frame.not_json"),
        (r#"{"t":"dance","id":"d"}"#, "d", "frame.invalid"),
        (r#"{"t":"sub","id":"e"}"#, "e", "frame.invalid"),
        (r#"{"t":"cmd","id":"","name":"agent.ready"}"#, "", "frame.id"),
        (r#"{"t":"cmd","id":"f","name":"call.teleport"}"#, "f", "command.unknown"),
        (r#"{"t":"cmd","id":"g","name":"call.hold","args":{"call":7}}"#, "g", "command.invalid"),
        (r#"{"t":"hello"}"#, "", "frame.hello"),
    ] {
        client.say(text).await;
        let answer = client.next().await;
        assert_eq!((&answer["t"], &answer["id"], &answer["code"]), (&json!("err"), &json!(id), &json!(code)), "{text}");
    }
    client.send(json!({ "t": "ping", "c": 1.5 })).await;
    assert_eq!(client.next().await["c"], 1.5);
}

#[tokio::test]
async fn a_client_that_lost_the_thread_gets_everything_anew() {
    let server = Server::start().await;
    let (mut client, _) = server.cti(&server.sign_in(UserRole::Supervisor).await, Value::Null).await;
    client.ask(sub(&["queues", "agents"])).await;
    assert_eq!(client.next().await["topic"], "agents");
    client.send(json!({ "t": "resync" })).await;
    let resync = client.next().await;
    assert_eq!(resync["t"], "resync");
    assert_eq!(client.next().await["topic"], "queues");
    assert_eq!(client.next().await["topic"], "agents");
    server.centre.emit(None, state(AgentState::Ready));
    assert_eq!(client.next().await["prev"], resync["seq"]);
}

#[tokio::test]
async fn the_link_is_up_with_the_first_socket_and_down_with_the_last() {
    let server = Server::start().await;
    let cookie = server.sign_in(UserRole::Agent).await;
    let (first, _) = server.cti(&cookie, Value::Null).await;
    let (second, _) = server.cti(&cookie, Value::Null).await;
    drop(first);
    drop(second);
    let up_and_down = vec![("agent".to_owned(), true), ("agent".to_owned(), false)];
    let until = tokio::time::timeout(Duration::from_secs(5), async {
        while *server.centre.links.lock().unwrap() != up_and_down {
            tokio::task::yield_now().await;
        }
    });
    until.await.expect("the link goes down");
}

#[tokio::test]
async fn a_client_that_answers_no_ping_loses_its_link() {
    let server = Server::with(|settings| settings.ping_every = Duration::from_millis(40)).await;
    let cookie = server.sign_in(UserRole::Agent).await;
    // It reads nothing, so it answers nothing.
    let (_deaf, _) = server.cti(&cookie, Value::Null).await;
    let until = tokio::time::timeout(Duration::from_secs(5), async {
        while server.centre.links.lock().unwrap().last() != Some(&("agent".to_owned(), false)) {
            tokio::task::yield_now().await;
        }
    });
    until.await.expect("the link goes down");
}

#[tokio::test]
async fn signing_out_closes_the_socket() {
    let server = Server::start().await;
    let cookie = server.sign_in(UserRole::Agent).await;
    let (mut client, _) = server.cti(&cookie, Value::Null).await;
    let (status, _) = server.call(&cookie, Method::DELETE, "/api/session", None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    client.send(json!({ "t": "ping", "c": 1 })).await;
    assert_eq!(client.close_code().await, 4401);
}

#[tokio::test]
async fn a_user_with_another_role_is_signed_out_at_once() {
    let server = Server::start().await;
    let cookie = server.sign_in(UserRole::Agent).await;
    let (mut client, _) = server.cti(&cookie, Value::Null).await;
    server.centre.save_user("agent", UserRole::Supervisor);
    assert_eq!(client.close_code().await, 4409);
    let (status, _) = server.call(&cookie, Method::GET, "/api/session", None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_about_to_end_is_told_and_renewal_keeps_it() {
    let server = Server::with(|settings| settings.ping_every = Duration::from_millis(30)).await;
    let cookie = server.sign_in(UserRole::Agent).await;
    let (mut client, _) = server.cti(&cookie, Value::Null).await;
    server.centre.pass(super::centre::SESSION_TIME - Duration::from_secs(60));
    assert_eq!(client.next().await["name"], "auth.expiring");
    let (status, _) = server.call(&cookie, Method::PUT, "/api/session", None).await;
    assert_eq!(status, StatusCode::OK);
    server.centre.pass(Duration::from_secs(120));
    client.send(json!({ "t": "ping", "c": 2 })).await;
    assert_eq!(client.next().await["c"], 2.0);
}

#[tokio::test]
async fn sessions_of_one_user_are_bounded() {
    let server = Server::start().await;
    let cookie = server.sign_in(UserRole::Agent).await;
    let mut open = Vec::new();
    for _ in 0..limits::CTI_SESSIONS_PER_USER {
        open.push(server.cti(&cookie, Value::Null).await);
    }
    let mut one_more = server.page_socket(&cookie).await;
    one_more.send(json!({ "t": "hello" })).await;
    assert_eq!(one_more.close_code().await, 4429);
}
