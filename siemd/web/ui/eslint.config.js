import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import globals from "globals";
import ts from "typescript-eslint";

const html = "Text of events is hostile: it may only ever become text.";

export default ts.config(
  { ignores: ["node_modules/", "src/lib/api/schema.d.ts"] },
  js.configs.recommended,
  ...ts.configs.recommended,
  ...svelte.configs.recommended,
  {
    languageOptions: { globals: { ...globals.browser, ...globals.node } },
    rules: {
      "no-undef": "off", // TypeScript sees to it
      "no-eval": "error",
      "no-console": "error",
      eqeqeq: "error",
      "svelte/no-at-html-tags": "error",
      "svelte/no-navigation-without-resolve": "off", // of SvelteKit
      "svelte/prefer-svelte-reactivity": "off", // plain URLSearchParams and Maps are values here, not state
      "no-restricted-syntax": [
        "error",
        { selector: "SvelteAttribute[key.name='style']", message: 'The CSP forbids style="…"; style:name={…} is fine.' },
      ],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML"].map((property) => ({ property, message: html })),
      ],
    },
  },
  { files: ["**/*.svelte", "**/*.svelte.ts"], languageOptions: { parserOptions: { parser: ts.parser } } },
);
