// Lays a `.br` and a `.gz` beside every file of the build that is worth it, for the binary to serve as they are.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, gzipSync } from 'node:zlib'

const SMALLEST_BYTES = 1024

const dist = fileURLToPath(new URL('../dist/', import.meta.url))
for (const name of readdirSync(dist, { recursive: true }).sort()) {
  if (!/\.(html|js|css|svg)$/.test(name)) continue
  const bytes = readFileSync(join(dist, name))
  if (bytes.length < SMALLEST_BYTES) continue
  writeFileSync(join(dist, `${name}.br`), brotliCompressSync(bytes))
  writeFileSync(join(dist, `${name}.gz`), gzipSync(bytes, { level: 9 }))
}
