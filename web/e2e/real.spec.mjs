// The page against the real centre: SIP and RTP on loopback, a desk phone for the agent, callers from the carrier.

import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { axe, enter, launch, signIn } from './browser.mjs'
import { RealCentre } from './centre.mjs'

const SHOTS = new URL('shots/real/', import.meta.url).pathname
mkdirSync(SHOTS, { recursive: true })

let browser, centre, carrier, phone
/** Pages that are open, for a picture where a step fails. */
const open = []

before(async () => {
  browser = await launch()
  centre = await RealCentre.start()
  carrier = await centre.carrier()
  phone = await centre.phone(2001)
})
after(async () => {
  await browser?.close()
  await centre?.stop()
})

/** Opens a page in a language and gives it with `finish`, which fails where the page did. */
async function page(options) {
  const visitor = await enter(browser, centre.url, options)
  open.push(visitor.page)
  return visitor
}

/** Pictures of every open page where `act` fails. */
async function shown(name, act) {
  try {
    await act()
  } catch (error) {
    for (const [nth, page] of open.entries()) await page.screenshot({ path: `${SHOTS}failed-${name}-${nth}.png` }).catch(() => {})
    throw error
  }
}

/** A caller who chooses English and asks the airline for a person. */
async function caller(from) {
  const call = await carrier.call('95539', { from })
  await call.until('answered')
  await call.press('1')
  return call
}

/** Presses `key` now and again until `done` settles: a menu is open only after its prompts have come to it. */
async function pressUntil(call, key, done) {
  let settled = false
  const finished = done.finally(() => (settled = true))
  while (!settled) {
    await call.press(key).catch(() => {})
    await Promise.race([finished.catch(() => {}), new Promise((again) => setTimeout(again, 1_500))])
  }
  return finished
}

/** Asks again until it is so. */
async function until(asked, withinMs = 20_000) {
  const end = Date.now() + withinMs
  while (!(await asked())) {
    assert.ok(Date.now() < end, `not so within ${withinMs} ms: ${asked}`)
    await new Promise((again) => setTimeout(again, 200))
  }
}

describe('an agent at a desk phone', () => {
  it('sees who is calling while the phone rings, talks, holds, transfers, and wraps up with a code', { timeout: 240_000 }, () =>
    shown('agent', async () => {
      const { page: desk, finish } = await page({ language: 'en' })
      const colleague = await centre.phone(1001)
      await desk.getByRole('button', { name: 'Use you' }).click()
      await desk.getByRole('button', { name: 'Sign in' }).click()
      await desk.getByText('You are not ready').waitFor()
      await desk.getByRole('button', { name: /Not ready.*Just signed in/ }).click()
      await desk.getByRole('menuitemradio', { name: 'Training' }).click()
      await desk.getByRole('button', { name: /Not ready.*Training/ }).waitFor()
      await desk.getByRole('button', { name: 'Go ready' }).click()
      await desk.getByText('Ready for the next call').waitFor()

      // A platinum customer rings; nothing is answered before the card has been read.
      const first = await caller('+8613800138000')
      const ringing = await pressUntil(first, '0', phone.nextCall(90_000))
      const offer = desk.getByRole('region', { name: /Lin Bai/ })
      await offer.getByText('Pick up your phone to answer').waitFor()
      await offer.getByText('Platinum').waitFor()
      assert.equal(ringing.state, 'ringing')
      assert.deepEqual(await axe(desk), [])
      await desk.screenshot({ path: `${SHOTS}offer-en.png` })

      ringing.answer()
      const card = desk.getByRole('region', { name: 'Call', exact: true })
      await card.getByText('Talking').waitFor()
      await card.getByText('Recording', { exact: true }).waitFor()
      await desk.screenshot({ path: `${SHOTS}call-en.png` })
      const before = first.heard
      await desk.getByRole('button', { name: 'Hold' }).click()
      await card.getByText('On hold').waitFor()
      await desk.getByRole('button', { name: 'Retrieve' }).click()
      await card.getByText('Talking').waitFor()
      assert.ok(first.heard > before, 'the caller heard music and the agent')

      await desk.getByLabel('Notes').fill('Wants an aisle seat')
      await desk.getByText('Saved', { exact: true }).waitFor()
      await desk.getByRole('button', { name: 'Transfer' }).click()
      await desk.getByRole('combobox').fill('1001')
      const next = colleague.nextCall()
      await desk.keyboard.press('Enter')
      const transferred = await next
      transferred.answer()
      await ringing.until('ended')
      assert.equal(first.state, 'talking', 'the caller stays')

      const wrap = desk.getByRole('region', { name: 'Wrap-up' })
      await wrap.waitFor()
      assert.ok(await wrap.getByRole('button', { name: 'Finish' }).isDisabled(), 'the airline wants a code')
      await desk.screenshot({ path: `${SHOTS}wrap-up-en.png` })
      await wrap.getByLabel('Changed').check()
      await wrap.getByRole('button', { name: 'Finish' }).click()
      await desk.getByText('Ready for the next call').waitFor()
      await first.hangUp()
      await transferred.until('ended')

      // The same customer again, once the record is closed: what was noted is read before answering.
      await until(async () => {
        const [last] = await desk.evaluate(async () => (await (await fetch('/api/cdr?limit=1')).json()).items)
        return last.ended && last.disposition === 'changed'
      })
      const second = await caller('+8613800138000')
      const again = await pressUntil(second, '0', phone.nextCall(90_000))
      await desk.getByRole('region', { name: /Lin Bai/ }).waitFor()
      await desk.getByText('Wants an aisle seat').waitFor()
      await desk.screenshot({ path: `${SHOTS}history-en.png` })
      again.answer()
      await card.getByText('Talking').waitFor()
      await desk.getByRole('button', { name: 'Hang up' }).click()
      await second.until('ended')
      await wrap.getByLabel('Question answered').check()
      await desk.keyboard.press('Control+Enter')
      await desk.getByText('Ready for the next call').waitFor()
      await desk.getByRole('button', { name: /^Ready/ }).click()
      await desk.getByRole('menuitemradio', { name: 'Break' }).click()
      await desk.getByRole('button', { name: /Not ready.*Break/ }).waitFor()
      await finish()
    }))
})

describe('a supervisor', () => {
  it('sees who waits, moves them up, and hears the message they leave, in Chinese', { timeout: 240_000 }, () =>
    shown('supervisor', async () => {
      const { page: live, finish } = await page({ language: 'zh-CN' })
      await signIn(live, 'boss', { password: 'demo-boss' })
      await live.getByRole('link', { name: '实时' }).or(live.getByRole('button', { name: '实时' })).click()
      const queues = live.getByRole('region', { name: '队列' })
      await queues.getByRole('button', { name: /航空/ }).waitFor()

      const waiting = live.getByRole('region', { name: '排队来电' })
      const call = await caller('+8613900139002')
      await pressUntil(call, '0', waiting.getByText('孙宇').or(waiting.getByText('Yu Sun')).waitFor({ timeout: 90_000 }))
      const row = waiting.locator('.row').first()
      const priority = Number(await row.locator('.priority span').textContent())
      await row.getByRole('button', { name: '提高优先级' }).click()
      await row.locator('.priority span').getByText(String(priority + 10), { exact: true }).waitFor()
      assert.deepEqual(await axe(live), [])
      await live.screenshot({ path: `${SHOTS}live-zh.png`, fullPage: true })

      // The caller gives up waiting, presses 1 and leaves a message.
      const voicemails = live.getByRole('region', { name: '语音留言' })
      await pressUntil(call, '1', waiting.getByText('没有人排队').waitFor({ timeout: 60_000 }))
      await new Promise((spoken) => setTimeout(spoken, 8_000))
      await call.hangUp()
      const play = voicemails.getByRole('button', { name: /播放/ })
      const sound = live.waitForResponse((response) => response.url().includes('/api/voicemails/'))
      await play.click()
      assert.ok([200, 206].includes((await sound).status()))
      await live.screenshot({ path: `${SHOTS}voicemail-zh.png`, fullPage: true })
      await finish()
    }))
})
