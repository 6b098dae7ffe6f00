// What a person chose on this machine: language and theme. Kept in the browser, read before anything is drawn.

export type Language = 'en' | 'zh-CN'
export type Theme = 'system' | 'light' | 'dark'

const LANGUAGES: Language[] = ['en', 'zh-CN']
const THEMES: Theme[] = ['system', 'light', 'dark']

/** The browser may refuse storage (private windows): then choices last as long as the page. */
function read(key: string): string | null {
  try {
    return localStorage.getItem(`strowger.${key}`)
  } catch {
    return null
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(`strowger.${key}`, value)
  } catch {
    // Refused: the choice lasts as long as the page.
  }
}

function firstLanguage(): Language {
  const kept = LANGUAGES.find((language) => language === read('language'))
  return kept ?? (navigator.language.toLowerCase().startsWith('zh') ? 'zh-CN' : 'en')
}

class Prefs {
  #language = $state<Language>(firstLanguage())
  #theme = $state<Theme>(THEMES.find((theme) => theme === read('theme')) ?? 'system')

  get language(): Language {
    return this.#language
  }
  set language(language: Language) {
    this.#language = language
    write('language', language)
    this.apply()
  }

  get theme(): Theme {
    return this.#theme
  }
  set theme(theme: Theme) {
    this.#theme = theme
    write('theme', theme)
    this.apply()
  }

  apply(): void {
    document.documentElement.lang = this.#language
    document.documentElement.dataset.theme = this.#theme
  }
}

export const prefs = new Prefs()
