// An agent's day at a desk phone, in a real browser against a pretended centre.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { furnish } from '../dev/fake.mjs'
import { launch, signIn, visit } from './browser.mjs'

let browser
before(async () => {
  browser = await launch()
})
after(() => browser.close())

/** Runs `act` on a fresh page and always cleans up. */
async function with_(options, act) {
  const visitor = await visit(browser, options)
  try {
    await act(visitor)
  } catch (error) {
    await visitor.page.screenshot({ path: new URL('shots/failed.png', import.meta.url).pathname }).catch(() => {})
    await visitor.finish().catch(() => {})
    throw error
  }
  await visitor.finish()
}

/** Signs li in and makes them ready. */
async function ready({ page }) {
  await signIn(page, 'li')
  await page.getByRole('button', { name: 'Go ready' }).click()
  await page.getByRole('button', { name: /^Ready/ }).waitFor()
}

/** A platinum customer waits in support, and is offered to li. */
function offerZhang({ centre }) {
  const call = centre.enqueue('support', { customer: 'zhang', number: '+86138****8000', waitedMs: 12_000, answers: [['topic', 'refund']] })
  centre.offer(call, 'li')
  return call
}

describe('signing in', () => {
  it('says that the password is wrong, and lets one try again', () =>
    with_({}, async ({ page }) => {
      await signIn(page, 'li', { password: 'nope' })
      await page.getByRole('alert').getByText('User or password is wrong.').waitFor()
      assert.equal(await page.locator('#password').inputValue(), '')
      await signIn(page, 'li')
      await page.getByText('You are not ready').waitFor()
    }))

  it('lands in Not ready at the own desk phone, or at the one that was asked for', () =>
    with_({}, async ({ page, centre }) => {
      await signIn(page, 'li', { account: '1077' })
      await page.getByRole('button', { name: /Not ready.*Just signed in/ }).waitFor()
      assert.equal(centre.agents.get('li').account, '1077')
    }))

  it('fills in a demo user at a click', () =>
    with_({}, async ({ page }) => {
      await page.getByRole('button', { name: 'Use wang' }).click()
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByText('Phone 1002').waitFor()
    }))

  it('survives a reload, and ends where the session ends', () =>
    with_({}, async ({ page, fake }) => {
      await signIn(page, 'li')
      await page.getByText('You are not ready').waitFor()
      await page.reload()
      await page.getByText('You are not ready').waitFor()
      fake.endSessions()
      await page.getByText('Your session has ended. Sign in again.').waitFor()
    }))

  it('renews a session that is about to end', () =>
    with_({ sessionMs: 600_000 }, async ({ page, fake }) => {
      const renewed = page.waitForResponse((response) => response.request().method() === 'PUT')
      await signIn(page, 'li')
      assert.equal((await renewed).status(), 200)
      await page.waitForTimeout(1_200)
      assert.equal(fake.renewals(), 1)
    }))

  it('refuses Ready while the phone is not registered, and says why', () =>
    with_({}, async ({ page }) => {
      await signIn(page, 'li', { account: '1999' })
      await page.getByText('Phone 1999 is not registered.').waitFor()
      assert.ok(await page.getByRole('button', { name: 'Go ready' }).isDisabled())
      await page.keyboard.press('Control+.')
      await page.getByRole('menuitemradio', { name: 'Ready', exact: true }).click()
      await page.getByText(/Your phone is not registered, so it cannot ring/).waitFor()
    }))

  it('signs out only from Not ready', () =>
    with_({}, async (visitor) => {
      const { page, centre } = visitor
      await ready(visitor)
      const menu = page.locator('.top button', { hasText: '李晓梅' })
      await menu.click()
      await page.getByRole('menuitemradio', { name: 'Sign out' }).click()
      await page.getByText('Go to Not ready first, then sign out.').waitFor()
      centre.order('li', 'agent.not_ready', { reason: 'break' })
      await page.getByRole('button', { name: /Not ready.*Break/ }).waitFor()
      await menu.click()
      await page.getByRole('menuitemradio', { name: 'Sign out' }).click()
      await page.locator('#user').waitFor()
      assert.equal(centre.agents.get('li').state, 'signed_out')
    }))
})

describe('a call', () => {
  it('is offered with the customer, taken at the phone, held, retrieved, and wrapped up, from the keyboard alone', () =>
    with_({}, async (visitor) => {
      const { page, centre } = visitor
      await ready(visitor)
      const call = offerZhang(visitor)
      const offer = page.getByRole('region', { name: /张三/ })
      await offer.getByText('Mr Zhang, Platinum. Third call this month').waitFor()
      await offer.getByText('Pick up your phone to answer').waitFor()
      await offer.getByText('topic refund').waitFor()
      assert.match(await page.title(), /张三/)
      await page.getByText('Upgraded PEK–SHA to business.').waitFor()

      centre.answer(call)
      const card = page.getByRole('region', { name: 'Call', exact: true })
      await card.getByText('Talking').waitFor()
      await page.keyboard.press('F4')
      await card.getByText('On hold').waitFor()
      assert.equal(centre.calls.get(call).state, 'held')
      await page.keyboard.press('F4')
      await card.getByText('Talking').waitFor()

      await page.getByLabel('Notes').focus()
      await page.keyboard.type('Refund is on its way')
      await page.getByText('Saved', { exact: true }).waitFor()
      assert.equal(centre.wrapped.notes, 'Refund is on its way')
      assert.equal(centre.wrapped.finish, false)

      await page.keyboard.press('Shift+F2')
      const wrap = page.getByRole('region', { name: 'Wrap-up' })
      await wrap.waitFor()
      assert.equal(await wrap.getByLabel('Notes').inputValue(), 'Refund is on its way')
      assert.ok(await wrap.getByRole('button', { name: 'Finish' }).isDisabled())
      await wrap.getByLabel('Solved').focus()
      await page.keyboard.press('Space')
      await page.keyboard.press('Control+Enter')
      await page.getByText('Ready for the next call').waitFor()
      assert.deepEqual(centre.wrapped, { code: 'solved', notes: 'Refund is on its way', finish: true })
    }))

  it('goes back to the queue when it is declined', () =>
    with_({}, async (visitor) => {
      const { page, centre } = visitor
      await ready(visitor)
      const call = offerZhang(visitor)
      await page.getByRole('button', { name: 'Decline' }).click()
      await page.getByText('Ready for the next call').waitFor()
      assert.equal(centre.calls.get(call).state, 'waiting')
    }))

  it('is transferred to a queue found by typing, and to a number; a refusal is said', () =>
    with_({ furnish }, async (visitor) => {
      const { page, centre } = visitor
      await ready(visitor)
      const call = offerZhang(visitor)
      centre.answer(call)
      await page.getByRole('button', { name: 'Transfer' }).click()
      await page.getByRole('combobox').fill('0000')
      await page.keyboard.press('Enter')
      await page.getByText('Not done: Nobody is reached under this number or name.').waitFor()

      await page.keyboard.press('F9')
      const box = page.getByRole('combobox')
      await box.fill('a')
      assert.ok((await page.getByRole('option').count()) > 1)
      assert.ok(!(await page.getByRole('option').allTextContents()).some((text) => text.includes('李晓梅')), 'never to oneself')
      await box.fill('vip')
      await page.keyboard.press('Enter')
      await page.getByText('Transferred to vip').waitFor()
      assert.equal(centre.transferred, 'queue:vip')
    }))

  it('takes digits from the keypad and from keys while the keypad has the focus', () =>
    with_({}, async (visitor) => {
      const { page, centre } = visitor
      await ready(visitor)
      const call = offerZhang(visitor)
      centre.answer(call)
      await page.getByRole('button', { name: 'Keypad' }).click()
      await page.getByRole('button', { name: 'Send 5' }).click()
      await page.keyboard.press('#')
      await page.getByLabel('Digits sent').getByText('5#').waitFor()
      assert.equal(centre.digits, '5#')
    }))

  it('is dialled from the desk: our phone rings first', () =>
    with_({}, async ({ page, centre }) => {
      await signIn(page, 'li')
      await page.getByText('You are not ready').waitFor()
      await page.keyboard.press('Control+k')
      await page.keyboard.type('138 0013 8000')
      await page.keyboard.press('Enter')
      await page.getByText('Your phone rings first; pick it up to dial.').waitFor()
      await page.getByRole('region', { name: 'Call', exact: true }).getByRole('heading', { name: '13800138000' }).waitFor()
      assert.equal([...centre.calls.values()].at(-1).to.number, '13800138000')
    }))
})

describe('the link', () => {
  it('says that it is lost, keeps what it showed, and catches up with what it missed', () =>
    with_({}, async (visitor) => {
      const { page, fake, centre } = visitor
      await ready(visitor)
      await page.context().setOffline(true)
      fake.breakLinks()
      await page.getByText('Connection lost. Trying again…').waitFor()
      await page.getByText('Ready for the next call').waitFor()
      const call = offerZhang(visitor)
      centre.answer(call)
      await page.context().setOffline(false)
      await page.getByRole('region', { name: 'Call', exact: true }).getByText('Talking').waitFor()
      await page.getByText('Connection lost').waitFor({ state: 'detached' })
    }))

  it('fills a gap with snapshots', () =>
    with_({}, async (visitor) => {
      const { page, fake, centre } = visitor
      await ready(visitor)
      fake.loseEvents(2)
      const call = offerZhang(visitor)
      centre.answer(call)
      await page.getByRole('region', { name: 'Call', exact: true }).getByText('Talking').waitFor()
      await page.getByText('0 waiting').first().waitFor()
    }))
})

describe('a supervisor', () => {
  it('sees queues, waiting calls, agents and voicemails, and moves a call, raises one, and sets an agent’s state', () =>
    with_({ furnish }, async ({ page, centre }) => {
      await signIn(page, 'zhao')
      const waiting = page.getByRole('region', { name: 'Waiting calls' })
      await waiting.getByText('张三').waitFor()
      assert.match(await waiting.innerText(), /^Waiting calls\s+3/)
      const row = waiting.locator('.row', { hasText: '张三' })
      await row.getByRole('button', { name: 'Raise priority' }).click()
      await row.getByText('30', { exact: true }).waitFor()
      await row.getByRole('button', { name: 'Move' }).click()
      await page.getByRole('menuitemradio', { name: 'vip' }).click()
      await page.getByText('Moved to vip').waitFor()
      await waiting.locator('.row', { hasText: '张三' }).getByText('vip ·').waitFor()
      assert.equal(centre.queues.get('vip').waiting, 2)

      await page.getByRole('button', { name: 'Show waiting calls of support' }).click()
      await waiting.getByText('Liu Yang').waitFor()
      assert.equal(await waiting.locator('.row').count(), 1)

      await page.getByRole('button', { name: 'Change the state of Wang Tao' }).click()
      await page.getByLabel('Reason, kept in the log').fill('asked to')
      await page.getByRole('button', { name: 'Change state' }).last().click()
      await page.getByText('Wang Tao: Not ready').waitFor()
      assert.equal(centre.agents.get('wang').state, 'not_ready')
      assert.equal(centre.agents.get('wang').reason, 'asked to')

      await page.getByLabel('Find an agent').fill('mary')
      assert.equal(await page.getByRole('region', { name: 'Agents' }).getByRole('listitem').count(), 1)
    }))

  it('hears a voicemail, and deletes it after a question', () =>
    with_({ furnish }, async ({ page, centre }) => {
      await signIn(page, 'zhao')
      await page.getByRole('button', { name: 'Play voicemail from J. Rivera' }).click()
      const seconds = page.locator('audio').evaluate(
        (audio) => new Promise((resolve, reject) => {
          if (audio.duration) resolve(audio.duration)
          audio.onloadedmetadata = () => resolve(audio.duration)
          audio.onerror = () => reject(new Error('the audio does not load'))
        }),
      )
      assert.equal(await seconds, 3)
      await page.getByRole('button', { name: 'Delete: J. Rivera' }).click()
      assert.equal(centre.voicemails.size, 2)
      await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click()
      await page.getByText('Voicemail deleted').waitFor()
      await page.getByText('J. Rivera').waitFor({ state: 'detached' })
      assert.equal(centre.voicemails.size, 1)
    }))

  it('is who the live view is for: an agent is told so', () =>
    with_({ furnish }, async ({ page, fake }) => {
      await signIn(page, 'li')
      await page.getByText('You are not ready').waitFor()
      await page.goto(`${fake.url}/#live`)
      await page.getByText('This view is for supervisors').waitFor()
    }))
})
