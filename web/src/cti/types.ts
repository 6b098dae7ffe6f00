// The entities and frames of cti.v1, as the switch serves them.
//
// Entities come whole, each with a revision; snapshots and events carry the same shapes.
// Unknown fields and kinds are ignored.

/** A moment: RFC 3339 in UTC with milliseconds. */
export type Stamp = string

export type UserRole = 'agent' | 'supervisor' | 'admin' | 'integration'
export type AgentState = 'signed_out' | 'not_ready' | 'ready' | 'offered' | 'talking' | 'wrap_up'
export type CallState = 'ivr' | 'waiting' | 'offered' | 'ringing' | 'talking' | 'held' | 'ended'
export type LegState = 'dialling' | 'ringing' | 'answered' | 'ended'

interface Base {
  id: string
  /** Rises with every change; an image with an older one is stale. */
  rev: number
}

/** A name in the languages of the desktop. */
export interface Words {
  en: string
  zh: string
}

/** A code of the plan, with what people call it. */
export interface Code {
  code: string
  words: Words
}

/** The person signed in. */
export interface Me {
  user: string
  display: string
  role: UserRole
  language?: string | null
  /** The account the sign-in page proposes. */
  account?: string | null
  /** Not-ready reasons of the plan; none: any text. */
  reasons: Code[]
}

export interface Agent extends Base {
  kind: 'agent'
  display: string
  state: AgentState
  /** The not-ready reason, or the wrap-up's queue. */
  reason: string
  since: Stamp
  /** When the state ends by itself: wrap-up, offer. */
  deadline: Stamp | null
  /** The account signed in at. */
  account: string | null
  /** Whether a phone is registered there; without one Ready is refused. */
  registered: boolean
  /** Whether the desktop's link is live, or was never there. */
  linked: boolean
  /** The call offered, talked to or wrapped up. */
  call: string | null
  /** Levels 1 to 10 by skill. */
  skills: Record<string, number>
  /** The queues served with these skills. */
  queues: string[]
}

/** A number and the name that came with it. */
export interface Party {
  /** E.164, a short number or an account; masked for roles that may not see numbers; empty where withheld. */
  number: string
  name: string
}

/** One past contact, as a card shows it. */
export interface Contact {
  call: string
  at: Stamp
  queue: string | null
  agent: string | null
  disposition: string
  notes: string
}

/** What the agent reads before answering. */
export interface Card {
  id: string | null
  name: string
  /** `platinum`, `gold`, `iron`, `lead`; empty where unknown. */
  tier: string
  language: string | null
  /** One line to greet by, by language: `en`, `zh`. */
  greeting: Record<string, string>
  numbers: string[]
  attributes: Record<string, string>
  /** Newest first. */
  history: Contact[]
  contacts_this_month: number
}

/** One thing the caller told the IVR. */
export interface Answer {
  at: Stamp
  name: string
  value: string
}

export interface Offer {
  agent: string
  leg: string
  deadline: Stamp
}

/** One party's end of a call. */
export interface Leg {
  id: string
  role: 'caller' | 'agent' | 'callee'
  number: string
  account: string | null
  agent: string | null
  state: LegState
  since: Stamp
  held: boolean
}

export interface Call extends Base {
  kind: 'call'
  state: CallState
  direction: 'inbound' | 'outbound' | 'internal'
  from: Party
  to: Party
  since: Stamp
  answered: Stamp | null
  ended: Stamp | null
  customer: Card | null
  answers: Answer[]
  ivr: { dialplan: string; state: string } | null
  queue: string | null
  queue_since: Stamp | null
  priority: number
  offers: Offer[]
  legs: Leg[]
  recording: 'off' | 'on' | 'masked' | 'failed'
}

/** A queue with its figures since `since`. */
export interface Queue extends Base {
  kind: 'queue'
  label: Words
  waiting: number
  /** Since when the call that waits longest has waited. */
  longest_since: Stamp | null
  since: Stamp
  entered: number
  answered: number
  abandoned: number
  moved: number
  failed: number
  answered_wait_ms: number
  longest_wait_ms: number
  /** The target: so many percent answered within so many seconds. */
  target_percent: number
  target_s: number
  /** Of the answered: those within the target's time. */
  answered_in_time: number
  /** Of the abandoned: those so soon that they count for nothing. */
  abandoned_short: number
  /** Wrap-up codes of the plan; none: any text. */
  codes: Code[]
  code_required: boolean
}

/** A call's stay in a queue; `id` is `queue/call`. */
export interface Waiting extends Base {
  kind: 'waiting'
  queue: string
  call: string
  since: Stamp
  priority: number
  tier: string
  from: Party
  /** The name on the customer's card. */
  name: string
  /** Place and expected wait (from, to; seconds) as last announced to the caller. */
  position: number
  wait_s: [number, number] | null
  /** Who it is offered to. */
  offered: string[]
}

/** A message in a box; `id` is `box/message`, the path below `/api/voicemails/`. */
export interface Voicemail extends Base {
  kind: 'voicemail'
  box: string
  message: string
  call: string
  from: Party
  at: Stamp
  seconds: number
}

export interface Trunk extends Base {
  kind: 'trunk'
  up: boolean
  reason: string
  since: Stamp
}

/** The entity is no more, or no more ours to see. Newer images of the same id may follow. */
export interface Gone extends Base {
  kind: 'gone'
  of: Kind
}

export type Entity = Agent | Call | Queue | Waiting | Voicemail | Trunk
export type Kind = Entity['kind']
export type Of<K extends Kind> = Extract<Entity, { kind: K }>
/** What snapshots and events carry. */
export type Item = Entity | Gone

/** Orders and their arguments, `noun.verb` (the switch's `command` vocabulary). */
export interface Orders {
  'agent.sign_in': { account: string }
  'agent.sign_out': Record<string, never>
  'agent.ready': Record<string, never>
  'agent.not_ready': { reason: string }
  'call.decline': { call: string }
  'call.hold': { call: string }
  'call.retrieve': { call: string }
  'call.transfer': { call: string; to: string }
  'call.send_digits': { call: string; digits: string }
  'call.hang_up': { call: string }
  'call.dial': { to: string }
  'interaction.wrap': { call: string; code?: string; notes?: string; finish?: boolean }
  'interaction.extend': Record<string, never>
  'agent.force': { agent: string; state: 'ready' | 'not_ready' | 'signed_out'; reason: string }
  'call.move': { call: string; queue: string }
  'call.set_priority': { call: string; priority: number }
  'record.remove': { kind: 'voicemail'; key: string }
}
export type OrderName = keyof Orders

export interface Resume {
  session: string
  epoch: string
  /** The last event seen. */
  seq: number
}

export type ClientFrame =
  | { t: 'hello'; client: string; ticket: string | null; resume: Resume | null }
  | { t: 'sub'; id: string; topics: string[] }
  | { t: 'cmd'; id: string; name: OrderName; args: unknown }
  | { t: 'resync' }
  | { t: 'ping'; c: number }

export type ServerFrame =
  | { t: 'welcome'; session: string; epoch: string; seq: number; resumed: boolean; now: Stamp; me: Me }
  | { t: 'snap'; id?: string; topic: string; seq: number; items: Item[] }
  | { t: 'ev'; seq: number; prev: number; topic: string; name: string; at: Stamp; items: Item[] }
  | { t: 'ok'; id: string; seq: number; call?: string }
  | { t: 'err'; id?: string; code: string; msg: string; retry?: boolean }
  /** `s` is the switch's time, milliseconds since the Unix epoch. */
  | { t: 'pong'; c: number; s: number }
  /** Snapshots of all topics follow; the next event's `prev` is this `seq`. */
  | { t: 'resync'; seq: number }

/** Milliseconds since the Unix epoch; NaN for what is no moment. */
export function stampMs(stamp: Stamp | null | undefined): number {
  return stamp ? Date.parse(stamp) : Number.NaN
}
