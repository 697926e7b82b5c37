// `jagway decisions`: what a gateway has decided lately, about whom and why.

import process from 'node:process'
import { styleText } from 'node:util'
import { defineCommand } from 'citty'
import * as v from 'valibot'
import { ADMIN_ARGS, openAdmin, SELECTOR_ARGS, selectorOf, toTable, toWords, understand } from './admin-client.ts'
import { EXIT, ExitError } from './exit.ts'
import { plain } from './id-token.ts'

const { idp: _noIdp, ...SELECTORS } = SELECTOR_ARGS

const answerSchema = v.object({
  decisions: v.array(
    v.object({
      id: v.string(),
      time: v.string(),
      event: v.string(),
      outcome: v.string(),
      code: v.optional(v.string()),
      user: v.optional(v.object({ sub: v.string() })),
      client: v.optional(v.string()),
      resource: v.optional(v.string()),
      rule: v.optional(v.string()),
    }),
  ),
  more: v.boolean(),
  next: v.optional(v.string()),
})

export default defineCommand({
  meta: { name: 'decisions', description: 'Show what a gateway has decided lately, and why.' },
  args: {
    ...SELECTORS,
    outcome: { type: 'string', valueHint: 'allow|deny|error', description: 'Only these' },
    limit: { type: 'string', valueHint: 'N', description: 'At most so many, the newest first (default: 100)' },
    before: { type: 'string', valueHint: 'NEXT', description: 'Go on where a list has ended' },
    ...ADMIN_ARGS,
  },
  async run({ args }) {
    if (args._.length > 0) throw new ExitError(EXIT.usage, `decisions takes no argument ${plain(args._.join(' '))}`)
    const { outcome, limit, before } = args
    const selector = selectorOf(args)
    const admin = await openAdmin(args)
    const answer = await admin.get('decisions', { ...selector, outcome, limit, before })
    if (args.json === true) console.log(JSON.stringify(answer, undefined, 2))
    else console.log(toText(understand(answerSchema, answer), { ...selector, outcome, before }))
    return EXIT.ok
  },
})

const HEAD = ['TIME', 'OUTCOME', 'CODE', 'USER', 'CLIENT', 'RESOURCE', 'RULE', 'EVENT', 'REQUEST']
const COLOURS = { allow: 'green', deny: 'yellow', error: 'red' } as const

function toText(
  { decisions, next }: v.InferOutput<typeof answerSchema>,
  { before, ...asked }: Parameters<typeof toWords>[0],
): string {
  if (decisions.length === 0) {
    const isOfAll = Object.values(asked).every((part) => part === undefined)
    return `no ${before === undefined ? '' : 'earlier '}decisions are kept${isOfAll ? '' : ` for ${toWords(asked)}`}`
  }
  const rows = decisions.map(({ time, outcome, code, user, client, resource, rule, event, id }) => [
    plain(time),
    coloured(outcome),
    ...[code, user?.sub, client, resource, rule, event, id].map((cell) => plain(cell ?? '-')),
  ])
  return [toTable([HEAD, ...rows]), ...(next === undefined ? [] : [`there are more: --before ${plain(next)}`])].join(
    '\n',
  )
}

/** styleText leaves the colour out by itself where there is no terminal, or where NO_COLOR is set. */
function coloured(outcome: string): string {
  for (const [known, colour] of Object.entries(COLOURS)) {
    if (known === outcome) return styleText(colour, outcome, { stream: process.stdout })
  }
  return plain(outcome)
}
