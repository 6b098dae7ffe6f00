// The real binary under the page: the sample centre in a folder of its own, without simulated traffic, on free ports.

import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SipPhone } from './sip.mjs'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const BINARY = process.env.STROWGER ?? join(ROOT, 'target/debug/strowger')
const DOMAIN = 'demo.local'

/** The people of `demo/people.csv` who sit at a desk phone. */
const PASSWORDS = { 2001: 'demo-2001', 1001: 'demo-1001' }

export class RealCentre {
  #phones = []

  static async start() {
    if (!existsSync(BINARY)) throw new Error(`No binary at ${BINARY}: cargo build, or set STROWGER`)
    const centre = new RealCentre()
    centre.folder = mkdtempSync(join(tmpdir(), 'strowger-e2e-'))
    centre.sip = `127.0.0.1:${await freePort()}`
    const options = ['demo', '--data', centre.folder, '--http', '127.0.0.1:0', '--sip', centre.sip, '--calls-per-minute', '0', '--agents', '0']
    centre.process = spawn(BINARY, options, { cwd: ROOT })
    centre.said = ''
    for (const stream of [centre.process.stdout, centre.process.stderr]) stream.on('data', (text) => (centre.said += text))
    centre.exited = new Promise((done) => centre.process.on('exit', done))
    centre.url = await centre.#sayPage()
    return centre
  }

  #sayPage() {
    return new Promise((done, failed) => {
      const timer = setTimeout(() => failed(new Error(`the centre did not open:\n${this.said}`)), 60_000)
      const look = () => {
        const url = /http:\/\/[\d.]+:\d+/.exec(this.said)?.[0]
        if (!url) return
        clearTimeout(timer)
        this.process.stdout.off('data', look)
        done(url)
      }
      this.process.stdout.on('data', look)
      this.exited.then((code) => failed(new Error(`the centre ended with ${code}:\n${this.said}`)))
    })
  }

  /** A registered desk phone. */
  async phone(user) {
    const phone = await SipPhone.open({ user: String(user), password: PASSWORDS[user], domain: DOMAIN, server: this.sip })
    this.#phones.push(phone)
    await phone.register()
    return phone
  }

  /** The sample's carrier, who brings callers in. */
  async carrier() {
    const phone = await SipPhone.open({ user: 'carrier', domain: 'carrier.example', server: this.sip, host: '127.20.0.77' })
    this.#phones.push(phone)
    return phone
  }

  async stop() {
    for (const phone of this.#phones) await phone.close()
    this.process.kill('SIGTERM')
    const late = setTimeout(() => this.process.kill('SIGKILL'), 15_000)
    const code = await this.exited
    clearTimeout(late)
    rmSync(this.folder, { recursive: true, force: true })
    if (code !== 0) throw new Error(`the centre ended with ${code}:\n${this.said}`)
  }
}

/** A port free for UDP; the centre takes it for TCP, too. */
async function freePort() {
  const socket = createSocket('udp4')
  await new Promise((done) => socket.bind(0, '127.0.0.1', done))
  const { port } = socket.address()
  await new Promise((done) => socket.close(done))
  return port
}
