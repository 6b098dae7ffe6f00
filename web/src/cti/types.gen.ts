// Written from the Rust entities by `UPDATE_TYPES=1 cargo test typescript`. Do not edit.
/** An account to save. A missing password keeps the stored secrets; a new account needs one. */
export type AccountBody = {
  disabled?: boolean;
  display?: string;
  password?: string | null;
};

/** A SIP account: an address of record that phones register. */
export type AccountView = {
  disabled: boolean;
  display: string;
  name: string;
  realm: string;
};

/** A party of a call: a number and the name that came with it. */
export type Address = {
  name: string;
  /** E.164, a short number or an account; masked for roles that may not see numbers. */
  number: string;
};

/** Someone who takes calls. */
export type Agent = {
  /** The account signed in at. */
  account?: string | null;
  /** The call offered, talked to or wrapped up. */
  call?: string | null;
  deadline?: Moment | null;
  /** The name other people see. */
  display: string;
  id: string;
  /** Whether the desktop's link is live, or was never there (an agent at a desk phone alone). */
  linked: boolean;
  /** The queues served with these skills. */
  queues: string[];
  /** The not-ready reason, or the wrap-up's queue. */
  reason: string;
  /** Whether a phone is registered there. */
  registered: boolean;
  rev: number;
  /** Since when in this state. */
  since: Moment;
  /** Levels 1 to 10 by skill. */
  skills: Record<string, number>;
  state: AgentState;
};

/** An agent's state; busy is never stored, it follows from live legs. */
export type AgentState = "signed_out" | "not_ready" | "ready" | "offered" | "talking" | "wrap_up";

/** One thing the caller told the IVR. */
export type Answer = {
  at: Moment;
  name: string;
  value: string;
};

/** What went wrong. `code` is stable, `msg` is a sentence for people. */
export type ApiError = {
  /** `call.unknown`, `role.forbidden`, `session.none`, … */
  code: string;
  /** What is wrong with an imported text or with the configuration, where it is one. */
  findings?: Record<string, unknown>[];
  msg: string;
  /** Whether the same request may succeed later. */
  retry: boolean;
};

/** One call. */
export type Call = {
  answered?: Moment | null;
  /** What the caller told the IVR. */
  answers: Answer[];
  cause?: Cause | null;
  customer?: Card | null;
  direction: Direction;
  ended?: Moment | null;
  from: Address;
  id: string;
  ivr?: IvrPlace | null;
  legs: Leg[];
  offers: Offer[];
  priority: number;
  queue?: string | null;
  queue_since?: Moment | null;
  recording: Recording;
  rev: number;
  since: Moment;
  state: CallState;
  to: Address;
};

/** How a call came out, for lists. */
export type CallResult = "open" | "answered" | "abandoned" | "served" | "left_message" | "failed";

/** Where a call is. */
export type CallState = "ivr" | "waiting" | "offered" | "ringing" | "talking" | "held" | "ended";

/** The caller's record as an agent reads it before answering. */
export type Card = {
  attributes: Record<string, string>;
  contacts_this_month: number;
  /** One line to greet by, in the agents' languages. */
  greeting: Record<string, string>;
  /** Newest first. */
  history: Contact[];
  id?: string | null;
  language?: string | null;
  name: string;
  numbers: string[];
  /** `platinum`, `gold`, `iron`, `lead`; empty where unknown. */
  tier: string;
};

/** Why a call or leg ended. */
export type Cause = {
  by: Party;
  /** The cause of the telephone network that the far side named (ITU-T Q.850, in a Reason header of RFC 3326). */
  q850?: number | null;
  /** The SIP status that carried it, where one did. */
  status?: number | null;
  what: What;
};

/** One call, as it remains. */
export type Cdr = {
  accepted: Moment;
  agent?: string | null;
  answered?: Moment | null;
  answers: Answer[];
  call: string;
  cause?: Cause | null;
  customer?: string | null;
  customer_name: string;
  dialplan?: string | null;
  direction: Direction;
  disposition: string;
  duration_ms: number;
  ended?: Moment | null;
  from: Address;
  /** How many of each list the record has no room for; `/api/cdr/{call}/events` has them all. */
  left_out: LeftOut;
  legs: CdrLeg[];
  notes: string;
  offers: CdrOffer[];
  path: CdrStep[];
  /** The last one. */
  queue?: string | null;
  queues: CdrVisit[];
  recordings: CdrRecording[];
  result: CallResult;
  sip_call_id: string;
  tier: string;
  to: Address;
  transfers: CdrTransfer[];
  /** The message the caller left, by its id in the box. */
  voicemail?: string | null;
  /** In all queues together. */
  waited_ms: number;
};

/** One leg of a record. */
export type CdrLeg = {
  address: Address;
  agent?: string | null;
  answered?: Moment | null;
  cause?: Cause | null;
  codec: string;
  ended?: Moment | null;
  held_ms: number;
  leg: string;
  ringing?: Moment | null;
  role: Role;
  started: Moment;
  stats?: Record<string, unknown> | null;
};

/** One offer to an agent and how it ended. */
export type CdrOffer = {
  agent: string;
  at: Moment;
  ended?: Moment | null;
  outcome?: OfferOutcome | null;
};

/** One recording; its sound is at `/api/recordings/{recording}`. */
export type CdrRecording = {
  /** It ended at the greatest length that recordings may have. */
  cut: boolean;
  failed?: string | null;
  recording: string;
  seconds?: number | null;
  segments: CdrSegment[];
  started: Moment;
};

/** A part of a recording, and what holds in it. */
export type CdrSegment = {
  from_ms: number;
  kind: SegmentKind;
  /** Who takes part or is held: a leg of the record. Nobody where all is masked. */
  leg?: string | null;
  /** `null` while it goes on. */
  to_ms?: number | null;
};

/** One state of the dialplan passed through. */
export type CdrStep = {
  at: Moment;
  dialplan: string;
  outcome: string;
  state: string;
};

/** One blind transfer. */
export type CdrTransfer = {
  at: Moment;
  by: string;
  to: string;
};

/** One stay in a queue. */
export type CdrVisit = {
  entered: Moment;
  exit?: QueueExit | null;
  left?: Moment | null;
  queue: string;
  waited_ms: number;
};

/** A code of the plan, with what people call it. */
export type Code = {
  code: string;
  words: Words;
};

/** One past contact. */
export type Contact = {
  agent?: string | null;
  at: Moment;
  call: string;
  disposition: string;
  notes: string;
  queue?: string | null;
};

/** The id that a new record got. */
export type Created = {
  id: string;
};

/** A customer's card. */
export type CustomerView = {
  attributes: Record<string, string>;
  company: string;
  id: string;
  language?: string | null;
  /** The name in Latin script. */
  name: PersonName;
  /** The name in Chinese script. */
  name_zh: PersonName;
  notes: string;
  /** E.164, the first is the one to call back; masked for roles that may not see numbers. */
  phones: string[];
  salutation?: Salutation | null;
  tier: Tier;
};

/** A routing decision of a call. */
export type Decision = {
  /** Who was offered the call. */
  agents: string[];
  at: Moment;
  /** Who was considered, and the verdict on each. */
  explanation: unknown;
  queue: string;
  seq: number;
};

/** Who may sign in, which phone to register, and what to dial. */
export type DemoHints = {
  dial: DemoNumber[];
  phone: DemoPhone;
  users: DemoUser[];
};

/** A number with what answers there. */
export type DemoNumber = {
  number: string;
  what: Words;
};

/** An account for the visitor's own softphone. */
export type DemoPhone = {
  /** `2001@demo.local`. */
  address: string;
  password: string;
  /** Where to register, `ADDRESS:PORT` over UDP and TCP. */
  servers: string[];
};

/** Somebody who may sign in. */
export type DemoUser = {
  /** The account to sign in at; empty where none is needed. */
  account: string;
  password: string;
  role: UserRole;
  user: string;
};

/** Where a call comes from, seen from the centre. */
export type Direction = "inbound" | "outbound" | "internal";

/** Anything with an identity on a desktop. On the wire each has `kind`, `id` and `rev`. */
export type Entity = Agent & {
  kind: "agent";
} | Call & {
  kind: "call";
} | Queue & {
  kind: "queue";
} | Waiting & {
  kind: "waiting";
} | Voicemail & {
  kind: "voicemail";
} | Trunk & {
  kind: "trunk";
} | Gone & {
  kind: "gone";
};

/** The kinds of entities. */
export type EntityKind = "agent" | "call" | "queue" | "waiting" | "voicemail" | "trunk";

/** Something has happened. */
export type Ev = {
  at: Moment;
  items: Entity[];
  /** `call.offered`, `agent.state_changed`, … */
  name: string;
  /** The last event sent to this session before. */
  prev: number;
  seq: number;
  /** The first subscribed topic that it belongs to. */
  topic: string;
};

/** The form behind the link. */
export type FirstAdminForm = {
  password: string;
  token: string;
  user: string;
};

/** The entity is no more, or no more to be seen by this client. Newer images of the same id may follow. */
export type Gone = {
  id: string;
  /** The kind it was of. */
  of: EntityKind;
  rev: number;
};

/** How the process is. */
export type Health = {
  /** Calls that run now. */
  calls: number;
  /** New calls are taken. */
  ready: boolean;
  /** Why not, in words for an operator: `draining`, `the disk is full`. */
  reasons?: string[];
  version: string;
};

/** What an import came to, or would. */
export type ImportReport = {
  created: number;
  findings: Record<string, unknown>[];
  /** Whether it was saved: not on a dry run, and not with errors unless `partial=true` asks for what fits. */
  saved: boolean;
  /** Rows that say nothing new. */
  unchanged: number;
  updated: number;
};

/** A state of a dialplan. */
export type IvrPlace = {
  dialplan: string;
  state: string;
};

/** A key, shown this once: `Authorization: Bearer NAME:KEY`. */
export type KeyView = {
  key: string;
};

/** One message of a ladder. */
export type LadderLine = {
  at: Moment;
  peer: string;
  /** From us; otherwise to us. */
  sent: boolean;
  text: string;
  /** `INVITE`, `200 OK`. */
  what: string;
};

/** How many of each list were left out of a record that grew too long. */
export type LeftOut = {
  answers?: number;
  legs?: number;
  offers?: number;
  path?: number;
  queues?: number;
  recordings?: number;
  /** Of all recordings together. */
  segments?: number;
  transfers?: number;
};

/** One party's end of a call. */
export type Leg = {
  account?: string | null;
  agent?: string | null;
  held: boolean;
  id: string;
  number: string;
  role: Role;
  since: Moment;
  state: LegState;
};

/** Where a leg is. */
export type LegState = "dialling" | "ringing" | "answered" | "ended";

/** Who is signed in on this session. */
export type Me = {
  /** The account the sign-in page proposes. */
  account?: string | null;
  display: string;
  language?: string | null;
  /** Why an agent may be not ready; empty: any short text. */
  reasons: Code[];
  role: UserRole;
  user: string;
};

export type Moment = string;

/** An offer that is out. */
export type Offer = {
  agent: string;
  deadline: Moment;
  leg: string;
};

/** How an offer ended. */
export type OfferOutcome = "answered" | "no_answer" | "declined" | "busy" | "unreachable" | "withdrawn";

/** Done: everything read from now on shows it. */
export type OrderDone = {
  /** The call that the order made. */
  call?: string | null;
  seq: number;
};

/** Whose doing an end was. "Fault" in the field's sense: the party whose action or failure decided it. */
export type Party = "caller" | "agent" | "trunk" | "customer_system" | "plan" | "operator" | "switch";

/** A person's name in one script. Family and given are kept apart because the two languages join them differently. */
export type PersonName = {
  family?: string;
  given?: string;
};

/** A queue with its figures since `since`. */
export type Queue = {
  abandoned: number;
  /** Of the abandoned: those so soon that they count for nothing. The service level is `answered_in_time / (answered + abandoned - abandoned_short)`. */
  abandoned_short: number;
  answered: number;
  /** Of the answered: those within the target's time. */
  answered_in_time: number;
  /** Waits of the calls that were answered, together and the longest, milliseconds. */
  answered_wait_ms: number;
  /** Wrap-up ends only with a code. */
  code_required: boolean;
  /** What a call is closed with; empty: any short text. */
  codes: Code[];
  entered: number;
  failed: number;
  id: string;
  label: Words;
  longest_since?: Moment | null;
  longest_wait_ms: number;
  /** By overflow, to voicemail, to another queue. */
  moved: number;
  rev: number;
  /** The process's start. */
  since: Moment;
  /** The target: so many percent answered within so many seconds. */
  target_percent: number;
  target_s: number;
  waiting: number;
};

/** How a call left a queue: four exits. */
export type QueueExit = "answered" | "abandoned" | "moved" | "failed";

/** A queue and who waits in it, longest first. */
export type QueueView = {
  queue: Queue;
  waiting: Waiting[];
};

/** Whether a call is recorded right now. */
export type Recording = "off" | "on" | "masked" | "failed";

/** A sealed recording; its sound is at `/api/recordings/{recording}`. */
export type RecordingView = {
  at: Moment;
  bytes: number;
  call: string;
  recording: string;
  seconds: number;
};

/** What a reload took. */
export type Reloaded = {
  /** What is different for new calls, a line each: `queues.support.wrap_up_s: 30 → 20`. Empty: nothing. */
  changes: string[];
  /** Changes that wait for the next start, with file, line, reason and mend. */
  next_start: Record<string, unknown>[];
};

/** What a leg is in its call. */
export type Role = "caller" | "agent" | "callee";

/** How a person is addressed. */
export type Salutation = "ms" | "mrs" | "mr" | "dr" | "prof";

/** What holds. */
export type SegmentKind = "agent" | "callee" | "hold" | "masked";

/** To the client. */
export type ServerFrame = Welcome & {
  t: "welcome";
} | Snap & {
  t: "snap";
} | Ev & {
  t: "ev";
} | {
  /** The call that the order made. */
  call?: string | null;
  id: string;
  seq: number;
  t: "ok";
} | {
  code: string;
  id: string;
  msg: string;
  retry: boolean;
  t: "err";
} | {
  c: number;
  /** The server's time, milliseconds since 1970. */
  s: number;
  t: "pong";
} | {
  seq: number;
  t: "resync";
};

/** Who is signed in, and until when without renewal. */
export type SessionView = {
  expires?: Moment | null;
  me: Me;
};

/** Name and password. */
export type SignIn = {
  password: string;
  user: string;
};

/** A skill that the plan names, with who has it. */
export type SkillView = {
  /** Levels 1 to 10 by agent. */
  agents: Record<string, number>;
  name: string;
};

/** An agent's skills, levels 1 to 10. */
export type SkillsBody = {
  skills: Record<string, number>;
};

/** Everything of a topic. */
export type Snap = {
  /** Of the `sub` it answers; empty after a resync. */
  id: string;
  items: Entity[];
  seq: number;
  topic: string;
};

/** A ticket for the `hello` of one CTI socket. */
export type TicketView = {
  expires: Moment;
  ticket: string;
};

/** How much a customer's business counts, decided by the company's own record of them. The default is `Iron`: someone on file whom nobody has graded; `Lead` has bought little or nothing yet. */
export type Tier = "lead" | "iron" | "gold" | "platinum";

/** A trunk as we reach it. */
export type Trunk = {
  id: string;
  reason: string;
  rev: number;
  since: Moment;
  up: boolean;
};

/** A user to save. A missing password keeps the stored one. */
export type UserBody = {
  account?: string | null;
  disabled?: boolean;
  display?: string;
  language?: string | null;
  password?: string | null;
  role: UserRole;
};

/** What a user may do. Every API route and every order names the roles it takes; a higher role does not include a lower one's duties: an administrator takes no calls. */
export type UserRole = "agent" | "supervisor" | "admin" | "integration";

/** A user. */
export type UserView = {
  /** The account the sign-in page proposes. */
  account?: string | null;
  disabled: boolean;
  display: string;
  /** Without one nobody signs in. */
  has_password: boolean;
  language?: string | null;
  name: string;
  role: UserRole;
};

/** A message in a box. */
export type Voicemail = {
  at: Moment;
  box: string;
  call: string;
  from: Address;
  /** `box/message`, the path below `/api/voicemails/`. */
  id: string;
  message: string;
  rev: number;
  seconds: number;
};

/** A call's stay in a queue. */
export type Waiting = {
  call: string;
  from: Address;
  /** `queue/call`. */
  id: string;
  /** The name on the customer's card. */
  name: string;
  /** Who it is offered to. */
  offered: string[];
  /** Place and expected wait (from, to; seconds) as last announced to the caller. */
  position: number;
  priority: number;
  queue: string;
  rev: number;
  since: Moment;
  tier: string;
  wait_s?: [number, number] | null;
};

/** The answer to `hello`. */
export type Welcome = {
  epoch: string;
  me: Me;
  now: Moment;
  /** What was missed follows; otherwise subscribe again. */
  resumed: boolean;
  /** `prev` of the next event. */
  seq: number;
  session: string;
};

/** What ended it. */
export type What = "hangup" | "abandoned" | "completed" | "no_answer" | "busy" | "declined" | "not_found" | "unreachable" | "not_acceptable" | "forbidden" | "congestion" | "media_timeout" | "signalling_timeout" | "transferred" | "failed" | "switch_restart" | "defect";

/** A name in the languages of the desktop. */
export type Words = {
  en: string;
  zh: string;
};

/** What can be ordered. */
export type OrderName =
  | "agent.sign_in"
  | "agent.sign_out"
  | "agent.ready"
  | "agent.not_ready"
  | "call.decline"
  | "call.hold"
  | "call.retrieve"
  | "call.transfer"
  | "call.send_digits"
  | "call.hang_up"
  | "call.dial"
  | "interaction.wrap"
  | "interaction.extend"
  | "agent.force"
  | "call.move"
  | "call.set_priority"
  | "record.save"
  | "record.remove"
  | "system.drain";
