// The conversation with the switch on `/cti`: hello and resume, subscriptions, orders with their answers, the clock.
//
// A socket that breaks is opened again, with the place where we stopped. The switch then sends what we missed, and takes
// orders under way again under their old ids, which count once; or it says that it cannot, and we take fresh snapshots
// and give the orders up. Nothing here knows the screen: `test/client.test.ts` drives it with a socket made of arrays.

import type { Store } from './store'
import { type ClientFrame, type OrderName, type Orders, type Resume, type ServerFrame, stampMs } from './types'

/** The part of `WebSocket` that is used. */
export interface Socket {
  send(text: string): void
  close(): void
  onopen: ((event: never) => void) | null
  onmessage: ((event: { data: unknown }) => void) | null
  onclose: ((event: never) => void) | null
}

export type Link =
  /** Never live yet. */
  | 'connecting'
  /** Everything shown is current. */
  | 'live'
  /** The socket is lost; what is shown is what we knew last. */
  | 'stale'
  /** The session has ended: sign in again. */
  | 'signed_out'

export interface Done {
  seq: number
  call?: string
}

/** The switch, or the way to it, refused an order. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly retry = false,
  ) {
    super(message)
  }
}

export interface ClientOptions {
  open: () => Socket
  store: Store
  /** Whether the session still stands; asked when a socket closes before its welcome. */
  isSignedIn: () => Promise<boolean>
  onLink?: (link: Link) => void
  onWelcome?: (frame: Extract<ServerFrame, { t: 'welcome' }>) => void
  /** Milliseconds since the Unix epoch by this machine's clock. */
  now?: () => number
  /** 0–1, spreads reconnections. */
  random?: () => number
}

/** An order is given up after this; a session knows its orders' ids for longer, so a resend within it is safe. */
const ORDER_TIMEOUT_MS = 8_000
const PING_EVERY_MS = 20_000
/** Silence after which the socket counts as dead: two pings and a little. */
const SILENCE_MAX_MS = 45_000
const WELCOME_TIMEOUT_MS = 10_000
const BACKOFF_FIRST_MS = 250
const BACKOFF_MAX_MS = 8_000
const PENDING_MAX = 64

interface Pending {
  frame: ClientFrame
  resolve: (done: Done) => void
  reject: (refusal: Refusal) => void
  timer: ReturnType<typeof setTimeout>
}

export class Client {
  /** What to add to this machine's clock to get the switch's, milliseconds. */
  offsetMs = 0
  /** When the last frame came, by this machine's clock. */
  heardAt = 0
  /** Topics the switch does not let this user see. */
  readonly refused = new Set<string>()

  readonly #options: ClientOptions
  readonly #now: () => number
  #socket: Socket | null = null
  #link: Link = 'connecting'
  #resume: Resume | null = null
  #topics: string[] = []
  /** Topics whose snapshot is still to come; live once it is empty. */
  #awaited = new Set<string>()
  /** Subscriptions by the id they were asked under. */
  #subscriptions = new Map<string, string>()
  #resyncing = false
  #pending = new Map<string, Pending>()
  /** Ids are ours alone, also after a reload of the page. */
  readonly #prefix: string
  #nextId = 1
  #attempts = 0
  #bestRtt = Number.POSITIVE_INFINITY
  #timers: Partial<Record<'ping' | 'welcome' | 'reopen', ReturnType<typeof setTimeout>>> = {}

  constructor(options: ClientOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
    this.#prefix = Math.floor((options.random ?? Math.random)() * 2 ** 48).toString(36)
  }

  get link(): Link {
    return this.#link
  }

  /** Opens the socket and keeps it open, subscribed to `topics`. */
  start(topics: string[]): void {
    this.#topics = topics
    this.#open()
  }

  /** Subscribes to more, now and after every reconnection. */
  follow(topics: string[]): void {
    const more = topics.filter((topic) => !this.#topics.includes(topic))
    this.#topics = [...this.#topics, ...more]
    if (this.#socket && this.#timers.welcome === undefined) this.#subscribe(more)
  }

  /** Closes for good. */
  stop(): void {
    this.#close()
    this.#setLink('signed_out')
    this.#failAll('link.closed', 'The session has ended.')
  }

  /** Tries again at once: the network came back. */
  hurry(): void {
    if (this.#socket || this.#link === 'signed_out') return
    this.#attempts = 0
    this.#open()
  }

  /** Gives an order. Rejects with a [`Refusal`]. */
  order<N extends OrderName>(name: N, args: Orders[N]): Promise<Done> {
    if (this.#link !== 'live') return Promise.reject(new Refusal('link.down', 'Not connected.', true))
    if (this.#pending.size >= PENDING_MAX) return Promise.reject(new Refusal('link.busy', 'Too many orders at once.', true))
    const id = this.#id()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id)
        reject(new Refusal('link.timeout', 'The switch did not answer.', true))
      }, ORDER_TIMEOUT_MS)
      const frame: ClientFrame = { t: 'cmd', id, name, args }
      this.#pending.set(id, { frame, resolve, reject, timer })
      this.#send(frame)
    })
  }

  #open(): void {
    this.#close()
    const socket = this.#options.open()
    this.#socket = socket
    socket.onopen = () => {
      this.#send({ t: 'hello', client: 'web/0.1', ticket: null, resume: this.#resume })
    }
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket && typeof data === 'string') this.#handle(data)
    }
    socket.onclose = () => {
      if (socket === this.#socket) this.#onLost()
    }
    this.#timers.welcome = setTimeout(() => this.#onLost(), WELCOME_TIMEOUT_MS)
  }

  #close(): void {
    for (const timer of Object.values(this.#timers)) clearTimeout(timer)
    this.#timers = {}
    const socket = this.#socket
    this.#socket = null
    this.#resyncing = false
    socket?.close()
  }

  #onLost(): void {
    const welcomed = this.#timers.welcome === undefined
    this.#close()
    if (this.#link === 'live') this.#setLink('stale')
    if (welcomed) return this.#reopenLater()
    // The browser does not say why an upgrade failed: a session that has ended looks like a switch that is down.
    this.#options.isSignedIn().then(
      (signedIn) => {
        if (this.#link === 'signed_out' || this.#socket) return
        if (signedIn) this.#reopenLater()
        else this.stop()
      },
      () => this.#reopenLater(),
    )
  }

  #reopenLater(): void {
    if (this.#link === 'signed_out' || this.#socket) return
    const backoff = Math.min(BACKOFF_FIRST_MS * 2 ** this.#attempts, BACKOFF_MAX_MS)
    const spread = 0.5 + (this.#options.random ?? Math.random)()
    this.#attempts = Math.min(this.#attempts + 1, 10)
    clearTimeout(this.#timers.reopen)
    this.#timers.reopen = setTimeout(() => this.#open(), backoff * spread)
  }

  #handle(text: string): void {
    this.heardAt = this.#now()
    let frame: ServerFrame
    try {
      frame = JSON.parse(text) as ServerFrame
    } catch {
      return
    }
    switch (frame?.t) {
      case 'welcome':
        return this.#onWelcome(frame)
      case 'snap':
        return this.#onSnapshot(frame)
      case 'ev':
        return this.#onEvent(frame)
      case 'ok':
        return this.#settle(frame.id, (order) => order.resolve({ seq: frame.seq, call: frame.call }))
      case 'err':
        return this.#onError(frame)
      case 'pong':
        return this.#onPong(frame.c, frame.s)
      case 'resync':
        return this.#onResync(frame.seq)
    }
  }

  #onWelcome(frame: Extract<ServerFrame, { t: 'welcome' }>): void {
    clearTimeout(this.#timers.welcome)
    delete this.#timers.welcome
    this.#attempts = 0
    this.#setOffset(stampMs(frame.now), Number.MAX_SAFE_INTEGER)
    if (this.#resume && this.#resume.epoch !== frame.epoch) this.#options.store.clear()
    const seq = frame.resumed && this.#resume ? this.#resume.seq : frame.seq
    this.#resume = { session: frame.session, epoch: frame.epoch, seq }
    this.#options.onWelcome?.(frame)
    if (frame.resumed) {
      for (const { frame: order } of this.#pending.values()) this.#send(order)
    } else {
      // Another session does not know the ids of orders: given again, an order might be done twice.
      this.#failAll('link.timeout', 'The link broke before the switch answered.')
      this.#subscriptions.clear()
      this.#awaited.clear()
      this.#subscribe(this.#topics)
    }
    this.#setLinkWhenComplete()
    this.#ping()
  }

  /** Asks for snapshots, one topic at a time: the switch may refuse one. */
  #subscribe(topics: string[]): void {
    for (const topic of topics) {
      const id = this.#id()
      this.#awaited.add(topic)
      this.#subscriptions.set(id, topic)
      this.#send({ t: 'sub', id, topics: [topic] })
    }
  }

  #askToResync(): void {
    if (this.#resyncing) return
    this.#resyncing = true
    this.#send({ t: 'resync' })
  }

  #onResync(seq: number): void {
    this.#resyncing = false
    if (this.#resume) this.#resume.seq = seq
    this.#awaited = new Set(this.#topics.filter((topic) => !this.refused.has(topic)))
  }

  #onSnapshot(frame: Extract<ServerFrame, { t: 'snap' }>): void {
    this.#options.store.applySnapshot(frame.topic, frame.seq, frame.items)
    this.#awaited.delete(frame.topic)
    this.#setLinkWhenComplete()
  }

  #onEvent(frame: Extract<ServerFrame, { t: 'ev' }>): void {
    this.#options.store.applyEvent(frame.topic, frame.seq, frame.items)
    if (!this.#resume || frame.seq <= this.#resume.seq) return
    // `prev` names an event we never saw.
    if (frame.prev !== this.#resume.seq) this.#askToResync()
    this.#resume.seq = frame.seq
  }

  #onError(frame: Extract<ServerFrame, { t: 'err' }>): void {
    if (frame.id === undefined) return
    const topic = this.#subscriptions.get(frame.id)
    if (topic !== undefined) {
      this.refused.add(topic)
      this.#awaited.delete(topic)
      return this.#setLinkWhenComplete()
    }
    const refusal = new Refusal(frame.code, frame.msg, frame.retry ?? false)
    this.#settle(frame.id, (order) => order.reject(refusal))
  }

  #settle(id: string, tell: (order: Pending) => void): void {
    const order = this.#pending.get(id)
    if (!order) return
    clearTimeout(order.timer)
    this.#pending.delete(id)
    tell(order)
  }

  #failAll(code: string, message: string): void {
    for (const id of [...this.#pending.keys()]) this.#settle(id, (order) => order.reject(new Refusal(code, message)))
  }

  #ping(): void {
    if (this.#now() - this.heardAt > SILENCE_MAX_MS) return this.#onLost()
    this.#send({ t: 'ping', c: this.#now() })
    this.#timers.ping = setTimeout(() => this.#ping(), PING_EVERY_MS)
  }

  #onPong(sentAt: number, switchMs: number): void {
    const rtt = this.#now() - sentAt
    if (rtt >= 0) this.#setOffset(switchMs + rtt / 2, rtt)
  }

  /** The quickest answer tells the time best. */
  #setOffset(switchMs: number, rtt: number): void {
    if (Number.isNaN(switchMs) || rtt > this.#bestRtt * 2) return
    this.#bestRtt = Math.min(this.#bestRtt, rtt)
    this.offsetMs = switchMs - this.#now()
  }

  #send(frame: ClientFrame): void {
    this.#socket?.send(JSON.stringify(frame))
  }

  #id(): string {
    return `${this.#prefix}-${this.#nextId++}`
  }

  #setLinkWhenComplete(): void {
    if (this.#awaited.size === 0 && this.#socket) this.#setLink('live')
  }

  #setLink(link: Link): void {
    if (this.#link === link) return
    this.#link = link
    this.#options.onLink?.(link)
  }
}
