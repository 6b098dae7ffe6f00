import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Client, type Link, type Refusal, type Socket } from '../src/cti/client'
import { Store } from '../src/cti/store'
import type { Agent, AgentState, ClientFrame, ServerFrame } from '../src/cti/types'

class FakeSocket implements Socket {
  sent: ClientFrame[] = []
  closed = false
  onopen: Socket['onopen'] = null
  onmessage: Socket['onmessage'] = null
  onclose: Socket['onclose'] = null
  send(text: string) {
    this.sent.push(JSON.parse(text))
  }
  close() {
    this.closed = true
  }
  open() {
    this.onopen?.(undefined as never)
  }
  lose() {
    this.onclose?.(undefined as never)
  }
  say(frame: ServerFrame) {
    this.onmessage?.({ data: JSON.stringify(frame) })
  }
  last<T extends ClientFrame['t']>(t: T): Extract<ClientFrame, { t: T }> {
    const found = this.sent.filter((frame) => frame.t === t).at(-1)
    if (!found) throw new Error(`no ${t} was sent`)
    return found as Extract<ClientFrame, { t: T }>
  }
  count(t: ClientFrame['t']): number {
    return this.sent.filter((frame) => frame.t === t).length
  }
}

let sockets: FakeSocket[]
let links: Link[]
let signedIn: boolean
let store: Store
let client: Client

function socket(): FakeSocket {
  const last = sockets.at(-1)
  if (!last) throw new Error('no socket was opened')
  return last
}

function welcome(change: Partial<Extract<ServerFrame, { t: 'welcome' }>> = {}) {
  const frame = { t: 'welcome', session: 's1', epoch: 'e1', seq: 10, resumed: false } as const
  socket().say({ ...frame, now: new Date().toISOString(), me: { user: 'li', display: 'Li', role: 'agent', reasons: [] }, ...change })
}

function li(rev: number, state: AgentState): Agent {
  const rest = { reason: '', deadline: null, account: null, registered: true, linked: true, call: null, skills: {}, queues: [] }
  return { kind: 'agent', id: 'li', rev, display: 'Li', state, since: '', ...rest }
}

function snap(seq: number, state: AgentState = 'ready') {
  socket().say({ t: 'snap', topic: 'agent:me', seq, items: [li(seq, state)] })
}

function event(prev: number, seq: number) {
  const items = [li(seq, 'talking')]
  socket().say({ t: 'ev', seq, prev, topic: 'agent:me', name: 'agent.state_changed', at: '', items })
}

function goLive() {
  socket().open()
  welcome()
  snap(10)
}

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse('2026-11-21T10:00:00Z') })
  sockets = []
  links = []
  signedIn = true
  store = new Store()
  client = new Client({
    open: () => {
      const made = new FakeSocket()
      sockets.push(made)
      return made
    },
    store,
    isSignedIn: async () => signedIn,
    onLink: (link) => links.push(link),
    random: () => 0.5,
  })
  client.start(['agent:me'])
})

afterEach(() => {
  client.stop()
  vi.useRealTimers()
})

describe('the CTI client', () => {
  it('says hello, subscribes, and is live when the snapshot has come', () => {
    socket().open()
    expect(socket().last('hello').resume).toBeNull()
    welcome()
    expect(socket().last('sub').topics).toEqual(['agent:me'])
    expect(client.link).toBe('connecting')
    snap(10)
    expect(client.link).toBe('live')
    expect(store.tables.agent.get('li')?.state).toBe('ready')
  })

  it('is live without a topic that is refused', () => {
    socket().open()
    welcome()
    socket().say({ t: 'err', id: socket().last('sub').id, code: 'role.forbidden', msg: '' })
    expect(client.link).toBe('live')
    expect([...client.refused]).toEqual(['agent:me'])
  })

  it('follows more topics without losing the link', () => {
    goLive()
    client.follow(['queue:support', 'agent:me'])
    expect(socket().last('sub').topics).toEqual(['queue:support'])
    expect(socket().count('sub')).toBe(2)
    expect(client.link).toBe('live')
  })

  it('follows more topics before it is live, and again on a new session', async () => {
    socket().open()
    client.follow(['queue:sales'])
    expect(socket().count('sub')).toBe(0)
    welcome()
    client.follow(['queue:vip'])
    expect(socket().sent.flatMap((frame) => (frame.t === 'sub' ? frame.topics : []))).toEqual(['agent:me', 'queue:sales', 'queue:vip'])
    socket().lose()
    await vi.advanceTimersByTimeAsync(300)
    socket().open()
    welcome({ session: 's2' })
    expect(socket().count('sub')).toBe(3)
  })

  it('asks to resync once when an event is missing, and takes the snapshot', () => {
    goLive()
    event(10, 12)
    expect(socket().count('resync')).toBe(0)
    event(15, 17)
    event(18, 19)
    expect(socket().count('resync')).toBe(1)
    socket().say({ t: 'resync', seq: 19 })
    snap(19)
    event(19, 20)
    expect(socket().count('resync')).toBe(1)
    event(25, 26)
    expect(socket().count('resync')).toBe(2)
  })

  it('takes snapshots the switch sends of itself to a client that fell behind', () => {
    goLive()
    socket().say({ t: 'resync', seq: 40 })
    snap(40, 'talking')
    event(40, 41)
    expect(socket().count('resync')).toBe(0)
    expect(client.link).toBe('live')
  })

  it('does not take an event doubled, or a snapshot between two, for a gap', () => {
    goLive()
    event(10, 12)
    event(10, 12)
    snap(20)
    event(12, 21)
    expect(socket().count('resync')).toBe(0)
  })

  it('resumes where it stopped, and keeps what it shows', async () => {
    goLive()
    event(10, 12)
    socket().lose()
    expect(client.link).toBe('stale')
    expect(store.tables.agent.size).toBe(1)
    await vi.advanceTimersByTimeAsync(300)
    expect(sockets.length).toBe(2)
    socket().open()
    expect(socket().last('hello').resume).toEqual({ session: 's1', epoch: 'e1', seq: 12 })
    welcome({ resumed: true, seq: 30 })
    expect(client.link).toBe('live')
    expect(socket().count('sub')).toBe(0)
    // What was missed is replayed after the welcome; its first event follows on the last one seen.
    event(12, 14)
    expect(socket().count('resync')).toBe(0)
  })

  it('starts anew when the switch was restarted', async () => {
    goLive()
    socket().lose()
    await vi.advanceTimersByTimeAsync(300)
    socket().open()
    welcome({ epoch: 'e2', seq: 1 })
    expect(store.tables.agent.size).toBe(0)
    // A lower revision than before the restart counts.
    snap(1, 'talking')
    expect(store.tables.agent.get('li')?.state).toBe('talking')
  })

  it('answers an order when the switch does, and passes a refusal on', async () => {
    goLive()
    const held = client.order('call.hold', { call: 'c' })
    const { id, name, args } = socket().last('cmd')
    expect({ name, args }).toEqual({ name: 'call.hold', args: { call: 'c' } })
    socket().say({ t: 'ok', id, seq: 11 })
    await expect(held).resolves.toMatchObject({ seq: 11 })
    const refused = client.order('agent.ready', {})
    socket().say({ t: 'err', id: socket().last('cmd').id, code: 'agent.not_registered', msg: 'no phone', retry: true })
    await expect(refused).rejects.toMatchObject({ code: 'agent.not_registered', retry: true })
  })

  it('sends an order again under its old id after a reconnection', async () => {
    goLive()
    const held = client.order('call.hold', { call: 'c' })
    const { id } = socket().last('cmd')
    socket().lose()
    await vi.advanceTimersByTimeAsync(300)
    socket().open()
    welcome({ resumed: true })
    expect(socket().last('cmd').id).toBe(id)
    socket().say({ t: 'ok', id, seq: 11 })
    await expect(held).resolves.toMatchObject({ seq: 11 })
  })

  it('does not give an order twice when its session is gone', async () => {
    goLive()
    const dialled = client.order('call.dial', { to: '1002' }).catch((refusal: Refusal) => refusal.code)
    socket().lose()
    await vi.advanceTimersByTimeAsync(300)
    socket().open()
    welcome({ session: 's2' })
    expect(socket().count('cmd')).toBe(0)
    expect(await dialled).toBe('link.timeout')
  })

  it('gives an order up after eight seconds, and refuses one without a link', async () => {
    goLive()
    const late = client.order('agent.ready', {}).catch((refusal: Refusal) => refusal.code)
    await vi.advanceTimersByTimeAsync(8_000)
    expect(await late).toBe('link.timeout')
    socket().lose()
    await expect(client.order('agent.ready', {})).rejects.toMatchObject({ code: 'link.down' })
  })

  it('bounds the orders under way', async () => {
    goLive()
    const orders = Array.from({ length: 65 }, () => client.order('agent.ready', {}).catch((refusal: Refusal) => refusal.code))
    expect(await orders[64]).toBe('link.busy')
  })

  it('waits longer after each failure, and tries at once when the network is back', async () => {
    for (const wait of [250, 500, 1_000, 2_000]) {
      const before = sockets.length
      socket().lose()
      await vi.advanceTimersByTimeAsync(wait - 10)
      expect(sockets.length).toBe(before)
      await vi.advanceTimersByTimeAsync(20)
      expect(sockets.length).toBe(before + 1)
    }
    socket().lose()
    await vi.advanceTimersByTimeAsync(0)
    const before = sockets.length
    client.hurry()
    expect(sockets.length).toBe(before + 1)
  })

  it('asks for a new sign-in when the session has ended', async () => {
    signedIn = false
    socket().lose()
    await vi.advanceTimersByTimeAsync(0)
    expect(links).toEqual(['signed_out'])
    await vi.advanceTimersByTimeAsync(60_000)
    expect(sockets.length).toBe(1)
  })

  it('drops a socket that has gone silent', async () => {
    goLive()
    await vi.advanceTimersByTimeAsync(61_000)
    expect(sockets[0]?.closed).toBe(true)
    expect(sockets.length).toBeGreaterThan(1)
  })

  it('reckons the switch’s clock from the quickest pong', async () => {
    goLive()
    const { c } = socket().last('ping')
    await vi.advanceTimersByTimeAsync(100)
    socket().say({ t: 'pong', c, s: Date.now() + 5_000 })
    expect(client.offsetMs).toBe(5_050)
    await vi.advanceTimersByTimeAsync(21_000)
    const slow = socket().last('ping').c - 1_900
    socket().say({ t: 'pong', c: slow, s: Date.now() + 9_000 })
    expect(client.offsetMs).toBe(5_050)
  })

  it('ignores what is no frame and frames it does not know', () => {
    goLive()
    socket().onmessage?.({ data: 'no json' })
    socket().onmessage?.({ data: 'null' })
    socket().onmessage?.({ data: '{"t":"novelty"}' })
    expect(client.link).toBe('live')
  })
})
