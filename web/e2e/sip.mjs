// A telephone and a carrier's gateway, as small as the specs need them: SIP over UDP, a stream of silence for sound,
// keys by INFO. Everything they do is written out below; nothing of the switch is shared.

import { createHash, randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { EventEmitter } from 'node:events'

const CRLF = '\r\n'
const token = () => randomBytes(8).toString('hex')
const md5 = (text) => createHash('md5').update(text).digest('hex')
/** 20 ms of silence in PCMA. */
const SILENCE = Buffer.alloc(160, 0xd5)

/** A message as its parts; header names in lower case, repeated ones as a list. */
function parse(bytes) {
  const text = bytes.toString('utf8')
  const [head, body] = [text.slice(0, text.indexOf(CRLF + CRLF)), text.slice(text.indexOf(CRLF + CRLF) + 4)]
  const [start, ...lines] = head.split(CRLF)
  const headers = {}
  for (const line of lines) {
    const name = line.slice(0, line.indexOf(':')).trim().toLowerCase()
    ;(headers[name] ??= []).push(line.slice(line.indexOf(':') + 1).trim())
  }
  const status = /^SIP\/2\.0 (\d{3})/.exec(start)?.[1]
  const [number, method] = headers.cseq[0].split(' ')
  return { start, status: status && Number(status), method, cseq: Number(number), headers, body, callId: headers['call-id'][0] }
}

const tagOf = (header) => /;tag=([^;>\s]+)/.exec(header)?.[1]
const uriIn = (header) => /<([^>]+)>/.exec(header)?.[1] ?? header.split(';')[0]

/**
 * A user agent on one socket. Emits `invite` with a call that rings here, and each call emits `answered`, `refused`
 * with the status, and `ended`.
 */
export class SipPhone extends EventEmitter {
  calls = new Map()
  #socket = createSocket('udp4')
  #waiting = new Map()

  /** `user` with `password` at `server` (`ADDRESS:PORT`); `host` is our own address. */
  static async open({ user, password = '', domain, server, host = '127.0.0.1' }) {
    const phone = new SipPhone()
    const [address, port] = server.split(':')
    Object.assign(phone, { user, password, domain, host, server: { address, port: Number(port) } })
    phone.#socket.on('message', (bytes) => bytes.length > 4 && phone.#take(parse(bytes)))
    await new Promise((done, failed) => phone.#socket.once('error', failed).bind(0, host, done))
    phone.port = phone.#socket.address().port
    return phone
  }

  get uri() {
    return `sip:${this.user}@${this.host}:${this.port}`
  }

  /** Registers; `seconds` 0 takes it back. Rejects with what the switch said. */
  async register(seconds = 600) {
    const dialog = { callId: token(), from: `<sip:${this.user}@${this.domain}>;tag=${token()}`, to: `<sip:${this.user}@${this.domain}>`, cseq: 0 }
    const headers = [`Contact: <${this.uri}>`, `Expires: ${seconds}`]
    const answer = await this.#ask('REGISTER', `sip:${this.domain}`, dialog, headers)
    if (answer.status !== 200) throw new Error(`REGISTER: ${answer.start}`)
  }

  /** Calls `number`, showing `from`. */
  async call(number, { from = this.user } = {}) {
    const call = await Call.open(this)
    call.remote = `sip:${number}@${this.server.address}:${this.server.port}`
    call.dialog = { callId: token(), from: `<sip:${from}@${this.domain}>;tag=${token()}`, to: `<${call.remote}>`, cseq: 0 }
    this.calls.set(call.dialog.callId, call)
    const answer = this.#ask('INVITE', call.remote, call.dialog, [`Contact: <${this.uri}>`], call.sdp())
    answer.then((message) => call.onAnswer(message), () => {})
    return call
  }

  /** Sends a request and waits for its final answer, with digest where it is asked for. */
  async #ask(method, uri, dialog, headers = [], body = '') {
    const answer = await this.#transact(method, uri, dialog, headers, body)
    if ((answer.status !== 401 && answer.status !== 407) || headers.some((line) => line.includes('uthorization'))) return answer
    const proxy = answer.status === 407
    const challenges = answer.headers[proxy ? 'proxy-authenticate' : 'www-authenticate']
    const challenge = challenges.find((one) => !/SHA-256/.test(one)) ?? challenges[0]
    const part = (name) => new RegExp(`${name}="?([^",]+)"?`).exec(challenge)?.[1]
    const [realm, nonce, cnonce] = [part('realm'), part('nonce'), token()]
    const secret = md5(`${this.user}:${realm}:${this.password}`)
    const response = md5(`${secret}:${nonce}:00000001:${cnonce}:auth:${md5(`${method}:${uri}`)}`)
    const line = `Digest username="${this.user}", realm="${realm}", nonce="${nonce}", uri="${uri}", response="${response}", algorithm=MD5, qop=auth, nc=00000001, cnonce="${cnonce}"`
    if (part('opaque')) headers = [...headers, `${proxy ? 'Proxy-Authorization' : 'Authorization'}: ${line}, opaque="${part('opaque')}"`]
    else headers = [...headers, `${proxy ? 'Proxy-Authorization' : 'Authorization'}: ${line}`]
    return this.#transact(method, uri, dialog, headers, body)
  }

  #transact(method, uri, dialog, headers, body) {
    dialog.cseq += 1
    const key = `${dialog.callId} ${dialog.cseq} ${method}`
    this.request(method, uri, dialog, dialog.cseq, headers, body)
    return new Promise((done, failed) => {
      const timer = setTimeout(() => failed(new Error(`${method}: no answer`)), 30_000)
      this.#waiting.set(key, (message) => {
        if (message.status < 200) return
        clearTimeout(timer)
        this.#waiting.delete(key)
        if (method === 'INVITE') this.#acknowledge(uri, dialog, message)
        done(message)
      })
    })
  }

  #acknowledge(uri, dialog, answer) {
    const target = answer.status < 300 ? uriIn(answer.headers.contact[0]) : uri
    this.request('ACK', target, { ...dialog, to: answer.headers.to[0] }, answer.cseq, [], '', answer.status >= 300 && answer.headers.via[0])
  }

  request(method, uri, dialog, cseq, headers, body = '', via = '') {
    const lines = [
      `${method} ${uri} SIP/2.0`,
      `Via: ${via || `SIP/2.0/UDP ${this.host}:${this.port};rport;branch=z9hG4bK${token()}`}`,
      'Max-Forwards: 70',
      `From: ${dialog.from}`,
      `To: ${dialog.to}`,
      `Call-ID: ${dialog.callId}`,
      `CSeq: ${cseq} ${method}`,
      ...headers,
      ...(body && !headers.some((line) => line.startsWith('Content-Type')) ? ['Content-Type: application/sdp'] : []),
      `Content-Length: ${Buffer.byteLength(body)}`,
    ]
    this.send(lines.join(CRLF) + CRLF + CRLF + body)
  }

  /** In a call's dialog. */
  inDialog(call, method, headers = [], body = '') {
    return this.#transact(method, call.remote, call.dialog, headers, body)
  }

  reply(request, status, reason, { headers = [], body = '', tag = '' } = {}) {
    const to = request.headers.to[0]
    const lines = [
      `SIP/2.0 ${status} ${reason}`,
      ...request.headers.via.map((via) => `Via: ${via}`),
      ...(request.headers['record-route'] ?? []).map((route) => `Record-Route: ${route}`),
      `From: ${request.headers.from[0]}`,
      `To: ${tagOf(to) || !tag ? to : `${to};tag=${tag}`}`,
      `Call-ID: ${request.callId}`,
      `CSeq: ${request.headers.cseq[0]}`,
      ...headers,
      ...(body ? ['Content-Type: application/sdp'] : []),
      `Content-Length: ${Buffer.byteLength(body)}`,
    ]
    this.send(lines.join(CRLF) + CRLF + CRLF + body)
  }

  send(text) {
    this.#socket.send(text, this.server.port, this.server.address)
  }

  #take(message) {
    if (message.status) return this.#waiting.get(`${message.callId} ${message.cseq} ${message.method}`)?.(message)
    const call = this.calls.get(message.callId)
    if (message.method === 'INVITE' && !call) return void this.#ring(message)
    if (call) return call.take(message)
    if (message.method !== 'ACK') this.reply(message, message.method === 'OPTIONS' ? 200 : 481, 'Done', { tag: token() })
  }

  async #ring(invite) {
    const call = await Call.open(this)
    call.invite = invite
    call.tag = token()
    call.remote = uriIn(invite.headers.contact[0])
    call.dialog = { callId: invite.callId, from: `${invite.headers.to[0]};tag=${call.tag}`, to: invite.headers.from[0], cseq: 0 }
    call.hearFrom(invite.body)
    this.calls.set(invite.callId, call)
    this.reply(invite, 180, 'Ringing', { headers: [`Contact: <${this.uri}>`], tag: call.tag })
    this.emit('invite', call)
  }

  /** The next call that rings here. */
  nextCall(withinMs = 30_000) {
    return new Promise((done, failed) => {
      const timer = setTimeout(() => failed(new Error(`${this.user}: no call within ${withinMs} ms`)), withinMs)
      this.once('invite', (call) => {
        clearTimeout(timer)
        done(call)
      })
    })
  }

  async close() {
    for (const call of this.calls.values()) call.stop()
    await new Promise((done) => this.#socket.close(done))
  }
}

/** One call of a phone, and its sound. */
class Call extends EventEmitter {
  state = 'ringing'
  /** Packets of sound that came in. */
  heard = 0
  #rtp = createSocket('udp4')
  #beat = null
  #sequence = 0
  #toward = null

  static async open(phone) {
    const call = new Call()
    call.phone = phone
    call.#rtp.on('message', () => (call.heard += 1))
    await new Promise((done) => call.#rtp.bind(0, phone.host, done))
    return call
  }

  sdp() {
    const { host } = this.phone
    const lines = ['v=0', `o=- 1 1 IN IP4 ${host}`, 's=-', `c=IN IP4 ${host}`, 't=0 0', `m=audio ${this.#rtp.address().port} RTP/AVP 8`, 'a=rtpmap:8 PCMA/8000', 'a=sendrecv', '']
    return lines.join(CRLF)
  }

  /** Speaks to where a description says. */
  hearFrom(sdp) {
    const [port, address] = [/^m=audio (\d+)/m.exec(sdp)?.[1], /^c=IN IP4 ([\d.]+)/m.exec(sdp)?.[1]]
    if (port && address) this.#toward = { port: Number(port), address }
  }

  #speak() {
    this.#beat ??= setInterval(() => {
      const header = Buffer.alloc(12)
      header.writeUInt16BE(0x8008, 0)
      header.writeUInt16BE((this.#sequence += 1) & 0xffff, 2)
      header.writeUInt32BE((this.#sequence * 160) >>> 0, 4)
      header.writeUInt32BE(0x5717, 8)
      if (this.#toward) this.#rtp.send(Buffer.concat([header, SILENCE]), this.#toward.port, this.#toward.address)
    }, 20)
  }

  // -- calls that come in

  answer() {
    this.state = 'talking'
    this.phone.reply(this.invite, 200, 'OK', { headers: [`Contact: <${this.phone.uri}>`], body: this.sdp(), tag: this.tag })
    this.#speak()
  }

  // -- calls that go out

  onAnswer(message) {
    if (message.status >= 300) {
      this.stop()
      return this.emit('refused', message.status)
    }
    this.dialog.to = message.headers.to[0]
    this.remote = uriIn(message.headers.contact[0])
    this.hearFrom(message.body)
    this.state = 'talking'
    this.#speak()
    this.emit('answered')
  }

  /** Presses a key. */
  async press(key) {
    const answer = await this.phone.inDialog(this, 'INFO', ['Content-Type: application/dtmf-relay'], `Signal=${key}${CRLF}Duration=160${CRLF}`)
    if (answer.status !== 200) throw new Error(`INFO: ${answer.start}`)
  }

  async hangUp() {
    this.stop()
    await this.phone.inDialog(this, 'BYE')
  }

  /** A request within the call. */
  take(message) {
    const { phone } = this
    if (message.method === 'BYE') {
      phone.reply(message, 200, 'OK')
      this.stop()
      this.emit('ended')
    } else if (message.method === 'CANCEL') {
      phone.reply(message, 200, 'OK', { tag: this.tag })
      phone.reply(this.invite, 487, 'Request Terminated', { tag: this.tag })
      this.stop()
      this.emit('ended')
    } else if (message.method === 'INVITE' && this.state === 'ringing') {
      phone.reply(this.invite, 180, 'Ringing', { headers: [`Contact: <${phone.uri}>`], tag: this.tag })
    } else if (message.method === 'INVITE') {
      this.hearFrom(message.body)
      phone.reply(message, 200, 'OK', { headers: [`Contact: <${phone.uri}>`], body: this.sdp(), tag: this.tag })
    } else if (message.method !== 'ACK') {
      phone.reply(message, 200, 'OK')
    }
  }

  stop() {
    if (this.state === 'over') return
    this.state = 'over'
    clearInterval(this.#beat)
    this.#rtp.close()
  }

  /** Waits for `answered` or `ended`; an end that has come is not waited for. */
  until(what, withinMs = 30_000) {
    if ((what === 'answered' && this.state === 'talking') || (what === 'ended' && this.state === 'over')) return Promise.resolve()
    return new Promise((done, failed) => {
      const timer = setTimeout(() => failed(new Error(`call: not ${what} within ${withinMs} ms`)), withinMs)
      this.once(what, () => {
        clearTimeout(timer)
        done()
      })
    })
  }
}
