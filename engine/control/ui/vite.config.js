// Builds ../ui/dist, which the binary embeds. Nothing in it may differ between two builds of the same sources.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// A warning of the compiler is a fault: most are about reactivity or about people who use a keyboard or a screen reader.
function fail(warning) {
  throw new Error(`${warning.filename}:${warning.start?.line}: ${warning.code}: ${warning.message}`);
}

export default defineConfig({
  plugins: [svelte({ configFile: false, compilerOptions: { runes: true }, onwarn: fail })],
  build: {
    target: 'es2022',
    outDir: 'dist',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
  },
  server: {
    // Development alone: `RINGWAY_ADMIN=http://127.0.0.1:8081 npm run dev`.
    proxy: { '/api': { target: process.env.RINGWAY_ADMIN ?? 'http://127.0.0.1:8081' } },
  },
});
