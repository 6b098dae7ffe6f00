import { describe, expect, it } from 'vitest'
import { dialable, targetsFor } from '../src/desktop/targets'
import type { Agent, Queue } from '../src/cti/types'

const agent = (id: string, state: Agent['state'], display = id, account = '1001') => ({ id, state, display, account }) as Agent
const agents = [agent('li', 'talking', '李晓梅', '1001'), agent('wang', 'ready', 'Wang Tao', '1002'), agent('me', 'ready'), agent('out', 'signed_out')]
const queues = ['support', 'vip'].map((id) => ({ id, label: { en: id, zh: id === 'vip' ? '贵宾' : '支持' } })) as Queue[]
const to = (text: string) => targetsFor(text, agents, queues, 'me', (queue) => queue.label.en).map((target) => target.to)

describe('where a call can go', () => {
  it('colleagues who are ready come first; oneself and the signed-out never', () => {
    expect(to('')).toEqual(['wang', 'li', 'queue:support', 'queue:vip'])
  })

  it('finds by name in any script, by account and by part of a queue’s name', () => {
    expect(to('晓梅')).toEqual(['li'])
    expect(to('SUPP')).toEqual(['queue:support'])
    expect(to('贵宾')).toEqual(['queue:vip'])
    expect(to('1002')).toEqual(['1002', 'wang'])
  })

  it('takes numbers as people write them, and nothing that only looks like one', () => {
    expect(dialable('+86 (138) 0013-8000')).toBe('+8613800138000')
    expect(dialable('95539')).toBe('95539')
    expect(dialable('*72#')).toBe('*72#')
    expect(dialable('138****8000')).toBeNull()
    expect(dialable('wang')).toBeNull()
    expect(dialable('7')).toBeNull()
    expect(dialable('')).toBeNull()
  })
})
