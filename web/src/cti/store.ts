// What the switch has told us: entities by kind, folded from snapshots and events.
//
// One rule does it all: an image with a newer `rev` replaces the one we hold. Frames may therefore come twice or out
// of order and the end is the same (test/store.test.ts). A snapshot also says what its topic holds no more.
// A call that leaves one topic may stay in another: at the same `rev`, an image outweighs a tombstone.

import { SvelteMap } from 'svelte/reactivity'
import type { Entity, Item, Kind, Of } from './types'

type Tables = { [K in Kind]: SvelteMap<string, Of<K>> }

/** What we know of an entity beside its image. */
interface Trace {
  /** Rank of the newest item, kept when the entity is gone so that a late image does not bring it back. */
  rank: number
  /** Position of the newest frame that named it. */
  seq: number
  /** The topics that hold it. */
  topics: Set<string>
  gone: boolean
}

/** How many entities that are gone are remembered. */
const TOMBSTONES_MAX = 2000

export class Store {
  readonly tables: Tables = {
    agent: new SvelteMap(),
    call: new SvelteMap(),
    queue: new SvelteMap(),
    waiting: new SvelteMap(),
    voicemail: new SvelteMap(),
    trunk: new SvelteMap(),
  }
  /** By `kind/id`, in the order they came. */
  #traces = new Map<string, Trace>()
  #tombstones = 0

  /** The images an event carries. */
  applyEvent(topic: string, seq: number, items: Item[]): void {
    for (const item of items) this.#apply(topic, seq, item)
  }

  /** All that `topic` holds at `seq`; what it held before and is not named has left it. */
  applySnapshot(topic: string, seq: number, items: Item[]): void {
    const named = new Set<string>()
    for (const item of items) {
      named.add(keyOf(item))
      this.#apply(topic, seq, item)
    }
    for (const [key, trace] of this.#traces) {
      if (trace.gone || !trace.topics.has(topic) || named.has(key) || trace.seq > seq) continue
      trace.topics.delete(topic)
      // No tombstone: leaving a topic is no end, it may come back with the revision it had.
      if (trace.topics.size === 0) this.#forget(key)
    }
  }

  /** Another boot of the switch: revisions start anew. */
  clear(): void {
    for (const table of Object.values(this.tables)) table.clear()
    this.#traces.clear()
    this.#tombstones = 0
  }

  #apply(topic: string, seq: number, item: Item): void {
    const kind = item.kind === 'gone' ? item.of : item.kind
    const table = this.tables[kind] as SvelteMap<string, Entity> | undefined
    if (!table || typeof item.id !== 'string' || typeof item.rev !== 'number') return
    const key = keyOf(item)
    const trace = this.#traces.get(key) ?? { rank: -1, seq, topics: new Set(), gone: false }
    this.#traces.set(key, trace)
    trace.topics.add(topic)
    trace.seq = Math.max(trace.seq, seq)
    if (rankOf(item) <= trace.rank) return
    trace.rank = rankOf(item)
    if (item.kind === 'gone') return this.#bury(key, trace)
    if (trace.gone) this.#tombstones -= 1
    trace.gone = false
    table.set(item.id, item)
  }

  #bury(key: string, trace: Trace): void {
    this.#drop(key)
    if (!trace.gone) this.#tombstones += 1
    trace.gone = true
    if (this.#tombstones <= TOMBSTONES_MAX) return
    for (const [old, { gone }] of this.#traces) {
      if (!gone) continue
      this.#traces.delete(old)
      this.#tombstones -= 1
      break
    }
  }

  #forget(key: string): void {
    this.#traces.delete(key)
    this.#drop(key)
  }

  #drop(key: string): void {
    const cut = key.indexOf('/')
    this.tables[key.slice(0, cut) as Kind].delete(key.slice(cut + 1))
  }
}

function keyOf(item: Item): string {
  return `${item.kind === 'gone' ? item.of : item.kind}/${item.id}`
}

function rankOf(item: Item): number {
  return 2 * item.rev + (item.kind === 'gone' ? 0 : 1)
}
