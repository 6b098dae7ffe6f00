// A call centre that is only pretended: people, queues, calls and the events they make, as `cti.v1` shows them.
// `dev/fake.mjs` serves it to a page under development; `e2e/` drives it step by step.

/** What a person behind a desk needs to be known by. */
const PEOPLE = [
  { user: 'li', display: '李晓梅', role: 'agent', account: '1001', language: 'zh-CN', skills: { billing: 8, mandarin: 10 } },
  { user: 'wang', display: 'Wang Tao', role: 'agent', account: '1002', language: 'en', skills: { billing: 5 } },
  { user: 'chen', display: 'Chen Yu', role: 'agent', account: '1003', language: 'en', skills: { technical: 9 } },
  { user: 'mary', display: 'Mary O’Connell', role: 'agent', account: '1004', language: 'en', skills: { english: 10 } },
  { user: 'zhao', display: '赵敏', role: 'supervisor', account: null, language: 'zh-CN', skills: {} },
]
const PASSWORD = 'demo'

/** Codes of the plan with their words. */
function codes(words) {
  return Object.entries(words).map(([code, [en, zh]]) => ({ code, words: { en, zh } }))
}

const TARGET = { target_percent: 80, target_s: 20 }
const QUEUES = {
  support: {
    label: { en: 'Support', zh: '客户服务' },
    codes: codes({
      solved: ['Solved', '已解决'],
      callback: ['Call back', '回访'],
      complaint: ['Complaint', '投诉'],
      refund: ['Refund', '退款'],
      wrong_number: ['Wrong number', '打错电话'],
    }),
    code_required: true,
  },
  sales: {
    label: { en: 'Sales', zh: '销售' },
    codes: codes({ sale: ['Sale', '成交'], information: ['Information given', '已告知'], callback: ['Call back', '回访'] }),
    code_required: false,
  },
  vip: { label: { en: 'VIP', zh: '贵宾' }, codes: [], code_required: false },
}

const REASONS = codes({
  break: ['Break', '小休'],
  lunch: ['Lunch', '午餐'],
  meeting: ['Meeting', '会议'],
  training: ['Training', '培训'],
  admin: ['Paperwork', '文书'],
})
const OFFER_MS = 20_000
const WRAP_MS = 45_000
const EXTEND_MS = 30_000

export const CUSTOMERS = {
  zhang: {
    id: '01JCUSTZHANG0000000000000A',
    name: '张三',
    tier: 'platinum',
    language: 'zh-CN',
    greeting: { en: 'Mr Zhang, Platinum. Third call this month; the refund for CA1883 is pending.', zh: '张先生，白金会员，本月第三次来电，CA1883 的退款尚未处理。' },
    numbers: ['+86138****8000', '+8610****5566'],
    attributes: { card: '····4521', home_airport: 'PEK', miles: '184,200' },
    history: [
      { days: 2, queue: 'support', agent: 'wang', disposition: 'refund', notes: 'Flight CA1883 cancelled; refund filed, 5 working days.' },
      { days: 9, queue: 'sales', agent: 'mary', disposition: 'sale', notes: 'Upgraded PEK–SHA to business.' },
      { days: 40, queue: 'support', agent: 'li', disposition: 'solved', notes: '' },
    ],
    contacts_this_month: 3,
  },
  okafor: {
    id: '01JCUSTOKAFOR000000000000B',
    name: 'Amara Okafor',
    tier: 'gold',
    language: 'en',
    greeting: { en: 'Ms Okafor, Gold. First call this month.', zh: 'Okafor 女士，金牌会员，本月首次来电。' },
    numbers: ['+44207****0142'],
    attributes: {},
    history: [],
    contacts_this_month: 1,
  },
}

/** A centre's state and its events. `publish(name, items)` hears of each change, in order. */
export class Centre {
  epoch = `E${Date.now()}`
  seq = 0
  agents = new Map()
  calls = new Map()
  queues = new Map()
  waiting = new Map()
  voicemails = new Map()
  trunks = new Map()
  #nextId = 1
  #listeners = new Set()

  constructor({ now = Date.now } = {}) {
    this.now = now
    const started = this.#stamp(-3 * 3_600_000)
    for (const { user, display, role, skills } of PEOPLE) {
      if (role !== 'agent') continue
      const free = { account: null, registered: false, linked: true, call: null, deadline: null, reason: '' }
      this.agents.set(user, { kind: 'agent', id: user, rev: 0, display, state: 'signed_out', since: started, skills, queues: Object.keys(QUEUES), ...free })
    }
    for (const [id, rule] of Object.entries(QUEUES)) {
      const counts = { waiting: 0, entered: 0, answered: 0, abandoned: 0, moved: 0, failed: 0, answered_wait_ms: 0, longest_wait_ms: 0 }
      const level = { answered_in_time: 0, abandoned_short: 0, ...TARGET }
      this.queues.set(id, { kind: 'queue', id, rev: 0, since: started, longest_since: null, ...counts, ...level, ...rule })
    }
    this.trunks.set('carrier-a', { kind: 'trunk', id: 'carrier-a', rev: 0, up: true, reason: '', since: started })
    this.trunks.set('carrier-b', { kind: 'trunk', id: 'carrier-b', rev: 0, up: false, reason: 'no answer to OPTIONS', since: started })
  }

  /** Who the password lets in. */
  signIn(user, password) {
    const person = PEOPLE.find((known) => known.user === user)
    return person && password === PASSWORD ? this.me(user) : null
  }

  me(user) {
    const { display, role, account, language } = PEOPLE.find((known) => known.user === user)
    return { user, display, role, account, language, reasons: REASONS }
  }

  hints() {
    const users = PEOPLE.filter(({ user }) => ['li', 'wang', 'zhao'].includes(user))
    return {
      users: users.map(({ user, role, account }) => ({ user, password: PASSWORD, role, account: account ?? '' })),
      phone: { address: '2001@demo.local', password: 'demo-2001', servers: ['192.0.2.7:5060'] },
      dial: [{ number: '95539', what: { en: 'Airline', zh: '航空' } }],
    }
  }

  listen(listener) {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The entities of a topic, as `user` may see them; `null`: no such topic, or not theirs. */
  topic(name, user) {
    const isAgent = this.me(user).role === 'agent'
    if (name === 'agent:me') {
      const own = this.agents.get(user)
      return [...(own ? [own] : []), ...[...this.calls.values()].filter((call) => isPartOf(call, user))]
    }
    if (name === 'agents') return [...this.agents.values()]
    if (name === 'queues') return [...this.queues.values()]
    if (name === 'voicemails') return [...this.voicemails.values()]
    if (name.startsWith('queue:')) return [...this.waiting.values()].filter((row) => `queue:${row.queue}` === name)
    if (name === 'calls') return isAgent ? null : [...this.calls.values()]
    if (name === 'trunks') return isAgent ? null : [...this.trunks.values()]
    return null
  }

  // -- what callers and phones do ------------------------------------------------------------------------------------

  /** A caller enters a queue. */
  enqueue(queue, { customer = null, number = '+86139****2233', name = '', priority = 0, waitedMs = 0, answers = [] } = {}) {
    const since = this.#stamp(-waitedMs)
    const call = this.#call({ direction: 'inbound', from: { number, name }, to: { number: '95539', name: '' }, state: 'waiting', queue, priority })
    const card = customer ? this.#card(customer) : null
    const told = answers.map(([key, value]) => ({ at: since, name: key, value }))
    this.#change(call, { queue_since: since, customer: card, answers: told })
    const row = { kind: 'waiting', id: `${queue}/${call.id}`, rev: 0, queue, call: call.id, since, priority, tier: card?.tier ?? '' }
    this.waiting.set(row.id, { ...row, from: call.from, name: card?.name ?? '', position: 1, wait_s: null, offered: [] })
    const line = this.queues.get(queue)
    this.#change(line, { entered: line.entered + 1 })
    this.#publish('queue.entered', [call, this.waiting.get(row.id), this.#count(queue)])
    return call.id
  }

  offer(callId, user) {
    const [call, agent] = [this.calls.get(callId), this.agents.get(user)]
    const deadline = this.#stamp(OFFER_MS)
    const leg = { id: this.#id(), role: 'agent', number: agent.account, account: agent.account, agent: user, state: 'ringing', since: this.#stamp(), held: false }
    this.#change(call, { state: 'offered', offers: [{ agent: user, leg: leg.id, deadline }], legs: [...call.legs, leg] })
    this.#state(agent, 'offered', { call: callId, deadline })
    const row = this.waiting.get(`${call.queue}/${callId}`)
    if (row) this.#change(row, { offered: [user] })
    this.#publish('call.offered', [call, agent, ...(row ? [row] : [])])
  }

  /** The agent picks up the phone. */
  answer(callId) {
    const call = this.calls.get(callId)
    const leg = call.legs.findLast((leg) => leg.state === 'ringing')
    const agent = this.agents.get(leg.agent)
    const legs = call.legs.map((old) => (old === leg ? { ...old, state: 'answered', since: this.#stamp() } : old))
    this.#change(call, { state: 'talking', offers: [], legs, recording: 'on' })
    this.#state(agent, 'talking', { call: callId })
    this.#publish('call.answered', [call, agent, ...this.#leaveQueue(call, 'answered')])
  }

  /** The far side hangs up. */
  hangUp(callId) {
    const call = this.calls.get(callId)
    const leg = call.legs.findLast((leg) => leg.agent && leg.state !== 'ended')
    const agent = leg && this.agents.get(leg.agent)
    const wasTalking = leg?.state === 'answered'
    const left = this.#leaveQueue(call, 'abandoned')
    const legs = call.legs.map((old) => ({ ...old, state: 'ended' }))
    this.#change(call, { state: 'ended', ended: this.#stamp(), offers: [], legs, recording: 'off' })
    if (agent && wasTalking && call.queue) this.#state(agent, 'wrap_up', { call: callId, deadline: this.#stamp(WRAP_MS), reason: call.queue })
    else if (agent) this.#state(agent, 'ready')
    this.#publish('call.ended', [call, ...(agent ? [agent] : []), ...left])
  }

  register(user, registered) {
    const agent = this.agents.get(user)
    this.#change(agent, { registered })
    this.#publish(registered ? 'phone.registered' : 'phone.unregistered', [agent])
  }

  /** Puts an agent where a picture needs them. */
  place(user, state, { reason = '', forMs = 0, call = null } = {}) {
    const person = PEOPLE.find((known) => known.user === user)
    const agent = this.agents.get(user)
    this.#change(agent, { account: person.account, registered: true })
    this.#state(agent, state, { reason, call })
    agent.since = this.#stamp(-forMs)
    this.#publish('agent.state_changed', [agent])
  }

  leaveVoicemail({ box = 'support', number = '+86137****9091', name = '', seconds = 23, agoMs = 0 } = {}) {
    const message = this.#id()
    const row = { kind: 'voicemail', id: `${box}/${message}`, rev: 0, box, message, call: this.#id(), from: { number, name }, at: this.#stamp(-agoMs), seconds }
    this.voicemails.set(row.id, row)
    this.#publish('voicemail.left', [row])
  }

  // -- orders --------------------------------------------------------------------------------------------------------

  /** Gives `{ seq, call? }`, or throws `{ code, msg }`. */
  order(user, name, args) {
    const agent = this.agents.get(user)
    const role = this.me(user).role
    const call = args.call ? this.calls.get(args.call) : undefined
    if (args.call && !call) throw refusal('call.unknown', 'There is no such call.')
    if (['agent.force', 'call.move', 'call.set_priority', 'record.remove'].includes(name) && role === 'agent') {
      throw refusal('role.forbidden', 'A supervisor may do this.')
    }
    switch (name) {
      case 'agent.sign_in':
        this.#change(agent, { account: args.account, registered: args.account !== '1999' })
        this.#state(agent, 'not_ready', { reason: 'signed in' })
        return this.#publish('agent.signed_in', [agent])
      case 'agent.sign_out':
        this.#change(agent, { account: null, registered: false })
        this.#state(agent, 'signed_out')
        return this.#publish('agent.signed_out', [agent])
      case 'agent.ready':
        if (!agent.registered) throw refusal('agent.not_registered', 'No phone is registered.')
        this.#state(agent, 'ready')
        return this.#publish('agent.state_changed', [agent])
      case 'agent.not_ready':
        this.#state(agent, 'not_ready', { reason: args.reason })
        return this.#publish('agent.state_changed', [agent])
      case 'call.decline':
        return this.#decline(call, agent)
      case 'call.hold':
      case 'call.retrieve': {
        const held = name === 'call.hold'
        if ((call.state === 'held') === held) throw refusal('call.wrong_state', 'It is so already.')
        this.#change(call, { state: held ? 'held' : 'talking' })
        return this.#publish(held ? 'call.held' : 'call.resumed', [call])
      }
      case 'call.transfer':
        if (args.to === '0000') throw refusal('destination.unknown', 'No route leads there.')
        this.transferred = args.to
        this.hangUp(call.id)
        return { seq: this.seq }
      case 'call.send_digits':
        this.digits = (this.digits ?? '') + args.digits
        return this.#publish('call.dtmf', [call])
      case 'call.hang_up':
        this.hangUp(call.id)
        return { seq: this.seq }
      case 'call.dial':
        return this.#dial(agent, args.to)
      case 'interaction.wrap':
        this.wrapped = { code: args.code, notes: args.notes, finish: args.finish }
        if (args.finish) this.#state(agent, 'ready')
        return this.#publish('interaction.wrapped', [agent])
      case 'interaction.extend':
        this.#change(agent, { deadline: new Date(Date.parse(agent.deadline) + EXTEND_MS).toISOString() })
        return this.#publish('agent.state_changed', [agent])
      case 'agent.force':
        this.#state(this.agents.get(args.agent), args.state, { reason: args.reason })
        return this.#publish('agent.state_changed', [this.agents.get(args.agent)])
      case 'call.move':
        return this.#move(call, args.queue)
      case 'call.set_priority': {
        const row = this.waiting.get(`${call.queue}/${call.id}`)
        this.#change(call, { priority: args.priority })
        this.#change(row, { priority: args.priority })
        return this.#publish('queue.reordered', [call, row])
      }
      case 'record.remove': {
        const row = this.voicemails.get(args.key)
        this.voicemails.delete(args.key)
        return this.#publish('record.removed', [tombstone(row)])
      }
      default:
        throw refusal('order.unknown', `There is no order ${name}.`)
    }
  }

  #decline(call, agent) {
    const legs = call.legs.map((leg) => (leg.agent === agent.id ? { ...leg, state: 'ended' } : leg))
    this.#change(call, { state: 'waiting', offers: [], legs })
    this.#state(agent, 'ready')
    const row = this.waiting.get(`${call.queue}/${call.id}`)
    if (row) this.#change(row, { offered: [] })
    return this.#publish('call.offer_ended', [call, agent, ...(row ? [row] : [])])
  }

  #dial(agent, to) {
    const call = this.#call({ direction: 'outbound', from: { number: agent.account, name: agent.display }, to: { number: to, name: '' }, state: 'ringing' })
    const leg = { role: 'caller', number: agent.account, account: agent.account, agent: agent.id, state: 'answered', since: this.#stamp(), held: false }
    this.#change(call, { legs: [{ id: this.#id(), ...leg }] })
    this.#state(agent, 'talking', { call: call.id })
    return { ...this.#publish('call.accepted', [call, agent]), call: call.id }
  }

  #move(call, queue) {
    const old = this.waiting.get(`${call.queue}/${call.id}`)
    this.waiting.delete(old.id)
    const row = { ...old, id: `${queue}/${call.id}`, queue }
    this.waiting.set(row.id, row)
    const from = call.queue
    this.#change(call, { queue })
    return this.#publish('queue.overflowed', [call, tombstone(old), row, this.#count(from), this.#count(queue)])
  }

  // -- the mechanics -------------------------------------------------------------------------------------------------

  #leaveQueue(call, how) {
    const row = this.waiting.get(`${call.queue}/${call.id}`)
    if (!row) return []
    this.waiting.delete(row.id)
    const line = this.queues.get(row.queue)
    const waited = this.now() - Date.parse(row.since)
    this.#change(line, { [how]: line[how] + 1, answered_wait_ms: line.answered_wait_ms + (how === 'answered' ? waited : 0), answered_in_time: line.answered_in_time + Number(how === 'answered' && waited <= 20_000) })
    return [tombstone(row), this.#count(row.queue)]
  }

  #count(queue) {
    const rows = [...this.waiting.values()].filter((row) => row.queue === queue)
    const longest = rows.map((row) => row.since).sort()[0] ?? null
    this.#change(this.queues.get(queue), { waiting: rows.length, longest_since: longest })
    return this.queues.get(queue)
  }

  #call(change) {
    const blank = { queue: null, queue_since: null, priority: 0, offers: [], legs: [], recording: 'off', customer: null, answers: [] }
    const call = { kind: 'call', id: this.#id(), rev: 0, since: this.#stamp(), answered: this.#stamp(), ended: null, cause: null, ivr: null, ...blank, ...change }
    this.calls.set(call.id, call)
    return call
  }

  #card(key) {
    const { history, ...card } = CUSTOMERS[key]
    const past = history.map(({ days, ...contact }) => ({ call: this.#id(), at: this.#stamp(-days * 86_400_000 - 5_400_000), ...contact }))
    return { ...card, history: past }
  }

  #state(agent, state, { reason = '', call = null, deadline = null } = {}) {
    this.#change(agent, { state, reason, call, deadline, since: this.#stamp() })
  }

  #change(entity, change) {
    Object.assign(entity, change)
  }

  /** One event: everything it touched gets its number. */
  #publish(name, items) {
    this.seq += 1
    const at = this.#stamp()
    for (const item of items) item.rev = this.seq
    for (const listener of this.#listeners) listener({ seq: this.seq, name, at, items: structuredClone(items) })
    return { seq: this.seq }
  }

  #stamp(offsetMs = 0) {
    return new Date(this.now() + offsetMs).toISOString()
  }

  #id() {
    return `01JFAKE${String(this.#nextId++).padStart(19, '0')}`
  }
}

export function isPartOf(call, user) {
  return call.offers.some((offer) => offer.agent === user) || call.legs.some((leg) => leg.agent === user)
}

/** Whether `item` shows in `topic` to `user`. */
export function belongs(item, topic, user) {
  const kind = item.kind === 'gone' ? item.of : item.kind
  if (topic === 'agent:me') return (kind === 'agent' && item.id === user) || (item.kind === 'call' && isPartOf(item, user))
  if (topic.startsWith('queue:')) return kind === 'waiting' && item.id.startsWith(`${topic.slice(6)}/`)
  return topic === { agent: 'agents', queue: 'queues', call: 'calls', voicemail: 'voicemails', trunk: 'trunks' }[kind]
}

function tombstone(entity) {
  return { kind: 'gone', of: entity.kind, id: entity.id, rev: 0 }
}

function refusal(code, msg) {
  return { code, msg, retry: false }
}
