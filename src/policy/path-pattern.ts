// Path patterns of policy rules, matched in linear time on decoded segments. No regular expression comes from a file.
//
//   /v1/todos      exactly that path (a trailing slash makes no difference)
//   /v1/*/comments one segment in place of `*`
//   /v1/*          everything beneath /v1, at any depth, but not /v1 itself
//   /v1/**         the same and /v1 itself

/** Compiles a pattern that begins with `/`. What comes out takes a path cut into its segments: many patterns, one cut. */
export function compilePathPattern(pattern: string): (segments: readonly string[]) => boolean {
  const segments = toSegments(pattern)
  const last = segments.at(-1)
  if (last !== '*' && last !== '**') {
    return (actual) => actual.length === segments.length && startsWith(actual, segments)
  }
  const prefix = segments.slice(0, -1)
  const minLength = last === '*' ? segments.length : prefix.length
  return (actual) => actual.length >= minLength && startsWith(actual, prefix)
}

export function toSegments(path: string): readonly string[] {
  const segments = path.split('/')
  segments.shift()
  if (segments.at(-1) === '') segments.pop()
  return segments
}

function startsWith(actual: readonly string[], prefix: readonly string[]): boolean {
  // A loop, because a thousand rules come by here on every request.
  for (let index = 0; index < prefix.length; index++) {
    if (prefix[index] !== '*' && prefix[index] !== actual[index]) return false
  }
  return true
}
