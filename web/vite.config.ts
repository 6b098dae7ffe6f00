import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'

// The page talks to `strowger serve`, or in development to `npm run fake`, through Vite's proxy: one origin, as when
// the binary serves it.
const backend = process.env.STROWGER ?? 'http://127.0.0.1:8090'

export default defineConfig({
  plugins: [svelte()],
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: { proxy: { '/api': backend, '/cti': { target: backend, ws: true } } },
  test: { include: ['test/**/*.test.ts'] },
})
