//! Every bound in one place, by module. Each has a refusal where it is reached and a test that reaches it.

/// The vocabulary: [`crate::event`].
pub mod event {
    /// Past contacts that travel on a customer's card.
    pub const CARD_HISTORY: usize = 10;
}

/// Call records: [`crate::call::record`]. Past any of these the record keeps less and counts what it leaves out; the
/// events of the call keep everything.
pub mod call {
    /// Bytes of a record as JSON, notes included: three quarters of a row of the view.
    pub const RECORD_BYTES: usize = 48 << 10;
    /// Entries of each list: legs, queues, path, answers, offers, recordings, transfers, and the segments of all
    /// recordings. Sixteen legs may ring at once.
    pub const RECORD_LISTS: [usize; 8] = [24, 12, 48, 24, 32, 12, 12, 64];
    /// The first few of each list stay: how the call came about.
    pub const RECORD_OPENING: usize = 4;
    /// Entries of all lists together that fit whatever stands in them.
    pub const RECORD_SHORT: usize = 16;
    /// Bytes of one text as JSON writes it: a number, a name, a state, an answer. Longer ones are cut.
    pub const RECORD_TEXT_BYTES: usize = 256;
    /// Bytes of an agent's notes as JSON writes them.
    pub const RECORD_NOTES_BYTES: usize = 20 << 10;
    /// Ended calls kept for what comes late, more than a thousand agents can have in wrap-up at once. Past it the oldest
    /// gives way, and its record stands as it is.
    pub const RECORDS_ENDED: usize = 2_048;
}

/// The threads: [`crate::runtime`].
pub mod runtime {
    use core::time::Duration;

    /// Inputs that may wait for the switch: about ten seconds of a flood. Past it messages are dropped (SIP repeats
    /// them), commands are refused, and whoever may wait waits.
    pub const INBOX: usize = 32_768;
    /// Inputs that may wait together with those that are told once: ends of connections, failed sends, links of desktops,
    /// replies. Past it they are lost, and the log says so.
    pub const INBOX_KEPT: usize = 131_072;
    /// Bytes of a company system's answer. Past it the step has failed.
    pub const ANSWER_BYTES: usize = 256 << 10;
    /// Wrong answers in a row that lock a customer's secret, and for how long.
    pub const WRONG_IN_A_ROW: u32 = 5;
    pub const LOCKED_TIME: Duration = Duration::from_secs(30 * 60);
    /// Customers whose tries are counted at once. Past it the next counts as locked.
    pub const CUSTOMERS_GUESSED_AT: usize = 100_000;
    /// Calls up to which the switch's invariants are checked in production: beyond, the check would be felt.
    pub const WATCHED_CALLS: usize = 2_000;
}

/// The media plane: [`crate::media`], [`crate::rtp`], [`crate::audio`].
pub mod media {
    use core::time::Duration;

    /// Slots of one room: legs, players and recording tracks together. One bit each in the hear matrix.
    pub const SLOTS_PER_ROOM: usize = 64;
    /// Rooms one engine holds.
    pub const ROOMS_PER_ENGINE: usize = 20_000;
    /// Sounds in one play list.
    pub const SOUNDS_PER_PLAY: usize = 256;
    /// Payload formats a leg takes at once.
    pub const FORMATS_PER_PORT: usize = 8;
    /// Keys waiting to be sent on one leg.
    pub const KEYS_QUEUED: usize = 64;
    /// Packets the jitter buffer of one leg holds.
    pub const JITTER_PACKETS: usize = 32;
    /// The largest RTP or RTCP datagram we take, in bytes: an Ethernet frame.
    pub const DATAGRAM_BYTES: usize = 1_500;
    /// Phases of 20 ms an engine makes up for after a stall; what lies further back is counted and skipped.
    pub const PHASES_CAUGHT_UP: u64 = 10;
    /// A recording file may not grow beyond this: WAV counts bytes in 32 bits. About 18 hours of stereo.
    pub const RECORDING_BYTES: u64 = 2_000_000_000;
    /// Batches waiting for the disk before a recording is given up as failed, one batch being at most a second.
    pub const RECORDING_BATCHES_QUEUED: usize = 4_096;
    /// The shortest and the longest key we send (RFC 4733 counts 16 bits of clock ticks: 8.19 s).
    pub const KEY_SPAN: (Duration, Duration) = (Duration::from_millis(40), Duration::from_millis(6_000));
}

/// A live call: [`crate::switch`].
pub mod switch {
    /// Header fields of an INVITE that a dialplan can read. Past it the later ones are not seen.
    pub const HEADERS: usize = 64;
    /// Bytes of one of them. Longer ones are not seen.
    pub const HEADER_BYTES: usize = 512;
    /// Keys in one order. Past it: a refusal.
    pub const DIGITS: usize = 64;
    /// Bytes of wrap-up notes. Past it: a refusal.
    pub const NOTES_BYTES: usize = 16 << 10;
    /// Ended sessions whose last messages still find their call's ladder; the oldest gives way.
    pub const SESSIONS_TRACED: usize = 2_048;
}

/// Storage: [`crate::store`].
pub mod store {
    /// Bytes of one ledger segment, preallocated: large enough that a roll is rare, small enough to copy at leisure.
    pub const LEDGER_SEGMENT_BYTES: u64 = 64 << 20;
    /// Bytes of one record. Recordings and other bulk are files, never records.
    pub const LEDGER_RECORD_BYTES: usize = 256 << 10;
    /// Bytes of one batch with its framing.
    pub const LEDGER_BATCH_BYTES: usize = 4 << 20;
    /// Records of one batch.
    pub const LEDGER_BATCH_RECORDS: usize = 16_384;
    /// Records that may wait for the disk: about 40 s of a busy thousand-seat centre. Beyond, submission is refused.
    pub const WRITER_QUEUE_RECORDS: usize = 65_536;
    /// Bytes that may wait for the disk.
    pub const WRITER_QUEUE_BYTES: usize = 64 << 20;
    /// Bytes of one row of the view (sled slows beyond).
    pub const VIEW_ROW_BYTES: usize = 64 << 10;
    /// Rows that one read of the view returns at most; callers page on.
    pub const VIEW_PAGE_ROWS: usize = 10_000;
    /// Files in one backup.
    pub const BACKUP_FILES: usize = 1_000_000;
}

/// Customers and people: [`crate::crm`].
pub mod crm {
    /// Bytes of an imported text.
    pub const IMPORT_BYTES: usize = 64 << 20;
    /// Rows of one import.
    pub const IMPORT_ROWS: usize = 200_000;
    /// Findings that one import reports before it stops counting them one by one.
    pub const IMPORT_FINDINGS: usize = 200;
    /// Fields of one CSV row.
    pub const CSV_FIELDS: usize = 128;
    /// Bytes of one text field of a customer or user (name, attribute value).
    pub const CRM_FIELD_BYTES: usize = 1_024;
    /// Bytes of a customer's notes.
    pub const CRM_NOTES_BYTES: usize = 16 << 10;
    /// Phones of one customer.
    pub const CRM_PHONES: usize = 16;
    /// Attributes of one customer.
    pub const CRM_ATTRIBUTES: usize = 64;
    /// Bytes of a customer's card as JSON: three quarters of a row of the view, for hashed secrets are longer.
    pub const CRM_CARD_BYTES: usize = 48 << 10;
    /// Candidates shown where a number matches several customers.
    pub const CRM_CANDIDATES: usize = 20;
    /// Skills of one agent.
    pub const AGENT_SKILLS: usize = 64;
    /// Bytes of a user's password. NIST SP 800-63B §3.1.1.2 asks for 8 at least; the upper bound keeps a form from
    /// costing a minute.
    pub const PASSWORD_BYTES_MIN: usize = 8;
    pub const PASSWORD_BYTES_MAX: usize = 256;
}

/// The SIP codec. They hold before any typed view reads, so that a hostile message costs microseconds.
pub mod sip {
    /// A whole message, head and body, in bytes. Past it: 513 on a stream or WebSocket, and the stream closes.
    pub const MESSAGE_BYTES: usize = 65_535;
    /// Header lines in a message. Past it: 513.
    pub const HEADERS: usize = 256;
    /// One header line with its folded continuations, in bytes (a STIR Identity header needs about 1 kB). Past it: 513.
    pub const HEADER_BYTES: usize = 8 * 1024;
    /// Elements of a list (Via, Route, Record-Route, Contact), over all lines of that name. Past it: 513.
    pub const LIST_ELEMENTS: usize = 128;
    /// Nonces whose use counts are remembered. Past it the oldest is forgotten, and answers to it are stale.
    pub const DIGEST_NONCES: usize = 16_384;
}

/// The SIP sockets: [`crate::net`].
pub mod net {
    use core::time::Duration;

    /// Connections at once, all listeners together. Past it a new one is closed at once.
    pub const CONNECTIONS: usize = 16_384;
    /// Connections at once from one address (IPv6: one /64). Past it a new one is closed at once.
    pub const CONNECTIONS_PER_SOURCE: usize = 1_024;
    /// Messages waiting to be written on one connection. Past it the peer does not read, and loses the connection.
    pub const QUEUED_MESSAGES: usize = 512;
    /// Bytes waiting to be written on one connection. Past it likewise.
    pub const QUEUED_BYTES: usize = 512 * 1024;
    /// How long a connection of ours may take to be made. Past it the send has failed.
    pub const CONNECT_TIME: Duration = Duration::from_secs(4);
    /// How long a new connection may take to its first message, and any connection to the end of a message begun.
    pub const MESSAGE_TIME: Duration = Duration::from_secs(32);
    /// How long a connection may be without any message or keep-alive. Longer than phones' registrations last: a phone behind
    /// NAT is reached by it.
    pub const IDLE_TIME: Duration = Duration::from_secs(2 * 3_600);
    /// How long the last words of a connection that we close may take to be written.
    pub const LINGER_TIME: Duration = Duration::from_secs(2);
    /// Messages a second that one unknown source may send, in the long run, and at once. Unknown is who has not yet had a
    /// request of ours or a 2xx to INVITE or REGISTER; unreadable and faulty messages count whoever sends them.
    /// Past it they are dropped.
    pub const UNKNOWN_RATE: (u32, u32) = (20, 200);
    /// Sources whose rate and standing are remembered. Past it further unknown ones share one rate.
    pub const SOURCES: usize = 65_536;
    /// Addresses taken of one name.
    pub const RESOLVED_ADDRESSES: usize = 8;
    /// How long the resolver may take.
    pub const RESOLVE_TIME: Duration = Duration::from_secs(5);
}

/// Metrics, logs, ladders: [`crate::observe`].
pub mod observe {
    /// Messages kept of one call. Past it the oldest go, but for the first few, and the ladder says how many.
    pub const LADDER_MESSAGES: usize = 256;
    /// The first few: how the call came about.
    pub const LADDER_OPENING: usize = 32;
    /// Dialogs of one ladder whose far end has a name. Past it further ones go by their address.
    pub const LADDER_DIALOGS: usize = 32;
    /// Bytes kept of one message.
    pub const LADDER_MESSAGE_BYTES: usize = 8 * 1024;
    /// Bytes of all ladders, running calls and ended ones. Past it the ladders of the longest ended go, then
    /// those of the oldest running calls.
    pub const LADDER_BYTES: usize = 64 << 20;
    /// Ladders of ended calls. Past it the longest ended goes.
    pub const LADDERS_ENDED: usize = 10_000;
    /// Series of one metric. Past it further label values are counted as `other`.
    pub const LABEL_VALUES: usize = 2_000;
    /// Bytes of the log that may wait for whoever reads it. Past it lines are dropped and counted.
    pub const LOG_BYTES: usize = 4 << 20;
    /// Running calls that the metrics follow. Past it a call's duration and waiting are not counted, everything else is.
    pub const CALLS_FOLLOWED: usize = 20_000;
}

/// Session descriptions. Past any of them the description is unreadable: 400 to an INVITE, a failed call from an answer.
pub mod sdp {
    /// A description, in bytes. A browser's is about 6 kB.
    pub const BYTES: usize = 16 * 1024;
    /// `m=` lines.
    pub const MEDIA: usize = 16;
    /// `a=` lines.
    pub const ATTRIBUTES: usize = 512;
    /// Formats of one `m=` line that are looked at; the rest are ignored.
    pub const FORMATS: usize = 64;
}

/// The SIP user agent: transactions, sessions, registrations.
pub mod ua {
    use core::time::Duration;

    /// Sessions (calls' legs) at once. Past it: 503 with Retry-After to an INVITE, a refusal to the switch.
    pub const SESSIONS: usize = 20_000;
    /// Client and server transactions at once, each kind. Past it: 503 without a transaction, a refusal to the switch.
    pub const TRANSACTIONS: usize = 65_536;
    /// Contacts of one fork. Past it the further ones are not rung.
    pub const TARGETS: usize = 16;
    /// Dialogs one INVITE may make by forking beyond us. Past it a further 2xx is acknowledged and ended at once,
    /// without being remembered.
    pub const FORKS: usize = 32;
    /// Addresses tried for one request.
    pub const HOPS: usize = 8;
    /// Host names waiting for the resolver. Past it a further request is refused to whoever orders it.
    pub const RESOLVING: usize = 4_096;
    /// How long the resolver may take.
    pub const RESOLVE_TIME: Duration = Duration::from_secs(10);
    /// Routes of one dialog. Past it the message that would make it is refused: 400.
    pub const ROUTES: usize = 32;
    /// Authentication rounds of one request, a stale nonce included.
    pub const CHALLENGES: u8 = 3;
    /// Contacts of all addresses of record together. Past it: 503 to the REGISTER.
    pub const REGISTRATIONS: usize = 50_000;
    /// Contacts of one address of record. Past it: 403 to the REGISTER.
    pub const CONTACTS: usize = 10;
    /// The longest Contact URI that is bound, in bytes. Past it: 400.
    pub const CONTACT_BYTES: usize = 1_024;
    /// Trunks that we register to or watch.
    pub const TRUNKS: usize = 1_000;
    /// Events and messages waiting to be polled. The owner drains after each input, so this is reached by a defect only;
    /// past it the oldest is kept and new requests are refused with 503.
    pub const BACKLOG: usize = 4_096;
}
// The foreign side: `sim` phones and trunks, and `load`.

/// Transactions that one simulated phone or trunk keeps, each way. Beyond it requests out are refused and
/// requests in are dropped (the far side repeats them).
pub const SIM_EXCHANGES: usize = 16_384;
/// Calls of one simulated desk phone; the next one in is answered 486.
pub const SIM_PHONE_CALLS: usize = 8;
/// Calls of one simulated trunk; the next one in is answered 503, the next one out is refused.
pub const SIM_TRUNK_CALLS: usize = 4_096;
/// Lines that a simulated trunk registers; one more is refused with 503.
pub const SIM_TRUNK_LINES: usize = 1_024;
/// Reports that a simulated phone holds for its driver; the oldest report is dropped first.
pub const SIM_REPORTS: usize = 65_536;
/// Lines of a run's ladder that are kept for the case that something does not hold; the oldest goes first.
pub const SIM_RUNGS: usize = 100_000;
/// Samples that a load report keeps of one figure; later ones are counted, not kept.
pub const LOAD_SAMPLES: usize = 1_000_000;
/// Notes from the parties of a load run that wait for its report.
pub const LOAD_NOTES: usize = 65_536;
/// Digits that a simulated phone has yet to play on one call; more are dropped.
pub const LOAD_KEYS: usize = 64;
/// Distinct tones remembered of one leg; later ones are not noted.
pub const LOAD_TONES: usize = 16;
/// Commands and news that wait at one simulated agent's desk.
pub const LOAD_DESK_QUEUE: usize = 64;
/// Registered phones without calls in one load run: more do not fit the address plan.
pub const LOAD_REGISTRATIONS: u32 = 30_000;
/// Simulated agents in one load run: more do not fit the address plan.
pub const LOAD_AGENTS: u32 = 2_000;
// acd

use core::time::Duration;

/// Queues in one plan.
pub const ACD_QUEUES: usize = 1_000;
/// Agents on the roster, signed in or not.
pub const ACD_AGENTS: usize = 5_000;
/// Skills, queues and attributes each, of one agent.
pub const ACD_AGENT_ITEMS: usize = 200;
/// Bytes of a not-ready reason or wrap-up code where the house lists none.
pub const ACD_WORD_BYTES: usize = 100;
/// Calls waiting in all queues together.
pub const ACD_CALLS: usize = 10_000;
/// Steps of an expanding ring.
pub const ACD_STEPS: usize = 8;
/// Bytes of a skill expression.
pub const ACD_EXPRESSION_BYTES: usize = 1_000;
/// Parentheses and `not`s inside one another.
pub const ACD_EXPRESSION_DEPTH: usize = 32;
/// Agents that one call rings at once.
pub const ACD_RINGING: usize = 16;
/// Queues that one call overflows through before it is let go.
pub const ACD_HOPS: u8 = 8;
/// How long a call waits in one queue where its overflow says nothing.
pub const ACD_WAIT: Duration = Duration::from_secs(4 * 3_600);
/// Callers who hung up and are remembered for their place.
pub const ACD_RESUMES: usize = 10_000;
/// Explanations kept for questions.
pub const ACD_EXPLANATIONS: usize = 4_096;
/// Bytes of verdicts in one explanation; with its scores it stays below 2 KiB.
pub const ACD_VERDICT_BYTES: usize = 1_000;
/// Eligible agents whose scores an explanation keeps, best first.
pub const ACD_SCORES: usize = 20;
/// Agents named of each verdict where an explanation is written down; the others are counted.
pub const ACD_NAMES: usize = 8;
/// Rival calls that an explanation keeps, best first.
pub const ACD_RIVALS: usize = 6;
// Configuration (`plan`, `config`). Reached: an error with the place, and the running plan stays.

/// Requests for a reload that wait; the next is refused.
pub const RELOADS_WAITING: usize = 16;
/// Bytes of `strowger.toml`.
pub const CONFIG_BYTES: usize = 4 * 1024 * 1024;
/// Characters of a name of a trunk, queue, skill, reason or code.
pub const NAME_CHARS: usize = 64;
/// Entries of one kind: numbers, routes, queues, hours.
pub const CONFIG_ENTRIES: usize = 10_000;
/// Trunks, and peers of all trunks: each is compared with each.
pub const TRUNK_PEERS: usize = 1_000;
/// Networks in `local_networks`: each message may be compared with all.
pub const LOCAL_NETWORKS: usize = 100;
/// Dialplans of one folder.
pub const DIALPLAN_FILES: usize = 1_000;
/// Prompts of one language.
pub const PROMPT_FILES: usize = 10_000;
// Dialplans (`dialplan`).

/// Work a `script` state may do, in Rhai operations; more leaves by `failed`.
pub const SCRIPT_OPERATIONS: u64 = 20_000;
/// Nesting of an expression or a script; deeper is a finding.
pub const EXPRESSION_DEPTH: usize = 32;
/// Bytes of one expression; longer is a finding. Keeps its tree shallow enough to walk.
pub const EXPRESSION_BYTES: usize = 1_024;
/// Bytes of one script; longer is a finding.
pub const SCRIPT_BYTES: usize = 8 * 1_024;
/// Bytes of one dialplan file.
pub const DIALPLAN_BYTES: usize = 1 << 20;
/// States of one dialplan.
pub const DIALPLAN_STATES: usize = 2_000;
/// Variables of one dialplan, parameters and results included.
pub const DIALPLAN_VARS: usize = 256;
/// Dialplan files of one plan.
pub const DIALPLANS: usize = 1_000;
/// Pages in pages; deeper is a finding.
pub const DIALPLAN_PAGE_DEPTH: usize = 16;
/// Keys pressed ahead that a walking dialplan keeps; further ones are not heard. As many as the longest entry takes.
pub const IVR_KEYS: usize = 64;
/// States passed through in answer to one input; a dialplan that wants more is ended.
pub const IVR_STEPS: usize = 10_000;
/// Happenings of one walk that is tried or tested without a phone; a longer one is ended as a failure.
pub const TRIAL_HAPPENINGS: usize = 20_000;
/// Findings kept of one load: whoever has more mends these first.
pub const DIALPLAN_FINDINGS: usize = 500;

/// The API and the CTI socket: [`crate::http`].
pub mod http {
    use core::time::Duration;

    /// Calls a desktop's picture holds, ended ones that are wrapped up included; the oldest ended one goes first.
    pub const DESK_CALLS: usize = 12_000;
    /// Legs shown of one call; later ones are left out of the picture.
    pub const DESK_LEGS: usize = 64;
    /// Voicemails in the picture; the first by box and age goes. The store keeps all.
    pub const DESK_VOICEMAILS: usize = 10_000;
    /// Events that wait for the bus's thread. Past it the publisher waits, and the bus never waits for anybody.
    pub const BUS_QUEUE: usize = 8_192;

    /// CTI sessions of one user. Past it the one unattended for longest ends, or the upgrade is refused with 429.
    pub const CTI_SESSIONS_PER_USER: usize = 16;
    /// Events kept for a client that comes back. One that is further behind gets snapshots.
    pub const CTI_RING_EVENTS: usize = 2_000;
    /// How long they are kept, and a session without a socket lives.
    pub const CTI_RING_TIME: Duration = Duration::from_secs(300);
    /// How often a client may fall behind within [`CTI_RING_TIME`] before it is dropped.
    pub const CTI_FALLS: u32 = 3;
    /// Answers that may wait for a client. Past it the socket is closed: it sends without reading.
    pub const CTI_ANSWERS: usize = 256;
    /// Bytes of a frame from a client. Past it the socket is closed.
    pub const CTI_FRAME_BYTES: usize = 256 << 10;
    /// Topics of one session. Past it: an error to the subscription.
    pub const CTI_TOPICS: usize = 64;
    /// Commands of one session that wait for their answer. Past it: an error to the command.
    pub const CTI_COMMANDS: usize = 32;
    /// Answered commands remembered for a client that repeats them, by id, and for how long.
    pub const CTI_ANSWERED: usize = 256;
    pub const CTI_ANSWERED_TIME: Duration = Duration::from_secs(60);
    /// Bytes of a frame's `id`. Past it: an error.
    pub const CTI_ID_BYTES: usize = 64;

    /// Signed-in sessions at once. Past it the one that ends first is signed out.
    pub const SIGNED_IN: usize = 20_000;
    /// Passwords verified at once; each takes 19 MiB for a moment. Past it the next one waits.
    pub const VERIFYING: usize = 4;
    /// Failed sign-ins of one user from one address, and of one address, before 429, and for how long they count.
    pub const FAILURES_PER_USER: u32 = 5;
    pub const FAILURES_PER_ADDRESS: u32 = 50;
    pub const FAILURE_TIME: Duration = Duration::from_secs(60);
    /// Users and addresses whose failures are counted; the oldest is forgotten.
    pub const FAILURES_KEPT: usize = 20_000;
    /// Tickets that wait for their socket; the oldest is forgotten.
    pub const TICKETS: usize = 1_024;
    /// Verified API keys remembered, so that each request does not cost a password hash; the oldest is forgotten.
    pub const API_KEYS: usize = 256;

    /// Bytes of a request's body, imports aside. Past it: 413.
    pub const BODY_BYTES: usize = 256 << 10;
    /// Rows of one page of a list.
    pub const PAGE_ROWS: usize = 500;
    /// Rows looked at for one page of a filtered list: the page ends there, and says where to go on.
    pub const SCANNED_ROWS: usize = 20_000;
    /// Rows of one CSV export of call records.
    pub const EXPORT_ROWS: usize = 200_000;
}
