import { describe, expect, it } from 'vitest'
import { abandonedVerdict, figures, levelVerdict, waitVerdict } from '../src/live/figures'
import type { Agent, Call, Queue } from '../src/cti/types'

function queue(change: Partial<Queue>): Queue {
  const counts = { waiting: 0, entered: 0, answered: 0, abandoned: 0, moved: 0, failed: 0, answered_wait_ms: 0, longest_wait_ms: 0 }
  const level = { target_percent: 80, target_s: 20, answered_in_time: 0, abandoned_short: 0 }
  const plan = { label: { en: 'Q', zh: '队列' }, codes: [], code_required: false }
  return { kind: 'queue', id: 'q', rev: 1, longest_since: null, since: '', ...counts, ...level, ...plan, ...change }
}

const agent = (state: Agent['state']) => ({ state }) as Agent
const call = (state: Call['state']) => ({ state }) as Call

describe('the live figures', () => {
  it('add the queues up: the longest wait is the oldest, the mean wait is of answered calls', () => {
    const queues = [
      queue({ waiting: 2, entered: 9, answered: 4, answered_in_time: 3, abandoned: 2, abandoned_short: 1, answered_wait_ms: 40_000, longest_since: '2026-11-21T10:00:05.000Z' }),
      queue({ waiting: 1, entered: 3, answered: 1, abandoned: 0, answered_wait_ms: 5_000, longest_since: '2026-11-21T10:00:01.000Z' }),
    ]
    const agents = ['ready', 'ready', 'talking', 'offered', 'wrap_up', 'not_ready', 'signed_out'].map((state) => agent(state as Agent['state']))
    expect(figures(queues, agents, [call('talking'), call('ivr'), call('ended')])).toEqual({
      waiting: 3,
      longestSince: '2026-11-21T10:00:01.000Z',
      ready: 2,
      busy: 3,
      calls: 2,
      entered: 12,
      asaMs: 9_000,
      level: 0.5,
      abandoned: 1 / 6,
    })
  })

  it('know no mean before the first call', () => {
    expect(figures([queue({})], [], [])).toMatchObject({ asaMs: null, level: null, abandoned: null, longestSince: null })
  })

  it('turn from OK to watch to act at their limits', () => {
    expect([0, 19_999, 20_000, 59_999, 60_000].map(waitVerdict)).toEqual(['ok', 'ok', 'watch', 'watch', 'act'])
    expect([0.04, 0.05, 0.1].map(abandonedVerdict)).toEqual(['ok', 'watch', 'act'])
    expect([0.8, 0.79, 0.59].map((level) => levelVerdict(level, 0.8))).toEqual(['ok', 'watch', 'act'])
  })
})
