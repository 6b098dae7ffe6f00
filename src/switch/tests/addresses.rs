//! A machine with several addresses: from which of them each peer is met, and what it is told of where we are.

use core::time::Duration;
use std::net::IpAddr;

use super::*;

/// The addresses of a machine with containers, on an office's network behind NAT.
const CONTAINERS: &str = "172.17.0.1:5060";
const OFFICE: &str = "192.168.1.10:5060";
/// How the world outside reaches the office.
const PUBLIC: &str = "198.51.100.7";

const CARRIER: &str = "203.0.113.5:5060";
/// A gateway in the office.
const GATEWAY: &str = "192.168.1.30:5060";
const DESK_PHONE: &str = "192.168.1.20:5060";

const PLAN: &str = r#"
domain = "centre.example"
country = "86"
area_code = "20"
[trunk.carrier]
match = ["203.0.113.5"]
host = "203.0.113.5:5060"
options_interval_s = 30
[trunk.gateway]
match = ["192.168.1.30"]
[trunk.named]
host = "sip.carrier.example"
[[number]]
match = "95539"
dialplan = "direct"
[[outbound]]
prefix = "*"
trunks = ["carrier"]
[[outbound]]
prefix = "4*"
trunks = ["named"]
[queue.service]
[skills]
english = "English"
"#;

/// A machine whose containers' network comes first, with the phone of 1001 at an address, registered at one of ours.
fn house(plan: &str, phone: &str, ours: &str, by_flow: bool) -> House {
    let mut house = House::with(plan);
    let edition = house.switch.edition.clone();
    let listener = |flow, local: &str, networks: &[&str]| {
        let public = edition.plan.public_address.first().map(|public| SocketAddr::new(*public, 5060));
        let local: SocketAddr = local.parse().unwrap();
        Listener {
            public: public.filter(|_| !local.ip().is_loopback()),
            networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
            ..Listener::new(FlowId(flow), Transport::Udp, local)
        }
    };
    let listeners = vec![
        listener(1, "127.0.0.1:5060", &["127.0.0.0/8"]),
        listener(2, CONTAINERS, &["172.17.0.0/16"]),
        listener(3, OFFICE, &["192.168.1.0/24", "0.0.0.0/0"]),
    ];
    let (account, mut binding) = bound("1001", phone, house.now);
    binding.source.local = ours.parse().unwrap();
    binding.by_flow = by_flow;
    house.switch = Switch::new(Boot {
        now: house.now,
        epoch: Epoch::from_u128(1),
        edition,
        roster: roster(),
        listeners,
        last: Seq(0),
        closing: Vec::new(),
        bindings: vec![(account, binding)],
        seed: 1,
        secrets: SecretSource::from_seed(1),
        rethrow: true,
    });
    house.last = Seq(0);
    house.wire.clear();
    house.events.clear();
    house.drain();
    house
}

/// The same with a second phone of the account.
fn two_phones(plan: &str, first: (&str, &str, bool), second: (&str, &str, bool)) -> House {
    let mut house = house(plan, first.0, first.1, first.2);
    let (account, mut binding) = bound("1001", second.0, house.now);
    binding.source.local = second.1.parse().unwrap();
    binding.by_flow = second.2;
    let now = house.now;
    house.switch.endpoint.import_bindings(now, vec![(account, binding)]);
    house
}

fn behind_nat() -> String {
    format!("public_address = [\"{PUBLIC}\"]\n{PLAN}")
}

/// Where a message says we are: in its Via where it is a request, in its Contact and in its session description.
fn told(message: &Message) -> Vec<String> {
    let via = message.via().ok().filter(|_| message.method().is_some()).map(|via| via.host().as_str().to_owned());
    let contact = message.contact().ok().map(|contact| contact.uri().host().as_str().to_owned());
    let text = String::from_utf8_lossy(message.bytes()).into_owned();
    let media = text.lines().find_map(|line| line.strip_prefix("c=IN IP4 ")).map(str::to_owned);
    [via, contact, media].into_iter().flatten().collect()
}

/// The addresses that ports were opened at, in order.
fn opened(house: &House) -> Vec<String> {
    let open = house.media.iter().filter_map(|command| match command {
        MediaCommand::Open(open) => Some(open.local.ip().to_string()),
        _ => None,
    });
    open.collect()
}

/// `li` dials out from the page: the INVITE to the phone, and once it is picked up, that to the trunk.
fn dial_out(house: &mut House, phone: &str, number: &str) -> (Message, Option<Message>) {
    house.seat("li");
    house.order("li", UserRole::Agent, Order::Dial { to: number.to_owned() }).unwrap();
    let ring = house.request(phone, Method::Invite).expect("the own phone rings first");
    house.reply(phone, &ring, 200, "");
    (ring, house.request(CARRIER, Method::Invite))
}

/// A call comes to 95539, at the office's address; the house's answer.
fn call_in(house: &mut House, from: &str) -> Message {
    let text = house.invite_text(from, "in", "13800138000", "95539", 1, "");
    let source = Source {
        flow: FlowId(3),
        transport: Transport::Udp,
        local: OFFICE.parse().unwrap(),
        remote: from.parse().unwrap(),
    };
    house.tell(Input::Sip { source, message: Message::parse(text.into()).unwrap() });
    let answer = house.final_response(from).expect("the queue answers");
    assert_eq!(answer.status(), Some(200));
    answer
}

#[test]
fn a_desk_phone_and_a_carrier_are_met_from_the_address_that_faces_them() {
    let mut house = house(PLAN, DESK_PHONE, OFFICE, false);
    let (phone, trunk) = dial_out(&mut house, DESK_PHONE, "02087654321");
    assert_eq!(told(&phone), ["192.168.1.10"; 3]);
    assert_eq!(told(&trunk.unwrap()), ["192.168.1.10"; 3]);
    assert_eq!(opened(&house), ["192.168.1.10"; 2]);
    let call = house.last_call();
    house.order("li", UserRole::Agent, Order::HangUp { call }).unwrap();
    assert_eq!(told(&house.request(DESK_PHONE, Method::Bye).unwrap()), ["192.168.1.10"]);
}

#[test]
fn a_phone_is_met_from_the_address_it_registered_at_whatever_routes_say() {
    // Beyond a router of the containers' network that no interface tells of.
    for by_flow in [false, true] {
        let far = "10.50.0.7:5060";
        let mut house = house(PLAN, far, CONTAINERS, by_flow);
        let (phone, trunk) = dial_out(&mut house, far, "02087654321");
        assert_eq!(told(&phone), ["172.17.0.1"; 3], "by its flow: {by_flow}");
        assert_eq!(told(&trunk.unwrap()), ["192.168.1.10"; 3]);
        assert_eq!(opened(&house), ["172.17.0.1", "192.168.1.10"]);
        let call = house.last_call();
        house.order("li", UserRole::Agent, Order::HangUp { call }).unwrap();
        assert_eq!(told(&house.request(far, Method::Bye).unwrap()), ["172.17.0.1"]);
    }
}

#[test]
fn a_trunk_is_probed_from_the_address_that_faces_it() {
    let mut house = house(PLAN, DESK_PHONE, OFFICE, false);
    house.wait(Duration::from_secs(31));
    assert_eq!(told(&house.request(CARRIER, Method::Options).unwrap()), ["192.168.1.10"; 2]);
}

#[test]
fn the_media_of_a_carrier_known_by_name_are_received_where_the_route_to_everywhere_leaves() {
    let mut house = house(PLAN, DESK_PHONE, OFFICE, false);
    dial_out(&mut house, DESK_PHONE, "4008001234");
    assert_eq!(opened(&house), ["192.168.1.10"; 2]);
}

#[test]
fn behind_nat_the_office_is_told_the_offices_address_and_the_world_the_public_one() {
    let mut house = house(&behind_nat(), DESK_PHONE, OFFICE, false);
    let (phone, trunk) = dial_out(&mut house, DESK_PHONE, "02087654321");
    assert_eq!(told(&phone), ["192.168.1.10"; 3]);
    assert_eq!(told(&trunk.unwrap()), [PUBLIC; 3]);
    assert_eq!(opened(&house), ["192.168.1.10"; 2], "what is bound is ours either way");
}

#[test]
fn behind_nat_a_phone_outside_is_told_the_public_address() {
    let home = "203.0.113.77:40000";
    let mut house = house(&behind_nat(), home, OFFICE, true);
    let (phone, _) = dial_out(&mut house, home, "02087654321");
    assert_eq!(told(&phone), [PUBLIC; 3]);
}

#[test]
fn each_phone_of_an_account_is_told_the_address_that_it_can_reach() {
    let home = "203.0.113.77:40000";
    for answers in [DESK_PHONE, home] {
        let mut house = two_phones(&behind_nat(), (DESK_PHONE, OFFICE, false), (home, OFFICE, true));
        house.seat("li");
        let text = "02087654321".to_owned();
        house.order("li", UserRole::Agent, Order::Dial { to: text }).unwrap();
        let desk = house.request(DESK_PHONE, Method::Invite).unwrap();
        let away = house.request(home, Method::Invite).unwrap();
        assert_eq!((told(&desk), told(&away)), (vec!["192.168.1.10".to_owned(); 3], vec![PUBLIC.to_owned(); 3]));
        assert_eq!(opened(&house), ["192.168.1.10"]);
        // What the one that answered was told holds for the rest of its dialog.
        let invite = if answers == home { &away } else { &desk };
        house.reply(answers, invite, 200, "");
        house.back(answers, "INVITE", invite, 7, "");
        let said = house.final_response(answers).expect("our offer, for the re-INVITE has none");
        assert_eq!(told(&said)[1], told(invite)[2]);
    }
}

#[test]
fn an_account_with_phones_in_two_networks_receives_media_in_both() {
    let far = "10.50.0.7:5060";
    let mut house = two_phones(PLAN, (DESK_PHONE, OFFICE, false), (far, CONTAINERS, false));
    house.seat("li");
    house.order("li", UserRole::Agent, Order::Dial { to: "02087654321".to_owned() }).unwrap();
    let desk = house.request(DESK_PHONE, Method::Invite).unwrap();
    let other = house.request(far, Method::Invite).unwrap();
    assert_eq!(told(&desk), ["192.168.1.10"; 3]);
    assert_eq!(told(&other), ["172.17.0.1"; 3]);
    assert_eq!(opened(&house), ["0.0.0.0"], "one port, reached at either address");
}

#[test]
fn local_networks_are_those_that_the_plan_names() {
    let mut house =
        house(&format!("local_networks = [\"203.0.113.0/24\"]\n{}", behind_nat()), DESK_PHONE, OFFICE, false);
    let (phone, trunk) = dial_out(&mut house, DESK_PHONE, "02087654321");
    assert_eq!(told(&phone), [PUBLIC; 3], "not among them");
    assert_eq!(told(&trunk.unwrap()), ["192.168.1.10"; 3]);
}

#[test]
fn behind_nat_who_calls_is_answered_with_the_address_that_it_can_reach() {
    for (caller, expected) in [(CARRIER, PUBLIC), (GATEWAY, "192.168.1.10")] {
        let mut house = house(&behind_nat(), DESK_PHONE, OFFICE, false);
        let answer = call_in(&mut house, caller);
        assert_eq!(told(&answer), [expected; 2]);
        let ours: IpAddr = "192.168.1.10".parse().unwrap();
        assert_eq!(opened(&house), [ours.to_string()]);
    }
}
