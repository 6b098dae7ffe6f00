// Words, numbers and times in the language chosen. `i18n.t` is a whole dictionary, so a missing word does not compile.

import type { Stamp, Words } from '../cti/types'
import { stampMs } from '../cti/types'
import { type Language, prefs } from '../prefs.svelte'
import { en, type Messages } from './en'
import { zhCN } from './zh-CN'

const dictionaries: Record<string, Messages> = { en, 'zh-CN': zhCN }

class I18n {
  readonly t = $derived(dictionaries[prefs.language] ?? en)
  readonly #clock = $derived(new Intl.DateTimeFormat(prefs.language, { hour: '2-digit', minute: '2-digit', hour12: false }))
  readonly #day = $derived(new Intl.DateTimeFormat(prefs.language, { month: 'short', day: 'numeric' }))
  readonly #percent = $derived(new Intl.NumberFormat(prefs.language, { style: 'percent', maximumFractionDigits: 0 }))

  get language(): Language {
    return prefs.language
  }

  /** `m:ss`, or `h:mm:ss` from an hour on. */
  duration(ms: number): string {
    const seconds = Math.max(0, Math.floor(ms / 1000))
    const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
    const two = (part: number) => String(part).padStart(2, '0')
    return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
  }

  percent(share: number): string {
    return this.#percent.format(share)
  }

  /** `Today 14:31`, `Nov 20 09:12`. */
  when(stamp: Stamp, nowMs: number): string {
    const ms = stampMs(stamp)
    if (Number.isNaN(ms)) return ''
    const midnight = new Date(nowMs)
    midnight.setHours(0, 0, 0, 0)
    const day =
      ms >= midnight.getTime()
        ? this.t.time.today
        : ms >= midnight.getTime() - 86_400_000
          ? this.t.time.yesterday
          : this.#day.format(ms)
    return `${day} ${this.#clock.format(ms)}`
  }

  /** A name of the plan in the reader's language. */
  words(words: Words): string {
    return prefs.language.startsWith('zh') ? words.zh : words.en
  }

  /** A code of the plan in the reader's words, where it is a usual one; else as the plan spells it. */
  word(words: Record<string, string>, code: string): string {
    return words[code] ?? words[code.replaceAll('_', ' ')] ?? code.replaceAll('_', ' ')
  }
}

export const i18n = new I18n()
