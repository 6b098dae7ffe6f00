// The entities and frames of cti.v1, as the switch serves them.
//
// Entities come whole, each with a revision; snapshots and events carry the same shapes (docs: desktop.md §5).
// Everything after `rev` that a server may leave out is optional here. Unknown fields and kinds are ignored.

/** A moment: RFC 3339 text in UTC, or microseconds since the Unix epoch as the ledger writes them. */
export type Stamp = string | number

export type UserRole = 'agent' | 'supervisor' | 'admin' | 'integration'
export type AgentState = 'signed_out' | 'not_ready' | 'ready' | 'offered' | 'talking' | 'wrap_up'
export type CallState = 'ivr' | 'waiting' | 'offered' | 'dialing' | 'ringing' | 'talking' | 'held' | 'ended'

export interface Base {
  id: string
  /** Rises with every change; an image with an older one is stale. */
  rev: number
  /** The entity is no more. */
  gone?: boolean
}

/** The person signed in, and what the desktop needs to know of the plan. */
export interface Me extends Base {
  kind: 'me'
  display: string
  role: UserRole
  /** The account of the person's own desk phone. */
  account?: string
  language?: string
  /** Not-ready reasons of the plan, in its order. */
  reasons?: string[]
}

export interface Agent extends Base {
  kind: 'agent'
  display?: string
  state: AgentState
  /** The not-ready reason, or the wrap-up's queue. */
  reason?: string
  since: Stamp
  /** When the state ends by itself. */
  deadline?: Stamp
  account?: string
  /** Whether the account has a live registration; without one Ready is refused. */
  registered?: boolean
  link?: 'up' | 'lost'
  call?: string
  queues?: string[]
  skills?: Record<string, number>
}

export interface Address {
  number: string
  name?: string
  trunk?: string
  account?: string
}

/** One past contact, as a card shows it. */
export interface Contact {
  call: string
  at: Stamp
  queue?: string | null
  agent?: string | null
  disposition?: string
  notes?: string
}

/** What the agent reads before answering. */
export interface CustomerCard {
  id?: string | null
  name: string
  tier: string
  language?: string
  /** One line to greet by, by language: `en`, `zh`. */
  greeting?: Record<string, string>
  numbers?: string[]
  attributes?: Record<string, string>
  /** Newest first. */
  history?: Contact[]
  contacts_this_month?: number
}

export interface IvrAnswer {
  at: Stamp
  name: string
  value: string
}

export interface Call extends Base {
  kind: 'call'
  state: CallState
  direction: 'inbound' | 'outbound' | 'internal'
  from: Address
  to: Address
  /** When the call was accepted. */
  at: Stamp
  /** When its state began. */
  since: Stamp
  queue?: string
  agent?: string
  /** The offer's end. */
  deadline?: Stamp
  waited_ms?: number
  priority?: number
  card?: CustomerCard
  answers?: IvrAnswer[]
  recording?: 'on' | 'masked' | 'off'
  /** The draft of the wrap-up, as the switch keeps it. */
  code?: string
  notes?: string
}

export interface Queue extends Base {
  kind: 'queue'
  open?: boolean
  waiting: number
  /** When the longest waiting call entered. */
  longest_since?: Stamp | null
  ready: number
  talking: number
  wrap_up: number
  not_ready: number
  /** Today, in the queue's time zone. */
  offered?: number
  answered?: number
  abandoned?: number
  /** Share of calls answered within the target, 0–1. */
  service_level?: number | null
  target_ms?: number
  asa_ms?: number | null
  /** Wrap-up codes; empty: any text. */
  codes?: string[]
  code_required?: boolean
}

export interface Waiting extends Base {
  kind: 'waiting'
  queue: string
  /** 1 is served next. */
  position: number
  priority: number
  tier: string
  since: Stamp
  from: Address
  name?: string
}

export interface Voicemail extends Base {
  kind: 'voicemail'
  box: string
  from: Address
  at: Stamp
  seconds: number
}

export interface Trunk extends Base {
  kind: 'trunk'
  up: boolean
  reason?: string
}

export type Entity = Me | Agent | Call | Queue | Waiting | Voicemail | Trunk
export type Kind = Entity['kind']
export type Of<K extends Kind> = Extract<Entity, { kind: K }>

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
  seq: number
}

export type ClientFrame =
  | { t: 'hello'; client: string; ticket: string | null; resume: Resume | null }
  | { t: 'sub'; id: string; topics: string[] }
  | { t: 'cmd'; id: string; name: OrderName; args: unknown }
  | { t: 'resync' }
  | { t: 'ping'; c: number }

export type ServerFrame =
  | { t: 'welcome'; session: string; epoch: string; seq: number; resumed: boolean; now: Stamp; me: Omit<Me, 'kind'> }
  | { t: 'snap'; id?: string; topic: string; seq: number; items: Entity[] }
  | { t: 'ev'; seq: number; prev: number; topic: string; name: string; at: Stamp; items: Entity[] }
  | { t: 'ok'; id: string; seq: number; call?: string }
  | { t: 'err'; id?: string; code: string; msg: string; retry?: boolean }
  | { t: 'pong'; c: number; s: Stamp }
  | { t: 'resync' }

/** Milliseconds since the Unix epoch; NaN for what is no moment. */
export function stampMs(stamp: Stamp | null | undefined): number {
  if (typeof stamp === 'number') return stamp / 1000
  return stamp ? Date.parse(stamp) : Number.NaN
}
