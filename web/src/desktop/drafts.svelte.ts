// Drafts of wrap-ups, one a call: kept here while typing, and by the switch after each pause.

import { desk } from '../desk.svelte'

export interface Draft {
  notes: string
  code: string
  saving: 'clean' | 'unsaved' | 'saving' | 'saved'
}

const PAUSE_MS = 1_200
/** Calls whose drafts are kept: the one we speak on, the one we wrap up, a few before. */
const DRAFTS_MAX = 8

class Drafts {
  #drafts = $state<Record<string, Draft>>({})
  #timers = new Map<string, ReturnType<typeof setTimeout>>()

  of(call: string): Draft {
    return this.#drafts[call] ?? { notes: '', code: '', saving: 'clean' }
  }

  write(call: string, change: Partial<Pick<Draft, 'notes' | 'code'>>): void {
    this.#drafts[call] = { ...this.of(call), ...change, saving: 'unsaved' }
    const [oldest, ...others] = Object.keys(this.#drafts)
    if (oldest && others.length >= DRAFTS_MAX) this.#forget(oldest)
    clearTimeout(this.#timers.get(call))
    this.#timers.set(call, setTimeout(() => void this.save(call), PAUSE_MS))
  }

  async save(call: string): Promise<void> {
    if (this.of(call).saving !== 'unsaved') return
    if (!desk.isLive) return this.write(call, {})
    await this.#send(call, false)
  }

  /** Saves and ends the wrap-up. */
  async finish(call: string): Promise<void> {
    clearTimeout(this.#timers.get(call))
    if (await this.#send(call, true)) this.#forget(call)
  }

  async #send(call: string, finish: boolean): Promise<boolean> {
    const { notes, code } = this.of(call)
    this.#drafts[call] = { notes, code, saving: 'saving' }
    const done = await desk.order('interaction.wrap', { call, notes, code, finish })
    const now = this.of(call)
    const isSame = now.notes === notes && now.code === code
    this.#drafts[call] = { ...now, saving: done && isSame ? 'saved' : 'unsaved' }
    return done !== null
  }

  #forget(call: string): void {
    clearTimeout(this.#timers.get(call))
    this.#timers.delete(call)
    delete this.#drafts[call]
  }
}

export const drafts = new Drafts()
