// Where a call can go: colleagues with their state, queues with their load, and any number one can dial.

import type { Agent, Queue } from '../cti/types'

export type Target =
  | { kind: 'agent'; to: string; name: string; agent: Agent }
  | { kind: 'queue'; to: string; name: string; queue: Queue }
  | { kind: 'number'; to: string; name: string }

/** What to dial, without the marks people put between digits; `null` for names and for masked numbers (`138****8000`). */
export function dialable(text: string): string | null {
  const bare = text.replaceAll(/[\s().-]/g, '')
  return /^\+?[0-9*#]{2,}$/.test(bare) && !bare.includes('**') ? bare : null
}

/** The targets that fit `text`, those who can take the call first; `self` is never among them. */
export function targetsFor(
  text: string,
  agents: Agent[],
  queues: Queue[],
  self: string | undefined,
  nameOf: (queue: Queue) => string,
): Target[] {
  const wanted = text.trim().toLowerCase()
  const fits = (...words: (string | null)[]) => words.some((word) => word?.toLowerCase().includes(wanted))
  const colleagues = agents
    .filter((agent) => agent.id !== self && agent.state !== 'signed_out' && fits(agent.id, agent.display, agent.account))
    .sort((a, b) => Number(b.state === 'ready') - Number(a.state === 'ready'))
    .map((agent): Target => ({ kind: 'agent', to: agent.id, name: agent.display || agent.id, agent }))
  const lines = queues
    .filter((queue) => fits(queue.id, queue.label.en, queue.label.zh))
    .map((queue): Target => ({ kind: 'queue', to: `queue:${queue.id}`, name: nameOf(queue), queue }))
  const number = dialable(text)
  return [...(number ? [{ kind: 'number', to: number, name: number } as const] : []), ...colleagues, ...lines]
}
