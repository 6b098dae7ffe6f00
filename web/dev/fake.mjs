// Serves a pretended centre (`dev/centre.mjs`) as the switch does: session cookie, `/cti`, and the built page with the
// headers it has to live under. `npm run fake` plays a lively centre at http://127.0.0.1:8090 for `npm run dev`.

import { createReadStream, existsSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { WebSocketServer } from 'ws'
import { belongs, Centre } from './centre.mjs'

const DIST = fileURLToPath(new URL('../dist/', import.meta.url))
const MIME = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' }
const CSP =
  "default-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'"
const RING_MAX = 2000
const SESSION_MS = 12 * 3_600_000

/** Starts the server; `port` 0 takes a free one. Gives the centre and ways to hurt the link. */
export async function startFake({ port = 0, centre = new Centre(), sessionMs = SESSION_MS } = {}) {
  const tokens = new Map()
  const sessions = new Map()
  let nextSession = 1
  let renewals = 0
  let expires = centre.now() + sessionMs
  const sessionOf = (user) => ({ me: centre.me(user), expires: new Date(expires).toISOString() })

  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://localhost')
    const user = tokens.get(tokenOf(request))
    const json = (status, body, headers = {}) => {
      response.writeHead(status, { 'Content-Type': 'application/json', ...headers })
      response.end(body === undefined ? '' : JSON.stringify(body))
    }
    if (url.pathname === '/api/demo') return json(200, centre.hints())
    if (url.pathname === '/api/session') {
      if (request.method === 'GET') return user ? json(200, sessionOf(user)) : json(401, { code: 'session.none', msg: 'Sign in.' })
      if (request.method === 'PUT') {
        renewals += 1
        expires = centre.now() + SESSION_MS
        return json(200, sessionOf(user))
      }
      if (request.method === 'DELETE') {
        tokens.delete(tokenOf(request))
        return json(204)
      }
      return readBody(request).then(({ user: name, password }) => {
        const me = centre.signIn(name, password)
        if (!me) return json(401, { code: 'session.refused', msg: 'Wrong user or password.' })
        const token = crypto.randomUUID()
        tokens.set(token, name)
        return json(200, sessionOf(name), { 'Set-Cookie': `session=${token}; HttpOnly; SameSite=Strict; Path=/` })
      })
    }
    if (/^\/api\/voicemails\/[^/]+\/[^/]+$/.test(url.pathname)) {
      response.writeHead(200, { 'Content-Type': 'audio/wav' })
      return response.end(tone(440, 3))
    }
    return serveFile(url.pathname, response)
  })

  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'cti.v1' })
  server.on('upgrade', (request, socket, head) => {
    const user = tokens.get(tokenOf(request))
    if (!user || request.url !== '/cti') return socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n')
    sockets.handleUpgrade(request, socket, head, (ws) => converse(ws, user))
  })

  function converse(ws, user) {
    let session = null
    const say = (frame) => ws.readyState === ws.OPEN && ws.send(JSON.stringify(frame))
    ws.on('close', () => session?.ws === ws && (session.ws = null))
    ws.on('message', (text) => {
      const frame = JSON.parse(text)
      if (frame.t === 'hello') {
        const kept = frame.resume && frame.resume.epoch === centre.epoch ? sessions.get(frame.resume.session) : undefined
        session = kept ?? { id: `S${nextSession++}`, user, topics: [], last: centre.seq, ring: [], answers: new Map() }
        session.ws = ws
        sessions.set(session.id, session)
        const now = new Date(centre.now()).toISOString()
        say({ t: 'welcome', session: session.id, epoch: centre.epoch, seq: session.last, resumed: Boolean(kept), now, me: centre.me(user) })
        if (kept) for (const missed of session.ring.filter(({ seq }) => seq > frame.resume.seq)) say(missed)
      } else if (frame.t === 'sub') {
        for (const topic of frame.topics) snapshot(session, topic, frame.id, say)
      } else if (frame.t === 'resync') {
        session.ring = []
        session.last = centre.seq
        say({ t: 'resync', seq: session.last })
        for (const topic of session.topics) snapshot(session, topic, '', say)
      } else if (frame.t === 'cmd') {
        say(session.answers.get(frame.id) ?? carryOut(session, frame))
      } else if (frame.t === 'ping') {
        say({ t: 'pong', c: frame.c, s: centre.now() })
      }
    })
  }

  function carryOut(session, { id, name, args }) {
    let answer
    try {
      answer = { t: 'ok', id, ...centre.order(session.user, name, args) }
    } catch (refused) {
      if (!refused.code) throw refused
      answer = { t: 'err', id, ...refused }
    }
    session.answers.set(id, answer)
    return answer
  }

  function snapshot(session, topic, id, say) {
    const items = centre.topic(topic, session.user)
    if (!items) return say({ t: 'err', id, code: 'role.forbidden', msg: 'Not your topic.', retry: false })
    if (!session.topics.includes(topic)) session.topics.push(topic)
    say({ t: 'snap', id, topic, seq: centre.seq, items })
  }

  /** Events that are kept from their sockets, to make a gap. */
  let swallow = 0
  centre.listen((event) => {
    for (const session of sessions.values()) {
      const mine = event.items.map((item) => [item, session.topics.find((topic) => belongs(item, topic, session.user))])
      const items = mine.filter(([, topic]) => topic).map(([item]) => item)
      if (items.length === 0) continue
      const topic = mine.find(([, found]) => found)[1]
      const frame = { t: 'ev', seq: event.seq, prev: session.last, topic, name: event.name, at: event.at, items }
      session.last = event.seq
      session.ring = [...session.ring, frame].slice(-RING_MAX)
      if (swallow === 0) session.ws?.send(JSON.stringify(frame))
    }
    if (swallow > 0) swallow -= 1
  })

  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    centre,
    url: `http://127.0.0.1:${server.address().port}`,
    renewals: () => renewals,
    /** Breaks every socket, as a network does. */
    breakLinks: () => sockets.clients.forEach((ws) => ws.terminate()),
    /** The next events are lost on their way. */
    loseEvents: (count) => (swallow = count),
    /** Forgets who signed in. */
    endSessions() {
      tokens.clear()
      this.breakLinks()
    },
    async close() {
      this.breakLinks()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function tokenOf(request) {
  return /(?:^|; )session=([^;]+)/.exec(request.headers.cookie ?? '')?.[1]
}

async function readBody(request) {
  let text = ''
  for await (const chunk of request) text += chunk
  return JSON.parse(text || '{}')
}

function serveFile(path, response) {
  const file = join(DIST, normalize(path === '/' ? '/index.html' : path))
  if (!file.startsWith(DIST) || !existsSync(file) || !statSync(file).isFile()) {
    response.writeHead(404, { 'Content-Type': 'text/plain' })
    return response.end('not found')
  }
  const headers = { 'Content-Type': MIME[extname(file)] ?? 'application/octet-stream', 'X-Content-Type-Options': 'nosniff' }
  response.writeHead(200, { ...headers, 'Content-Security-Policy': CSP })
  return createReadStream(file).pipe(response)
}

/** A WAV of one tone, 8 kHz mono. */
function tone(hz, seconds) {
  const samples = 8000 * seconds
  const wav = Buffer.alloc(44 + samples * 2)
  wav.write('RIFF', 0)
  wav.writeUInt32LE(36 + samples * 2, 4)
  wav.write('WAVEfmt ', 8)
  wav.writeUInt32LE(16, 16)
  wav.writeUInt16LE(1, 20)
  wav.writeUInt16LE(1, 22)
  wav.writeUInt32LE(8000, 24)
  wav.writeUInt32LE(16000, 28)
  wav.writeUInt16LE(2, 32)
  wav.writeUInt16LE(16, 34)
  wav.write('data', 36)
  wav.writeUInt32LE(samples * 2, 40)
  for (let n = 0; n < samples; n += 1) wav.writeInt16LE(Math.round(6000 * Math.sin((2 * Math.PI * hz * n) / 8000)), 44 + 2 * n)
  return wav
}

/** A centre with people at work, for looking at. */
export function furnish(centre) {
  centre.place('wang', 'ready', { forMs: 42_000 })
  centre.place('chen', 'ready', { forMs: 12_000 })
  centre.place('mary', 'not_ready', { reason: 'lunch', forMs: 1_260_000 })
  for (const [queue, waitedMs] of [['support', 9_000], ['support', 14_000], ['sales', 6_000]]) {
    const call = centre.enqueue(queue, { waitedMs })
    centre.offer(call, 'wang')
    centre.answer(call)
    centre.hangUp(call)
  }
  centre.hangUp(centre.enqueue('support', { waitedMs: 70_000 }))
  centre.place('wang', 'wrap_up', { reason: 'support', forMs: 20_000 })
  const call = centre.enqueue('sales', { customer: 'okafor', number: '+44207****0142', waitedMs: 8_000 })
  centre.offer(call, 'chen')
  centre.answer(call)
  centre.enqueue('support', { number: '+86135****7120', name: 'Liu Yang', waitedMs: 31_000 })
  centre.enqueue('support', { customer: 'zhang', number: '+86138****8000', priority: 20, waitedMs: 12_000, answers: [['topic', 'refund'], ['flight', 'CA1883']] })
  centre.enqueue('vip', { number: '', waitedMs: 4_000 })
  centre.leaveVoicemail({ agoMs: 900_000 })
  centre.leaveVoicemail({ box: 'sales', number: '+1415****2671', name: 'J. Rivera', seconds: 61, agoMs: 26 * 3_600_000 })
}

/** Lets the centre live: agents who are ready get the next call, phones are picked up, calls end. */
function play(centre) {
  const every = (ms, act) => setInterval(act, ms)
  const random = (list) => list[Math.floor(Math.random() * list.length)]
  every(7_000, () => centre.waiting.size < 6 && centre.enqueue(random(['support', 'sales', 'vip']), { customer: random(['zhang', 'okafor', null]), answers: [['topic', 'refund']] }))
  every(2_000, () => {
    const agent = [...centre.agents.values()].find(({ state }) => state === 'ready')
    const row = [...centre.waiting.values()].find(({ offered }) => offered.length === 0)
    if (agent && row) centre.offer(row.call, agent.id)
  })
  every(5_000, () => {
    const offered = [...centre.calls.values()].find(({ state }) => state === 'offered')
    if (offered) centre.answer(offered.id)
  })
  every(17_000, () => {
    const talking = [...centre.calls.values()].find(({ state }) => state === 'talking')
    if (talking) centre.hangUp(talking.id)
  })
  every(1_000, () => {
    for (const agent of centre.agents.values()) {
      if (agent.state === 'wrap_up' && agent.deadline && Date.parse(agent.deadline) < Date.now()) centre.order(agent.id, 'agent.ready', {})
    }
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const fake = await startFake({ port: 8090 })
  furnish(fake.centre)
  play(fake.centre)
  console.log(`A pretended centre at ${fake.url} (users li, wang, zhao; password demo). Now: npm run dev`)
}
