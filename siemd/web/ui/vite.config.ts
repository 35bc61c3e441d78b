import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Trusted Types forbid innerHTML, with which zrender empties an element: textContent does the same. */
function zrenderWithoutHtml(): Plugin {
  return {
    name: "zrender-without-html",
    transform(code, id) {
      if (!id.includes("/zrender/lib/canvas/Painter.js")) return null;
      const mended = code.replaceAll(/\.innerHTML = ''/g, ".textContent = ''");
      if (mended === code) this.error("zrender's Painter no longer empties elements by innerHTML: drop this plugin");
      return { code: mended, map: null };
    },
  };
}

/** Writes NAME.gz and NAME.br beside everything that shrinks, so that the server compresses nothing. */
function compressed(): Plugin {
  let folder = "";
  return {
    name: "compressed",
    apply: "build",
    configResolved(config) {
      folder = resolve(config.root, config.build.outDir, config.build.assetsDir);
    },
    closeBundle() {
      for (const name of readdirSync(folder)) {
        if (!/\.(js|css|svg)$/.test(name)) continue;
        const path = join(folder, name);
        const data = readFileSync(path);
        writeFileSync(`${path}.gz`, gzipSync(data, { level: 9 }));
        const quality = { [constants.BROTLI_PARAM_QUALITY]: 11 };
        writeFileSync(`${path}.br`, brotliCompressSync(data, { params: quality }));
      }
    },
  };
}

// Where siemd answers while `./dev ui` serves the page: from there comes everything else.
const server = process.env.SIEMD_URL ?? "http://127.0.0.1:8514";

export default defineConfig({
  base: "./", // assets are found beside index.html, whose path the server makes absolute
  plugins: [svelte(), zrenderWithoutHtml(), compressed()],
  resolve: {
    alias: {
      $lib: resolve(import.meta.dirname, "src/lib"),
      $components: resolve(import.meta.dirname, "src/components"),
      $strings: resolve(import.meta.dirname, "src/strings.ts"),
    },
    ...(process.env.VITEST ? { conditions: ["browser"] } : {}),
  },
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // a data: URL in a style sheet or a script is what the CSP forbids
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 800,
    // Few files rather than one for each small component: what is alike is packed together, and fewer are asked for.
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: "base", test: /node_modules\/(svelte|esm-env|clsx)\/|src\/strings|src\/lib\/(?!charts)/, priority: 3 },
            { name: "qr", test: /QrCode|node_modules\/uqr/, priority: 2 },
            { name: "parts", test: /src\/components\/(Await|Badge|Button|Data|Dialog|Em|Err|Field|Fil|Icon|icons|Load|Menu|Tab|Te|Time\.|Toolbar|Value)/, priority: 2 },
            { name: "rules", test: /src\/pages\/(Rules|Attack|rules\/)/, priority: 1 },
            { name: "admin", test: /src\/pages\/(Users|Tokens|Audit|Settings|Account|account\/)/, priority: 1 },
          ],
        },
      },
    },
  },
  server: {
    proxy: {
      "/api": {
        target: server,
        ws: true,
        changeOrigin: true,
        configure(proxy) {
          // The server believes only its own pages; the one that Vite serves is one of them here.
          proxy.on("proxyReq", (request) => request.setHeader("Origin", server));
          proxy.on("proxyReqWs", (request) => request.setHeader("Origin", server));
        },
      },
    },
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
