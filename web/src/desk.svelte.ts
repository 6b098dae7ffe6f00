// The desk: who is signed in, what the switch has told us, and the orders we give. Every screen reads from here.

import { Client, type Done, type Link, Refusal, type Socket } from './cti/client'
import { Store } from './cti/store'
import { type Agent, type Call, type Leg, type Me, type OrderName, type Orders, type Queue, type Stamp, stampMs } from './cti/types'
import { i18n } from './i18n/index.svelte'
import { prefs } from './prefs.svelte'
import { toasts } from './toasts.svelte'

/** Where the page stands. */
export type Phase = 'starting' | 'signed_out' | 'signed_in'

export type SignInFailure = 'wrong' | 'tooMany' | 'down' | 'missing'

const AGENT_TOPICS = ['agent:me', 'agents', 'queues']
const SUPERVISOR_TOPICS = [...AGENT_TOPICS, 'calls', 'voicemails', 'trunks']

/** The answer of `/api/session`. */
interface Session {
  me: Me
  expires: Stamp | null
}

const RENEW_BEFORE_MS = 3_600_000
const RENEW_RETRY_MS = 60_000

class Desk {
  phase = $state<Phase>('starting')
  link = $state<Link>('connecting')
  /** The session ended by itself, not by our wish. */
  hasEnded = $state(false)
  me = $state<Me | null>(null)
  /** Milliseconds since the Unix epoch by the switch's clock, twice a second. */
  now = $state(Date.now())
  /** When the link was lost, by this machine's clock. */
  lostAt = $state(0)

  readonly store = new Store()
  #client: Client | null = null
  /** The account chosen at sign-in, until the switch has taken it. */
  #account: string | null = null
  /** When the session ends unless it is renewed; NaN: never. */
  #expiresMs = Number.NaN

  readonly isLive = $derived(this.link === 'live')
  readonly isSupervisor = $derived(this.me?.role === 'supervisor' || this.me?.role === 'admin')
  readonly agent: Agent | undefined = $derived(this.me ? this.store.tables.agent.get(this.me.user) : undefined)
  /** The offer in front of us. */
  readonly offer: Call | undefined = $derived.by(() => {
    const user = this.me?.user
    return this.#all.find((call) => call.offers.some((offer) => offer.agent === user) && !this.#isOn(call))
  })
  /** Our calls that live, the one that speaks first. */
  readonly calls: Call[] = $derived(
    this.#all
      .filter((call) => call.state !== 'ended' && this.#isOn(call))
      .sort((a, b) => Number(a.state === 'held') - Number(b.state === 'held') || stampMs(b.since) - stampMs(a.since)),
  )
  readonly call: Call | undefined = $derived(this.calls[0])
  /** The call we wrap up. */
  readonly wrapping: Call | undefined = $derived(
    this.agent?.state === 'wrap_up' && this.agent.call ? this.store.tables.call.get(this.agent.call) : undefined,
  )
  readonly queues: Queue[] = $derived([...this.store.tables.queue.values()].sort((a, b) => a.id.localeCompare(b.id)))
  readonly agents: Agent[] = $derived(
    [...this.store.tables.agent.values()].sort((a, b) => nameOf(a).localeCompare(nameOf(b), prefs.language)),
  )

  get #all(): Call[] {
    return [...this.store.tables.call.values()]
  }

  /** Whether a live leg of the call is ours, not merely rung by an offer. A leg of our account is: we dialled at it. */
  #isOn(call: Call): boolean {
    const isOffered = (leg: Leg) => call.offers.some((offer) => offer.leg === leg.id)
    const isOurs = (leg: Leg) => leg.agent === this.me?.user || isOurAccount(leg, this.agent)
    return call.legs.some((leg) => leg.state !== 'ended' && isOurs(leg) && !isOffered(leg))
  }

  constructor() {
    setInterval(() => this.#tick(), 500)
    addEventListener('online', () => this.#client?.hurry())
  }

  /** Takes up the session the browser still has. */
  async start(): Promise<void> {
    const response = await fetch('/api/session').catch(() => null)
    if (response?.ok) this.#enter(await response.json())
    else this.phase = 'signed_out'
  }

  async signIn(user: string, password: string, account: string): Promise<SignInFailure | null> {
    if (!user || !password) return 'missing'
    const response = await fetch('/api/session', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ user, password }),
    }).catch(() => null)
    if (!response || response.status >= 500) return 'down'
    if (response.status === 429) return 'tooMany'
    if (!response.ok) return 'wrong'
    this.#account = account || null
    this.#enter(await response.json())
    return null
  }

  /** Leaves the ACD, where we are in it, and then the desk. */
  async signOut(): Promise<void> {
    if (this.agent && this.agent.state !== 'signed_out') {
      if (!(await this.order('agent.sign_out', {}))) return
    }
    await fetch('/api/session', { method: 'DELETE' }).catch(() => null)
    this.#leave(false)
  }

  /** Follows who waits in each queue. */
  followQueues(): void {
    this.#client?.follow(this.queues.map((queue) => `queue:${queue.id}`))
  }

  /** Gives an order and says so where it is refused. `null`: refused. */
  async order<N extends OrderName>(name: N, args: Orders[N]): Promise<Done | null> {
    try {
      if (!this.#client) throw new Refusal('link.down', '')
      return await this.#client.order(name, args)
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal
      const why = i18n.t.refusals[refusal.code] ?? refusal.message
      toasts.show(i18n.t.failed(why), 'bad')
      return null
    }
  }

  #enter({ me, expires }: Session): void {
    this.me = me
    this.#expiresMs = stampMs(expires)
    this.hasEnded = false
    this.link = 'connecting'
    this.phase = 'signed_in'
    this.store.clear()
    const topics = this.isSupervisor ? SUPERVISOR_TOPICS : AGENT_TOPICS
    const client = new Client({
      open: openSocket,
      store: this.store,
      isSignedIn: async () => (await fetch('/api/session')).status !== 401,
      onWelcome: (frame) => (this.me = frame.me),
      onLink: (link) => this.#onLink(link),
    })
    this.#client = client
    client.start(topics)
  }

  #leave(byItself: boolean): void {
    const client = this.#client
    this.#client = null
    client?.stop()
    this.store.clear()
    this.me = null
    this.hasEnded = byItself
    this.phase = 'signed_out'
  }

  #onLink(link: Link): void {
    if (link === 'stale') this.lostAt = Date.now()
    if (link === 'signed_out') {
      if (this.#client) this.#leave(true)
      return
    }
    this.link = link
    if (link === 'live') void this.#sit()
  }

  /** Binds us to our phone, right after we signed in. */
  async #sit(): Promise<void> {
    if (this.me?.role !== 'agent') return
    const account = this.#account ?? this.me.account
    this.#account = null
    const isOut = !this.agent || this.agent.state === 'signed_out'
    if (isOut && account) await this.order('agent.sign_in', { account })
  }

  #tick(): void {
    this.now = Date.now() + (this.#client?.offsetMs ?? 0)
    if (this.isLive && this.now > this.#expiresMs - RENEW_BEFORE_MS) void this.#renew()
  }

  /** Lengthens the session while somebody sits here: nobody is thrown out in the middle of a call. */
  async #renew(): Promise<void> {
    this.#expiresMs = Number.POSITIVE_INFINITY
    const response = await fetch('/api/session', { method: 'PUT' }).catch(() => null)
    const session: Session | null = response?.ok ? await response.json() : null
    this.#expiresMs = session ? stampMs(session.expires) : this.now + RENEW_BEFORE_MS + RENEW_RETRY_MS
  }
}

function openSocket(): Socket {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
  return new WebSocket(`${scheme}://${location.host}/cti`, 'cti.v1') as Socket
}

/** A queue's name in the reader's language. */
export function queueName(id: string | null | undefined): string {
  const queue = id ? desk.store.tables.queue.get(id) : undefined
  return queue ? i18n.words(queue.label) : (id ?? '')
}

/** A wrap-up code in the reader's words: the plan's, where a queue has it. */
export function codeName(code: string): string {
  const known = desk.queues.flatMap((queue) => queue.codes).find((one) => one.code === code)
  return known ? i18n.words(known.words) : i18n.word(i18n.t.codes, code)
}

/** A not-ready reason in the reader's words: the plan's, else a usual one's. The switch's own begin with `system:`. */
export function reasonName(reason: string): string {
  const known = desk.me?.reasons.find((one) => one.code === reason)
  return known ? i18n.words(known.words) : i18n.word(i18n.t.reasons, reason.replace(/^system:/, ''))
}

/** The name of an agent known by user name only. */
export function agentName(id: string): string {
  const agent = desk.store.tables.agent.get(id)
  return agent ? nameOf(agent) : id
}

export function nameOf(agent: Agent): string {
  return agent.display || agent.id
}

function isOurAccount(leg: Leg, agent: Agent | undefined): boolean {
  return leg.account !== null && leg.account === agent?.account
}

/** Who is at the far end of a call of ours, in the best words we have. */
export function farEnd(call: Call): { name: string; number: string } {
  const isOurs = call.legs.some((leg) => leg.role === 'caller' && isOurAccount(leg, desk.agent))
  const far = isOurs ? call.to : call.from
  const name = call.customer?.name || far.name || far.number
  return { name: name || i18n.t.offer.unknown, number: far.number || i18n.t.offer.withheld }
}

export const desk = new Desk()
