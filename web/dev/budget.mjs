// The first load must stay light: everything index.html names, gzipped, within the budget. Runs after each build.

import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'

const BUDGET_BYTES = 130 * 1024

const dist = new URL('../dist/', import.meta.url)
const index = readFileSync(new URL('index.html', dist), 'utf8')
const assets = [...index.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map(([, path]) => path)
if (!assets.some((path) => path.endsWith('.js'))) throw new Error('index.html names no script: the build is broken')
const bytes = ['index.html', ...assets].reduce((sum, path) => sum + gzipSync(readFileSync(new URL(path, dist)), { level: 9 }).length, 0)
console.log(`first load: ${(bytes / 1024).toFixed(1)} KB gzipped, of ${BUDGET_BYTES / 1024} KB`)
if (bytes > BUDGET_BYTES) {
  console.error('The page has outgrown its budget: load what is not needed at once lazily.')
  process.exit(1)
}
