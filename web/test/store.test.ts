import { describe, expect, it } from 'vitest'
import { Store } from '../src/cti/store'
import type { Agent, Entity, Item } from '../src/cti/types'

/** Small seeded generator (mulberry32): a failing case can be run again. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function agent(id: string, rev: number, state: Agent['state'] = 'ready'): Agent {
  const rest = { reason: '', deadline: null, account: null, registered: true, linked: true, call: null, skills: {}, queues: [] }
  return { kind: 'agent', id, rev, display: id, state, since: '2026-11-21T10:00:00.000Z', ...rest }
}

function waiting(id: string, rev: number): Item {
  const rest = { call: id, name: '', wait_s: null, offered: [], from: { number: '', name: '' } }
  return { kind: 'waiting', id, rev, queue: 'support', position: 1, priority: 0, tier: '', since: '', ...rest }
}

function left(id: string, rev: number): Item {
  return { kind: 'gone', of: 'waiting', id, rev }
}

function contents(store: Store): Entity[] {
  const all = Object.values(store.tables).flatMap((table) => [...table.values()] as Entity[])
  return all.sort((a, b) => `${a.kind}${a.id}`.localeCompare(`${b.kind}${b.id}`))
}

interface Frame {
  seq: number
  items: Item[]
}

/** A day of the switch: agents change, calls wait, leave and come back. Each frame is one event. */
function day(random: () => number): Frame[] {
  const revs = new Map<string, number>()
  const frames: Frame[] = []
  for (let seq = 1; seq <= 120; seq += 1) {
    const id = `${Math.floor(random() * 12)}`
    const key = random() < 0.5 ? `a${id}` : `w${id}`
    const rev = (revs.get(key) ?? 0) + 1
    revs.set(key, rev)
    const leaves = key.startsWith('w') && random() < 0.3
    const person = agent(key, rev, random() < 0.5 ? 'ready' : 'talking')
    frames.push({ seq, items: [key.startsWith('a') ? person : leaves ? left(key, rev) : waiting(key, rev)] })
  }
  return frames
}

describe('the store', () => {
  it('ends the same however events are shuffled and doubled', () => {
    for (let seed = 1; seed <= 50; seed += 1) {
      const random = seeded(seed)
      const frames = day(random)
      const inOrder = new Store()
      for (const { seq, items } of frames) inOrder.applyEvent('all', seq, items)
      const shuffled = new Store()
      const mixed = [...frames, ...frames.filter(() => random() < 0.4)]
        .map((frame) => ({ frame, at: random() }))
        .sort((a, b) => a.at - b.at)
      for (const { frame } of mixed) shuffled.applyEvent('all', frame.seq, frame.items)
      expect(contents(shuffled), `seed ${seed}`).toEqual(contents(inOrder))
      expect(contents(inOrder).length).toBeGreaterThan(0)
    }
  })

  it('ends the same when a snapshot fills a gap of any place and length', () => {
    for (let seed = 1; seed <= 50; seed += 1) {
      const random = seeded(seed)
      const frames = day(random)
      const whole = new Store()
      for (const { seq, items } of frames) whole.applyEvent('all', seq, items)
      const from = Math.floor(random() * frames.length)
      const to = from + Math.floor(random() * (frames.length - from))
      const server = new Store()
      for (const { seq, items } of frames.slice(0, to + 1)) server.applyEvent('all', seq, items)
      const holed = new Store()
      for (const { seq, items } of frames.slice(0, from)) holed.applyEvent('all', seq, items)
      holed.applySnapshot('all', frames[to]?.seq ?? 0, contents(server))
      for (const { seq, items } of frames.slice(to + 1)) holed.applyEvent('all', seq, items)
      expect(contents(holed), `seed ${seed}`).toEqual(contents(whole))
    }
  })

  it('does not bring back a call that has left when its old image comes late', () => {
    const store = new Store()
    store.applyEvent('queues', 5, [left('c', 3)])
    store.applyEvent('queues', 4, [waiting('c', 2)])
    expect(store.tables.waiting.size).toBe(0)
  })

  it('takes a call back that returns to the queue it left', () => {
    const store = new Store()
    store.applyEvent('queues', 5, [left('c', 3)])
    store.applyEvent('queues', 6, [waiting('c', 6)])
    expect(store.tables.waiting.has('c')).toBe(true)
  })

  it('keeps a call that left our own topic and stays in the supervisors’, whichever is heard first', () => {
    for (const order of [0, 1]) {
      const store = new Store()
      const frames = [() => store.applyEvent('agent:me', 7, [left('c', 7)]), () => store.applyEvent('calls', 7, [waiting('c', 7)])]
      frames[order]?.()
      frames[1 - order]?.()
      expect(store.tables.waiting.has('c')).toBe(true)
    }
  })

  it('drops what a snapshot no longer names, but not what came after it', () => {
    const store = new Store()
    store.applyEvent('agents', 1, [agent('li', 1)])
    store.applyEvent('agents', 9, [agent('wang', 1)])
    store.applySnapshot('agents', 5, [])
    expect([...store.tables.agent.keys()]).toEqual(['wang'])
  })

  it('keeps what another topic still holds', () => {
    const store = new Store()
    store.applySnapshot('agents', 1, [agent('li', 1)])
    store.applySnapshot('agent:me', 1, [agent('li', 1)])
    store.applySnapshot('agents', 2, [])
    expect(store.tables.agent.has('li')).toBe(true)
    store.applySnapshot('agent:me', 3, [])
    expect(store.tables.agent.has('li')).toBe(false)
  })

  it('ignores kinds and shapes it does not know', () => {
    const store = new Store()
    store.applyEvent('x', 1, [{ kind: 'hologram', id: 'h', rev: 1 } as unknown as Entity, {} as Item])
    expect(contents(store)).toEqual([])
  })

  it('remembers a bounded number of calls that are gone', () => {
    const store = new Store()
    for (let n = 0; n < 2500; n += 1) store.applyEvent('queues', n, [left(`c${n}`, 2)])
    // The newest is still remembered, the oldest is not.
    store.applyEvent('queues', 9999, [waiting('c2499', 1), waiting('c0', 1)])
    expect([...store.tables.waiting.keys()]).toEqual(['c0'])
  })
})
