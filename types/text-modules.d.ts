// wrangler and esbuild hand a .jsonc file over as text (wrangler.toml, [[rules]]); it is parsed by us, comments and all.
declare module '*.jsonc' {
  const text: string
  export default text
}
