// Debian's Chromium under playwright-core, and the steps every spec begins with.

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { chromium } from 'playwright-core'
import { startFake } from '../dev/fake.mjs'

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')
export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium'

export function launch() {
  if (!existsSync(CHROMIUM)) throw new Error(`No browser at ${CHROMIUM}: apt-get install chromium fonts-noto-cjk, or set CHROMIUM`)
  return chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--allow-loopback-in-peer-connection'] })
}

/** A fresh page at a centre's door. Faults of the page are collected and fail `finish`. */
export async function enter(browser, url, { language = 'en', theme = 'light', width = 1366, height = 768 } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, locale: language, reducedMotion: 'reduce' })
  await context.addInitScript(
    ([language, theme]) => {
      localStorage.setItem('strowger.language', language)
      localStorage.setItem('strowger.theme', theme)
    },
    [language, theme],
  )
  const page = await context.newPage()
  page.setDefaultTimeout(10_000)
  const faults = []
  page.on('pageerror', (error) => faults.push(error.stack ?? String(error)))
  page.on('console', (message) => {
    const text = message.text()
    // The browser itself reports the refusals that the page expects.
    if (message.type() === 'error' && !/401|WebSocket connection|ERR_CONNECTION|ERR_INTERNET_DISCONNECTED/.test(text)) faults.push(text)
  })
  await page.goto(url)
  const finish = async () => {
    await context.close()
    if (faults.length > 0) throw new Error(`the page failed:\n${faults.join('\n')}`)
  }
  return { page, finish }
}

/** The same at the door of a fresh pretended centre. */
export async function visit(browser, { furnish = () => {}, sessionMs, ...options } = {}) {
  const fake = await startFake({ sessionMs })
  furnish(fake.centre)
  const { page, finish } = await enter(browser, fake.url, options)
  const leave = async () => {
    try {
      await finish()
    } finally {
      await fake.close()
    }
  }
  return { fake, centre: fake.centre, page, finish: leave }
}

export async function signIn(page, user, { password = 'demo', account = '' } = {}) {
  await page.locator('#user').fill(user)
  await page.locator('#password').fill(password)
  await page.locator('#account').fill(account)
  await page.locator('form button').click()
}

/** Serious faults of accessibility, each with where. */
export async function axe(page) {
  await page.evaluate(await readAxe())
  const { violations } = await page.evaluate(() =>
    globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }),
  )
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target.join(' ')} ${node.any[0]?.message ?? ''}`).join('; ')}`)
}

let axeText
async function readAxe() {
  const { readFile } = await import('node:fs/promises')
  axeText ??= await readFile(AXE, 'utf8')
  return axeText
}
