// The figures of the live view, from the entities.

import { stampMs, type Agent, type Call, type Queue, type Stamp } from '../cti/types'

/** How a figure stands against its limits. */
export type Verdict = 'ok' | 'watch' | 'act'

/** A wait worth a look, and one worth an act, milliseconds. */
const WAIT_WATCH_MS = 20_000
const WAIT_ACT_MS = 60_000
const ABANDONED_WATCH = 0.05
const ABANDONED_ACT = 0.1

export interface Figures {
  waiting: number
  longestSince: Stamp | null
  ready: number
  /** Talking, ringing or wrapping up. */
  busy: number
  calls: number
  entered: number
  /** Mean wait of the calls that were answered, milliseconds; `null` before the first. */
  asaMs: number | null
  /** Share of the calls answered within their queue's target; `null` before the first. */
  level: number | null
  /** Share of the calls that left the queues by giving up; `null` before the first. */
  abandoned: number | null
}

export function figures(queues: Queue[], agents: Agent[], calls: Iterable<Call>): Figures {
  const sum = (of: (queue: Queue) => number) => queues.reduce((total, queue) => total + of(queue), 0)
  const count = (...states: Agent['state'][]) => agents.filter((agent) => states.includes(agent.state)).length
  const [entered, answered, abandoned] = [sum((q) => q.entered), sum((q) => q.answered), sum((q) => q.abandoned)]
  const waits = queues.map((queue) => queue.longest_since).filter((since) => since !== null)
  return {
    waiting: sum((queue) => queue.waiting),
    longestSince: waits.sort((a, b) => stampMs(a) - stampMs(b))[0] ?? null,
    ready: count('ready'),
    busy: count('talking', 'offered', 'wrap_up'),
    calls: [...calls].filter((call) => call.state !== 'ended').length,
    entered,
    asaMs: answered > 0 ? sum((queue) => queue.answered_wait_ms) / answered : null,
    level: serviceLevel(queues),
    abandoned: abandonedShare({ answered, abandoned, abandoned_short: sum((q) => q.abandoned_short) }),
  }
}

type Left = Pick<Queue, 'answered' | 'abandoned' | 'abandoned_short'>

/** Those who gave up at once count for nothing. */
export function abandonedShare({ answered, abandoned, abandoned_short }: Left): number | null {
  const counted = answered + abandoned - abandoned_short
  return counted > 0 ? (abandoned - abandoned_short) / counted : null
}

/** Answered in time, of all who were answered or gave up. */
export function serviceLevel(queues: (Left & Pick<Queue, 'answered_in_time'>)[]): number | null {
  const sum = (of: (queue: Left & Pick<Queue, 'answered_in_time'>) => number) => queues.reduce((total, queue) => total + of(queue), 0)
  const counted = sum((queue) => queue.answered + queue.abandoned - queue.abandoned_short)
  return counted > 0 ? sum((queue) => queue.answered_in_time) / counted : null
}

/** Within its target it is OK; up to twenty points below, worth a look. */
export function levelVerdict(level: number, target: number): Verdict {
  return level >= target ? 'ok' : level >= target - 0.2 ? 'watch' : 'act'
}

export function waitVerdict(ms: number): Verdict {
  return ms >= WAIT_ACT_MS ? 'act' : ms >= WAIT_WATCH_MS ? 'watch' : 'ok'
}

export function abandonedVerdict(share: number): Verdict {
  return share >= ABANDONED_ACT ? 'act' : share >= ABANDONED_WATCH ? 'watch' : 'ok'
}
