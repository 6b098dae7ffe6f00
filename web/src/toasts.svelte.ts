// Short messages at the edge of the screen, read out politely.

export interface Toast {
  id: number
  text: string
  tone: 'good' | 'bad'
}

const SHOWN_MAX = 4
const SHOWN_MS = 6_000

class Toasts {
  shown = $state<Toast[]>([])
  #nextId = 1

  show(text: string, tone: Toast['tone'] = 'good'): void {
    const id = this.#nextId++
    this.shown = [...this.shown.filter((toast) => toast.text !== text), { id, text, tone }].slice(-SHOWN_MAX)
    setTimeout(() => this.close(id), SHOWN_MS)
  }

  close(id: number): void {
    this.shown = this.shown.filter((toast) => toast.id !== id)
  }
}

export const toasts = new Toasts()
