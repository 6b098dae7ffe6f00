// The line to greet by, in the agent's language where the card has it.

import type { Card } from '../cti/types'

export function greetingOf(card: Card | null, language: string): string {
  if (!card) return ''
  const short = language.slice(0, 2)
  return card.greeting[short] ?? card.greeting.en ?? Object.values(card.greeting)[0] ?? ''
}
