// Every screen and state in both languages and both themes: no fault that axe finds, nothing cut off, a picture of each
// in `e2e/shots/` to be looked at.

import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { furnish } from '../dev/fake.mjs'
import { axe, launch, signIn, visit } from './browser.mjs'

const SHOTS = new URL('shots/', import.meta.url).pathname
mkdirSync(SHOTS, { recursive: true })

let browser
before(async () => {
  browser = await launch()
})
after(() => browser.close())

const zhang = ({ centre }) => [...centre.waiting.values()].find((row) => row.name === '张三').call

/** What leads to each screen, from the door on, and what shows that it is there. */
const AGENT_SCREENS = [
  ['sign-in', 'form.panel', async () => {}],
  ['not-ready', '.idle', ({ page }) => signIn(page, 'li')],
  ['state-menu', '[role=menu]', ({ page }) => page.keyboard.press('Control+.')],
  ['ready', '.mark.ready', async ({ page, centre }) => {
    await page.keyboard.press('Escape')
    centre.order('li', 'agent.ready', {})
  }],
  ['offer', '.offer', (visitor) => visitor.centre.offer(zhang(visitor), 'li')],
  ['call', '.controls', (visitor) => visitor.centre.answer(zhang(visitor))],
  ['keypad', '.pad', ({ page }) => page.locator('.controls button').nth(2).click()],
  ['transfer', 'dialog', ({ page }) => page.keyboard.press('F9')],
  ['held', '.call.held', async ({ page }) => {
    await page.keyboard.press('Escape')
    await page.keyboard.press('F4')
  }],
  ['wrap-up', '.wrap', ({ page }) => page.keyboard.press('Shift+F2')],
  ['shortcuts', 'dialog', ({ page }) => page.keyboard.press('F1')],
  ['lost-link', '.stale', async ({ page, fake }) => {
    await page.keyboard.press('Escape')
    await page.context().setOffline(true)
    fake.breakLinks()
  }],
]

const SUPERVISOR_SCREENS = [
  ['live', '.tiles', ({ page }) => signIn(page, 'zhao')],
  ['live-force', 'dialog', ({ page }) => page.locator('li button:not(:disabled)').first().click()],
]

/** Words that are wider than their place. Ellipses are meant to be. */
function overflowing(page) {
  return page.evaluate(() =>
    [...document.querySelectorAll('body *')]
      .filter((element) => element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0)
      .filter((element) => getComputedStyle(element).overflowX === 'visible' && getComputedStyle(element).display !== 'inline')
      .map((element) => `${element.tagName}.${element.className}: ${element.textContent.trim().slice(0, 40)}`),
  )
}

async function walk(screens, options, name) {
  const visitor = await visit(browser, { furnish, ...options })
  const faults = []
  for (const [screen, sign, lead] of screens) {
    await lead(visitor)
    await visitor.page.locator(sign).first().waitFor()
    await visitor.page.waitForTimeout(250)
    await visitor.page.screenshot({ path: `${SHOTS}${screen}-${name}.png` })
    faults.push(...(await axe(visitor.page)).map((fault) => `${screen}: ${fault}`))
    faults.push(...(await overflowing(visitor.page)).map((fault) => `${screen} overflows: ${fault}`))
  }
  await visitor.finish()
  assert.deepEqual(faults, [])
}

for (const [language, theme] of [['en', 'light'], ['en', 'dark'], ['zh-CN', 'light'], ['zh-CN', 'dark']]) {
  describe(`in ${language}, ${theme}`, () => {
    it('the agent’s screens are sound', () => walk(AGENT_SCREENS, { language, theme }, `${language}-${theme}`))
    it('the supervisor’s screens are sound', () => walk(SUPERVISOR_SCREENS, { language, theme }, `${language}-${theme}`))
  })
}

describe('on a narrow screen', () => {
  it('everything fits in one column', async () => {
    await walk(AGENT_SCREENS, { width: 480, height: 900 }, 'narrow')
    await walk(SUPERVISOR_SCREENS, { width: 480, height: 900 }, 'narrow')
  })
})
