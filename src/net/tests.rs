//! The sockets at work, on loopback: what a phone, a trunk and a scanner see, and what the switch is told.

use core::time::Duration;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::{interval, timeout};

use super::stream::Times;
use super::{Bound, Bounds, Listen, Net, NetEvent, NetHandle};
use crate::limits::net::{QUEUED_BYTES, UNKNOWN_RATE};
use crate::limits::sip::MESSAGE_BYTES;
use crate::network::Network;
use crate::sip::Message;
use crate::sip::flow::{Destination, FlowId, Source, Transmit, Transport};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const PATIENT: Times = Times { message: PATIENCE, idle: PATIENCE, connect: PATIENCE };
const SHORT: Duration = Duration::from_millis(120);

/// A `Net` with one UDP and one TCP listener, and what it told.
struct Station {
    net: Net,
    handle: NetHandle,
    udp: SocketAddr,
    tcp: SocketAddr,
    told: UnboundedReceiver<NetEvent>,
}

impl Station {
    fn at(ip: &str) -> Self {
        Self::with(ip, PATIENT)
    }

    fn with(ip: &str, times: Times) -> Self {
        Self::bounded(ip, times, Bounds::MOST)
    }

    fn bounded(ip: &str, times: Times, bounds: Bounds) -> Self {
        let address = SocketAddr::new(ip.parse().unwrap(), 0);
        let listens = [Transport::Udp, Transport::Tcp].map(|transport| Listen { transport, address, public: None });
        let bound = Bound::open(&listens).unwrap();
        let listeners = bound.listeners();
        let (tell, told) = mpsc::unbounded_channel();
        let net = bound.start_with(Arc::new(move |event| drop(tell.send(event))), bounds, times).unwrap();
        Self { handle: net.handle(), net, udp: listeners[0].local, tcp: listeners[1].local, told }
    }

    async fn next(&mut self) -> NetEvent {
        timeout(PATIENCE, self.told.recv()).await.expect("something is told").expect("the sockets are at work")
    }

    async fn message(&mut self) -> (Source, Message) {
        match self.next().await {
            NetEvent::Message { source, message } => (source, message),
            other => panic!("a message: {other:?}"),
        }
    }

    async fn opened(&mut self) -> Source {
        match self.next().await {
            NetEvent::Opened(source) => source,
            other => panic!("a connection: {other:?}"),
        }
    }

    fn send(&self, destination: Destination, bytes: impl Into<Bytes>) {
        self.handle.send(Transmit { destination, bytes: bytes.into(), session: None });
    }

    async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.tcp).await.unwrap()
    }

    /// Waits until a figure is what it should be: what the far side sees tells nothing of our counting.
    async fn until(&self, reached: impl Fn(&super::NetCounts) -> bool) {
        let waiting = async {
            while !reached(&self.handle.counts()) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{:?}", self.handle.counts()));
    }
}

fn request(method: &str, call: &str) -> String {
    format!(
        "{method} sip:1001@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;rport;branch=z9hG4bK{call}\r\n\
         From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\nCall-ID: {call}\r\nCSeq: 1 {method}\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

fn call_id(message: &Message) -> String {
    message.call_id().unwrap().to_string()
}

async fn receive(socket: &UdpSocket) -> String {
    let mut buffer = [0; 2_000];
    let (length, _) = timeout(PATIENCE, socket.recv_from(&mut buffer)).await.expect("an answer").unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

/// Reads to the far side's end. Says what came, and whether the end was orderly.
async fn read_out(io: &mut TcpStream) -> (String, bool) {
    let mut all = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        match timeout(PATIENCE, io.read(&mut buffer)).await.expect("the far side ends") {
            Ok(0) => return (String::from_utf8_lossy(&all).into_owned(), true),
            Ok(length) => all.extend_from_slice(&buffer[..length]),
            Err(_) => return (String::from_utf8_lossy(&all).into_owned(), false),
        }
    }
}

async fn read_exactly(io: &mut TcpStream, length: usize) -> String {
    let mut bytes = vec![0; length];
    timeout(PATIENCE, io.read_exact(&mut bytes)).await.expect("bytes").unwrap();
    String::from_utf8(bytes).unwrap()
}

// -- datagrams -------------------------------------------------------------------------------------------------------

async fn a_datagram_goes_both_ways(ip: &str) {
    let mut station = Station::at(ip);
    let phone = UdpSocket::bind((ip, 0)).await.unwrap();
    phone.send_to(request("OPTIONS", "both").as_bytes(), station.udp).await.unwrap();
    let (source, message) = station.message().await;
    assert_eq!(call_id(&message), "both");
    assert_eq!((source.flow, source.transport), (FlowId(1), Transport::Udp));
    assert_eq!((source.local, source.remote), (station.udp, phone.local_addr().unwrap()));
    station.send(source.back(), "SIP/2.0 200 OK\r\n\r\n");
    assert_eq!(receive(&phone).await, "SIP/2.0 200 OK\r\n\r\n");
}

#[tokio::test]
async fn a_datagram_goes_both_ways_over_ipv4() {
    a_datagram_goes_both_ways("127.9.1.1").await;
}

#[tokio::test]
async fn a_datagram_goes_both_ways_over_ipv6() {
    if has_ipv6() {
        a_datagram_goes_both_ways("::1").await;
    }
}

/// Containers are often built without it.
fn has_ipv6() -> bool {
    std::net::UdpSocket::bind("[::1]:0").is_ok()
}

#[tokio::test]
async fn a_cancel_never_overtakes_its_invite() {
    let mut station = Station::at("127.9.1.2");
    let phone = UdpSocket::bind("127.9.1.2:0").await.unwrap();
    for call in 0..50 {
        for method in ["INVITE", "CANCEL"] {
            phone.send_to(request(method, &format!("c{call}")).as_bytes(), station.udp).await.unwrap();
        }
    }
    for call in 0..50 {
        for method in ["INVITE", "CANCEL"] {
            let (_, message) = station.message().await;
            assert_eq!((message.method_text(), call_id(&message)), (method, format!("c{call}")));
        }
    }
}

#[tokio::test]
async fn keep_alives_and_rubbish_end_at_the_socket() {
    let mut station = Station::at("127.9.1.3");
    let phone = UdpSocket::bind("127.9.1.3:0").await.unwrap();
    for datagram in [&b"\r\n\r\n"[..], b"\0", b"", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 1_000]] {
        phone.send_to(datagram, station.udp).await.unwrap();
    }
    phone.send_to(request("OPTIONS", "after").as_bytes(), station.udp).await.unwrap();
    assert_eq!(call_id(&station.message().await.1), "after");
    let counts = station.handle.counts();
    assert_eq!((counts.keep_alives, counts.unreadable, counts.messages), (3, 2, 1));
}

#[tokio::test]
async fn a_faulty_request_is_answered_without_the_switch_and_alike_each_time() {
    let mut station = Station::at("127.9.1.4");
    let phone = UdpSocket::bind("127.9.1.4:0").await.unwrap();
    let faulty = request("OPTIONS", "faulty").replace("From: <sip:a@example.com>;tag=1\r\n", "");
    let mut answers = BTreeSet::new();
    for _ in 0..2 {
        phone.send_to(faulty.as_bytes(), station.udp).await.unwrap();
        answers.insert(receive(&phone).await);
    }
    let answer = answers.pop_first().unwrap();
    assert!(answer.starts_with("SIP/2.0 400 "), "{answer}");
    assert!(answer.contains("Call-ID: faulty\r\n") && answer.contains(";tag="), "{answer}");
    assert!(answers.is_empty(), "RFC 3261 §8.2.7: the same tag for the same request");

    phone.send_to(request("PAINT", "unheard-of").as_bytes(), station.udp).await.unwrap();
    let answer = receive(&phone).await;
    assert!(answer.starts_with("SIP/2.0 501 ") && answer.contains("\r\nAllow: INVITE,"), "{answer}");

    phone.send_to(faulty.replace("OPTIONS", "ACK").as_bytes(), station.udp).await.unwrap();
    phone.send_to(request("OPTIONS", "good").as_bytes(), station.udp).await.unwrap();
    assert_eq!(call_id(&station.message().await.1), "good", "the switch hears of none of it");
    let counts = station.handle.counts();
    assert_eq!((counts.refused, counts.faulty, counts.messages), (3, 1, 1));
}

#[tokio::test]
async fn a_scanner_is_held_to_a_rate_until_the_switch_deals_with_it() {
    let mut station = Station::at("127.9.1.5");
    let scanner = UdpSocket::bind("127.9.1.6:0").await.unwrap();
    let to = Destination::Flow { flow: FlowId(1), transport: Transport::Udp, remote: scanner.local_addr().unwrap() };
    let bystander = UdpSocket::bind("127.9.1.7:0").await.unwrap();
    let tries = u64::from(UNKNOWN_RATE.1) * 2;
    for n in 0..tries {
        scanner.send_to(request("REGISTER", &format!("guess{n}")).as_bytes(), station.udp).await.unwrap();
        station.until(|counts| counts.messages + counts.rate_limited > n).await;
    }
    let limited = station.handle.counts().rate_limited;
    assert!(limited > 0 && limited < tries, "{limited} of {tries}");
    bystander.send_to(request("OPTIONS", "bystander").as_bytes(), station.udp).await.unwrap();
    while call_id(&station.message().await.1) != "bystander" {}

    station.send(to, "SIP/2.0 200 OK\r\nCSeq: 2 REGISTER\r\n\r\n");
    for n in 0..tries {
        scanner.send_to(request("OPTIONS", &format!("known{n}")).as_bytes(), station.udp).await.unwrap();
        assert_eq!(call_id(&station.message().await.1), format!("known{n}"));
    }
    assert_eq!(station.handle.counts().rate_limited, limited);
}

#[tokio::test]
async fn a_datagram_without_a_way_or_a_socket_has_failed() {
    let mut station = Station::at("127.9.1.8");
    let remote = "[2001:db8::1]:5060".parse().unwrap();
    for flow in [FlowId(1), FlowId(77)] {
        let destination = Destination::Flow { flow, transport: Transport::Udp, remote };
        station.send(destination, "x");
        assert_eq!(station.next().await, NetEvent::Failed(destination));
    }
    assert_eq!(station.handle.counts().sends_failed, 2);
}

// -- connections -----------------------------------------------------------------------------------------------------

async fn a_connection_is_told_from_its_opening_to_its_end(ip: &str) {
    let mut station = Station::at(ip);
    let mut phone = station.dial().await;
    let source = station.opened().await;
    assert_eq!((source.local, source.remote), (station.tcp, phone.local_addr().unwrap()));
    phone.write_all(request("OPTIONS", "one").as_bytes()).await.unwrap();
    let (from, message) = station.message().await;
    assert_eq!((from, call_id(&message)), (source, "one".into()));
    station.send(source.back(), "SIP/2.0 200 OK\r\n\r\n");
    assert_eq!(read_exactly(&mut phone, 18).await, "SIP/2.0 200 OK\r\n\r\n");
    drop(phone);
    assert_eq!(station.next().await, NetEvent::Closed(source.flow));
    station.send(source.back(), "too late");
    assert_eq!(station.next().await, NetEvent::Failed(source.back()));
    assert_eq!(station.handle.counts().connections, 0);
}

#[tokio::test]
async fn a_connection_is_told_from_its_opening_to_its_end_over_ipv4() {
    a_connection_is_told_from_its_opening_to_its_end("127.9.2.1").await;
}

#[tokio::test]
async fn a_connection_is_told_from_its_opening_to_its_end_over_ipv6() {
    if has_ipv6() {
        a_connection_is_told_from_its_opening_to_its_end("::1").await;
    }
}

#[tokio::test]
async fn a_message_may_come_byte_by_byte_and_two_in_one_piece() {
    let mut station = Station::at("127.9.2.2");
    let mut phone = station.dial().await;
    phone.set_nodelay(true).unwrap();
    station.opened().await;
    for byte in request("OPTIONS", "slowly").as_bytes() {
        phone.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(call_id(&station.message().await.1), "slowly");
    let two = [request("INVITE", "two"), request("CANCEL", "two")].concat();
    phone.write_all(two.as_bytes()).await.unwrap();
    assert_eq!(station.message().await.1.method_text(), "INVITE");
    assert_eq!(station.message().await.1.method_text(), "CANCEL");
}

#[tokio::test]
async fn a_ping_is_answered_by_a_pong() {
    let mut station = Station::at("127.9.2.3");
    let mut phone = station.dial().await;
    phone.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(read_exactly(&mut phone, 2).await, "\r\n");
    station.opened().await;
    assert_eq!(station.handle.counts().keep_alives, 1);
}

#[tokio::test]
async fn a_message_over_the_limit_is_answered_513_and_the_connection_closes() {
    let mut station = Station::at("127.9.2.4");
    let mut phone = station.dial().await;
    let source = station.opened().await;
    let length = format!("Content-Length: {MESSAGE_BYTES}");
    phone.write_all(request("OPTIONS", "large").replace("Content-Length: 0", &length).as_bytes()).await.unwrap();
    // More than the kernel holds unread: an abrupt close would take the answer with it.
    let _ = phone.write_all(&vec![b'x'; MESSAGE_BYTES]).await;
    let (answer, orderly) = read_out(&mut phone).await;
    assert!(answer.starts_with("SIP/2.0 513 ") && orderly, "{orderly} {answer}");
    drop(phone);
    assert_eq!(station.next().await, NetEvent::Closed(source.flow));
}

#[tokio::test]
async fn a_plan_may_allow_smaller_messages_than_the_house_could_read() {
    let mut station = Station::bounded("127.9.2.14", PATIENT, Bounds { message_bytes: 1_500, ..Bounds::MOST });
    let padded = |call: &str, bytes: usize| {
        let plain = request("OPTIONS", call);
        let body = bytes - plain.len() - 3;
        plain.replace("Content-Length: 0", &format!("Content-Length: {body}")) + "x".repeat(body).as_str()
    };
    let phone = UdpSocket::bind("127.9.2.14:0").await.unwrap();
    phone.send_to(padded("fits", 1_500).as_bytes(), station.udp).await.unwrap();
    assert_eq!(call_id(&station.message().await.1), "fits");
    phone.send_to(padded("large", 1_501).as_bytes(), station.udp).await.unwrap();
    assert!(receive(&phone).await.starts_with("SIP/2.0 513 "));

    let mut phone = station.dial().await;
    station.opened().await;
    phone.write_all(padded("fits-too", 1_500).as_bytes()).await.unwrap();
    assert_eq!(call_id(&station.message().await.1), "fits-too");
    phone.write_all(padded("large", 1_501).as_bytes()).await.unwrap();
    let (answer, orderly) = read_out(&mut phone).await;
    assert!(answer.starts_with("SIP/2.0 513 ") && orderly, "{orderly} {answer}");
}

#[tokio::test]
async fn a_plan_may_allow_fewer_connections_than_the_house_could_hold() {
    let mut station = Station::bounded("127.9.2.15", PATIENT, Bounds { connections: 2, ..Bounds::MOST });
    let (first, _second) = (station.dial().await, station.dial().await);
    let source = station.opened().await;
    station.opened().await;
    let (said, _) = read_out(&mut station.dial().await).await;
    assert_eq!((said.as_str(), station.handle.counts().connections_refused), ("", 1), "the third is closed at once");
    drop(first);
    assert_eq!(station.next().await, NetEvent::Closed(source.flow));
    let _third = station.dial().await;
    station.opened().await;
}

#[tokio::test]
async fn a_stream_that_cannot_be_followed_is_answered_400_and_closed() {
    let mut station = Station::at("127.9.2.5");
    let mut phone = station.dial().await;
    phone.write_all(request("OPTIONS", "unframed").replace("Content-Length: 0\r\n", "").as_bytes()).await.unwrap();
    let (answer, orderly) = read_out(&mut phone).await;
    assert!(answer.starts_with("SIP/2.0 400 ") && orderly, "{answer}");

    let mut browser = station.dial().await;
    browser.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert_eq!(read_out(&mut browser).await, (String::new(), true));
    station.until(|counts| counts.refused == 1 && counts.unreadable == 1).await;
    while let Ok(event) = station.told.try_recv() {
        assert!(!matches!(event, NetEvent::Message { .. }), "{event:?}");
    }
}

#[tokio::test]
async fn a_peer_that_never_reads_loses_its_connection_and_holds_nobody_up() {
    let mut station = Station::at("127.9.2.6");
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let deaf = socket.connect(station.tcp).await.unwrap();
    let source = station.opened().await;
    let phone = UdpSocket::bind("127.9.2.6:0").await.unwrap();
    let answer = Bytes::from(vec![b'x'; 8 * 1_024]);
    let mut sent = 0;
    let closed = loop {
        station.send(source.back(), answer.clone());
        sent += answer.len();
        assert!(sent < 64 << 20, "it is found out");
        phone.send_to(request("OPTIONS", "other").as_bytes(), station.udp).await.unwrap();
        match station.next().await {
            NetEvent::Message { message, .. } => assert_eq!(call_id(&message), "other"),
            other => break other,
        }
    };
    assert!(sent > QUEUED_BYTES, "{sent} bytes are not too many");
    assert_eq!(closed, NetEvent::Closed(source.flow));
    assert_eq!(station.handle.counts().slow_readers, 1);
    drop(deaf);
}

#[tokio::test]
async fn many_connections_each_have_their_own_flow_and_get_their_own_answers() {
    let mut station = Station::at("127.9.2.7");
    let mut phones = Vec::new();
    for n in 0..100_u8 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 9, 200, n + 1], 0))).unwrap();
        let mut phone = socket.connect(station.tcp).await.unwrap();
        phone.write_all(request("OPTIONS", &format!("many{n}")).as_bytes()).await.unwrap();
        phones.push(phone);
    }
    let mut flows = BTreeSet::new();
    let mut answered = 0;
    while answered < phones.len() {
        match station.next().await {
            NetEvent::Opened(source) => assert!(flows.insert(source.flow)),
            NetEvent::Message { source, message } => {
                station.send(source.back(), format!("{:<8}", call_id(&message)));
                answered += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((flows.len(), station.handle.counts().connections), (100, 100));
    for (n, phone) in phones.iter_mut().enumerate() {
        assert_eq!(read_exactly(phone, 8).await, format!("{:<8}", format!("many{n}")));
    }
}

#[tokio::test]
async fn requests_to_one_address_share_one_connection_that_comes_from_our_own_address() {
    let mut station = Station::at("127.9.2.8");
    let trunk = TcpListener::bind("127.9.2.9:0").await.unwrap();
    let remote = trunk.local_addr().unwrap();
    let to = Destination::Connect { transport: Transport::Tcp, remote };
    station.send(to, request("OPTIONS", "first"));
    station.send(to, "second");
    let (mut far, from) = timeout(PATIENCE, trunk.accept()).await.unwrap().unwrap();
    assert_eq!(from.ip(), station.tcp.ip(), "trunks know us by our address");
    let source = station.opened().await;
    assert_eq!((source.remote, source.local), (remote, from));
    let first = request("OPTIONS", "first");
    assert_eq!(read_exactly(&mut far, first.len() + 6).await, format!("{first}second"));
    station.send(to, "third");
    assert_eq!(read_exactly(&mut far, 5).await, "third");
    assert_eq!(station.handle.counts().connections_opened, 1);

    drop(far);
    assert_eq!(station.next().await, NetEvent::Failed(to), "what was sent to the address is lost with its connection");
    assert_eq!(station.next().await, NetEvent::Closed(source.flow));
    station.send(to, "fourth");
    let (mut far, _) = timeout(PATIENCE, trunk.accept()).await.unwrap().unwrap();
    assert_eq!(read_exactly(&mut far, 6).await, "fourth");
    assert_ne!(station.opened().await.flow, source.flow);
}

#[tokio::test]
async fn a_connection_of_ours_comes_from_the_address_that_faces_the_peer() {
    let listens = ["127.9.5.1:0", "127.9.6.1:0"].map(|address| Listen {
        transport: Transport::Tcp,
        address: address.parse().unwrap(),
        public: None,
    });
    let networks = ["127.9.5.1", "127.9.6.1"].map(|ip| ip.parse::<IpAddr>().unwrap());
    let networks = networks.map(|ip| (ip, vec![Network::of(ip, 24)])).into();
    let bound = Bound::open(&listens).unwrap().reaching(&networks);
    let net = bound.start_with(Arc::new(drop), Bounds::MOST, PATIENT).unwrap();
    for (peer, ours) in [("127.9.5.9:0", "127.9.5.1"), ("127.9.6.9:0", "127.9.6.1")] {
        let trunk = TcpListener::bind(peer).await.unwrap();
        let destination = Destination::Connect { transport: Transport::Tcp, remote: trunk.local_addr().unwrap() };
        net.handle().send(Transmit { destination, bytes: Bytes::from_static(b"x"), session: None });
        let (_, from) = timeout(PATIENCE, trunk.accept()).await.unwrap().unwrap();
        assert_eq!(from.ip().to_string(), ours);
    }
}

#[tokio::test]
async fn a_request_to_a_phone_goes_over_the_connection_that_the_phone_made() {
    let mut station = Station::at("127.9.2.10");
    let mut phone = station.dial().await;
    let source = station.opened().await;
    station.send(Destination::Connect { transport: Transport::Tcp, remote: source.remote }, "hello");
    assert_eq!(read_exactly(&mut phone, 5).await, "hello");
    assert_eq!(station.handle.counts().connections_opened, 1);
}

#[tokio::test]
async fn a_connection_that_is_refused_and_a_transport_we_lack_have_failed() {
    let mut station = Station::at("127.9.2.11");
    let nobody = TcpListener::bind("127.9.2.11:0").await.unwrap().local_addr().unwrap();
    for transport in [Transport::Tcp, Transport::Tls, Transport::Ws] {
        let to = Destination::Connect { transport, remote: nobody };
        station.send(to, "x");
        assert_eq!(station.next().await, NetEvent::Failed(to));
    }
    assert_eq!(station.handle.counts().sends_failed, 3);
}

#[tokio::test]
async fn a_connection_that_is_not_made_in_time_has_failed() {
    let mut station = Station::with("127.9.2.12", Times { connect: SHORT, ..PATIENT });
    // Nobody accepts there, and the kernel has room for few: further ones wait.
    let full = TcpSocket::new_v4().unwrap();
    full.bind("127.9.2.13:0".parse().unwrap()).unwrap();
    let full = full.listen(1).unwrap();
    let remote = full.local_addr().unwrap();
    let waiting: Vec<_> = (0..8).map(|_| tokio::spawn(TcpStream::connect(remote))).collect();
    let to = Destination::Connect { transport: Transport::Tcp, remote };
    loop {
        station.send(to, "x");
        match station.next().await {
            NetEvent::Failed(failed) => {
                assert_eq!(failed, to);
                break;
            }
            // The kernel had room still: close it, it keeps its place.
            NetEvent::Opened(source) => station.handle.close(source.flow),
            other => assert!(matches!(other, NetEvent::Closed(_)), "{other:?}"),
        }
    }
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let mut station = Station::with("127.9.2.14", Times { message: SHORT, ..PATIENT });
    let mut silent = station.dial().await;
    let source = station.opened().await;
    assert_eq!(read_out(&mut silent).await.0, "");
    assert_eq!(station.next().await, NetEvent::Closed(source.flow));
    assert_eq!(station.handle.counts().idle_closed, 1);
}

#[tokio::test]
async fn a_message_that_trickles_in_is_cut_off_in_time_however_it_trickles() {
    let mut station = Station::with("127.9.2.15", Times { message: SHORT * 4, ..PATIENT });
    let mut drip = station.dial().await;
    let source = station.opened().await;
    let mut pace = interval(SHORT / 4);
    let trickle = async {
        for byte in request("OPTIONS", "trickle").bytes() {
            pace.tick().await;
            if drip.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    };
    let (closed, ()) = tokio::join!(station.next(), trickle);
    assert_eq!(closed, NetEvent::Closed(source.flow));
    assert_eq!(station.handle.counts().idle_closed, 1);
}

#[tokio::test]
async fn a_connection_that_has_spoken_may_be_silent_for_longer_and_half_a_ping_begins_no_message() {
    let mut station = Station::with("127.9.2.16", Times { message: SHORT, ..PATIENT });
    let mut phone = station.dial().await;
    let source = station.opened().await;
    phone.write_all(request("OPTIONS", "spoken").as_bytes()).await.unwrap();
    station.message().await;
    phone.write_all(b"\r\n").await.unwrap();
    // A stranger that came later is closed first: more than the time for a message has passed.
    let silent = station.dial().await;
    let later = station.opened().await;
    assert_eq!(station.next().await, NetEvent::Closed(later.flow));
    phone.write_all(request("OPTIONS", "again").as_bytes()).await.unwrap();
    let (from, message) = station.message().await;
    assert_eq!((from, call_id(&message)), (source, "again".into()));
    drop(silent);
}

#[tokio::test]
async fn a_connection_that_falls_silent_for_good_is_closed() {
    let mut station = Station::with("127.9.2.17", Times { idle: SHORT, ..PATIENT });
    let mut phone = station.dial().await;
    let source = station.opened().await;
    phone.write_all(request("OPTIONS", "spoken").as_bytes()).await.unwrap();
    station.message().await;
    assert_eq!(station.next().await, NetEvent::Closed(source.flow));
    assert_eq!(station.handle.counts().idle_closed, 1);
}

// -- beginning and end -----------------------------------------------------------------------------------------------

#[tokio::test]
async fn shutting_down_writes_what_is_queued_closes_and_gives_the_ports_back() {
    let mut station = Station::at("127.9.3.1");
    let mut phone = station.dial().await;
    let source = station.opened().await;
    station.send(source.back(), "BYE");
    let reading = tokio::spawn(async move { read_out(&mut phone).await });
    timeout(PATIENCE, station.net.shutdown()).await.unwrap();
    assert_eq!(reading.await.unwrap(), ("BYE".into(), true));
    assert_eq!(station.told.recv().await, Some(NetEvent::Closed(source.flow)));
    let listens = [(Transport::Udp, station.udp), (Transport::Tcp, station.tcp)];
    let again = listens.map(|(transport, address)| Listen { transport, address, public: None });
    Bound::open(&again).expect("both ports are free");
    for to in [source.back(), Destination::Connect { transport: Transport::Tcp, remote: station.tcp }] {
        station.handle.send(Transmit { destination: to, bytes: Bytes::from_static(b"x"), session: None });
        assert_eq!(station.told.recv().await, Some(NetEvent::Failed(to)));
    }
}

#[test]
fn a_port_in_use_is_told_with_its_address() {
    let taken = std::net::UdpSocket::bind("127.9.3.2:0").unwrap();
    let address = taken.local_addr().unwrap();
    let failed = Bound::open(&[Listen { transport: Transport::Udp, address, public: None }]).unwrap_err();
    assert!(failed.to_string().starts_with(&format!("udp:{address} cannot be opened: ")), "{failed}");
    let tls = Bound::open(&[Listen { transport: Transport::Tls, address, public: None }]).unwrap_err();
    assert_eq!(tls.to_string(), "tls: no such listener yet; use udp or tcp");
}

#[test]
fn a_public_address_without_a_port_has_the_bound_one() {
    let public = Some("203.0.113.9:0".parse().unwrap());
    let address = "127.9.3.3:0".parse().unwrap();
    let bound = Bound::open(&[Listen { transport: Transport::Udp, address, public }]).unwrap();
    let listener = bound.listeners().remove(0);
    assert_ne!(listener.local.port(), 0);
    assert_eq!(listener.public, Some(SocketAddr::new("203.0.113.9".parse().unwrap(), listener.local.port())));
}

#[test]
fn both_families_may_listen_everywhere_on_one_port() {
    if !has_ipv6() {
        return;
    }
    let four =
        Bound::open(&[Listen { transport: Transport::Udp, address: "0.0.0.0:0".parse().unwrap(), public: None }]);
    let four = four.unwrap();
    let address = SocketAddr::new("::".parse().unwrap(), four.listeners()[0].local.port());
    Bound::open(&[Listen { transport: Transport::Udp, address, public: None }]).unwrap();
}

#[test]
fn the_houses_times_suit_its_phones_and_its_transactions() {
    use crate::limits::net::{CONNECT_TIME, IDLE_TIME, LINGER_TIME, MESSAGE_TIME};
    let plan = crate::plan::Plan::default();
    assert!(IDLE_TIME > plan.sip.registration_max_s.span(), "a phone behind NAT is reached for as long as it is bound");
    // RFC 3261 §17: a transaction waits 64 T1.
    let transaction = Duration::from_millis(64 * 500);
    assert!(MESSAGE_TIME >= transaction, "no message is cut off that somebody still waits for");
    assert!(4 * CONNECT_TIME <= transaction, "a dead address leaves time for the next ones");
    assert!(2 * LINGER_TIME + CONNECT_TIME < plan.limits.drain_s.span(), "a stop is not held up by sockets");
}
