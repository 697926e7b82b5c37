// In what two texts differ that somebody has taken for one.

type Step = readonly [words: string, even: (text: string) => string]

const STEPS: readonly Step[] = [
  ['a slash at the end', (text) => text.replace(/\/+$/, '')],
  ['upper and lower case', (text) => text.toLowerCase()],
  ['the scheme', (text) => text.replace(/^https?:/i, '')],
  ['the port', (text) => text.replace(/^((?:https?:)?\/\/[^/]*?):(?:80|443)(?=\/|$)/i, '$1')],
  ['a space', (text) => text.trim()],
]

/** In what two addresses differ that are nearly the same; undefined: they are different things, or one. */
export function slipBetween(left: string, right: string): string | undefined {
  if (left === right) return undefined
  const alone = STEPS.find(([, even]) => even(left) === even(right))
  if (alone !== undefined) return alone[0]
  const evenAll = (text: string): string => STEPS.reduce((rest, [, even]) => even(rest), text)
  if (evenAll(left) !== evenAll(right)) return undefined
  return STEPS.filter(([, even]) => even(left) !== left || even(right) !== right)
    .map(([words]) => words)
    .join(', ')
}
