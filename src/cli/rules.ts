// `jagway rules`: how often each rule of a gateway was about a request, and which never was.

import { defineCommand } from 'citty'
import * as v from 'valibot'
import { ADMIN_ARGS, openAdmin, toTable, understand } from './admin-client.ts'
import { EXIT, ExitError } from './exit.ts'
import { plain } from './id-token.ts'

const answerSchema = v.object({
  days: v.number(),
  counted_since: v.optional(v.string()),
  rules: v.array(v.object({ id: v.string(), effect: v.string(), hits: v.number(), last_hit: v.optional(v.string()) })),
})

export default defineCommand({
  meta: { name: 'rules', description: 'Show how often each rule of a gateway was about a request.' },
  args: {
    days: { type: 'string', valueHint: 'N', description: 'In so many days (default and most: 90)' },
    ...ADMIN_ARGS,
  },
  async run({ args }) {
    if (args._.length > 0) throw new ExitError(EXIT.usage, `rules takes no argument ${plain(args._.join(' '))}`)
    const admin = await openAdmin(args)
    const answer = await admin.get('rules', { days: args.days })
    if (args.json === true) console.log(JSON.stringify(answer, undefined, 2))
    else console.log(toText(understand(answerSchema, answer)))
    return EXIT.ok
  },
})

function toText({ rules, counted_since: since }: v.InferOutput<typeof answerSchema>): string {
  const rows = rules.map(({ id, effect, hits, last_hit: last }) => [
    plain(id),
    plain(effect),
    String(hits),
    plain(last ?? 'never'),
  ])
  const span = since === undefined ? 'nothing has been counted yet' : `counted since ${plain(since)}`
  return [toTable([['RULE', 'EFFECT', 'HITS', 'LAST HIT'], ...rows]), span].join('\n')
}
